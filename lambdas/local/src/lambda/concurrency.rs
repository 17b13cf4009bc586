//! How many invocations may run at once, and which environment does the next one
//! (AWS Lambda developer guide, "Understanding Lambda function scaling").

use std::sync::Arc;

use tokio::sync::Notify;

use super::environment::Environment;
use super::function::Configuration;
use super::{IDLE_LIMIT, Lambda, State, error};
use crate::error::AwsError;

/// The right to run one invocation of a function, until it is dropped.
pub(super) struct Slot {
    name: String,
    configuration: Arc<Configuration>,
    freed: Arc<Notify>,
    running: Arc<()>,
}

/// Why an invocation may not run now, in the words of `TooManyRequestsException` (AWS Lambda API reference, `Invoke`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    /// The function's own.
    Reserved,
    /// The account's.
    Account,
}

impl Limit {
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Reserved => "ReservedFunctionConcurrentInvocationLimitExceeded",
            Self::Account => "ConcurrentInvocationLimitExceeded",
        }
    }
}

/// Who is using what of the account's concurrency.
#[derive(Clone, Copy, Debug)]
struct Usage {
    /// Reserved by this function, if it reserves any.
    reserved: Option<u32>,
    /// Running invocations of this function.
    in_use: u32,
    /// Running invocations of all functions that reserve nothing.
    unreserved_in_use: u32,
    /// What the functions that reserve some leave of the account's concurrency.
    unreserved: u32,
}

/// Reserved concurrency is a function's guarantee and its limit; all others share what is left.
fn limit(usage: Usage) -> Option<Limit> {
    match usage.reserved {
        Some(reserved) => (usage.in_use >= reserved).then_some(Limit::Reserved),
        None => (usage.unreserved_in_use >= usage.unreserved).then_some(Limit::Account),
    }
}

impl State {
    fn usage(&self, name: &str, concurrency: u32) -> Result<Usage, AwsError> {
        let function = self.function(name)?;
        let reserved: u32 = self
            .functions
            .values()
            .filter_map(|function| function.reserved_concurrency)
            .sum();
        Ok(Usage {
            reserved: function.reserved_concurrency,
            in_use: function.in_use(),
            unreserved_in_use: self.unreserved_in_use(),
            unreserved: concurrency.saturating_sub(reserved),
        })
    }

    fn unreserved_in_use(&self) -> u32 {
        self.functions
            .values()
            .filter(|function| function.reserved_concurrency.is_none())
            .map(super::Function::in_use)
            .sum()
    }
}

impl Lambda {
    /// A slot for one invocation of `name`, or a throttle.
    pub(super) fn admit(&self, name: &str) -> Result<Slot, AwsError> {
        let (slot, in_use, account, unreserved) = {
            let state = self.state();
            let usage = state.usage(name, self.inner.parts.concurrency)?;
            if limit(usage).is_some() {
                drop(state);
                self.record(name, "Throttles", 1.0);
                return Err(error::throttled());
            }
            let function = state.function(name)?;
            let slot = Slot {
                name: name.to_owned(),
                configuration: function.configuration.clone(),
                freed: function.freed.clone(),
                running: function.running.clone(),
            };
            let account: u32 = state.functions.values().map(super::Function::in_use).sum();
            (slot, function.in_use(), account, state.unreserved_in_use())
        };
        self.record_of(name, "ConcurrentExecutions", f64::from(in_use));
        let metrics = &self.inner.parts.metrics;
        for (metric, running) in [
            ("ConcurrentExecutions", account),
            ("UnreservedConcurrentExecutions", unreserved),
        ] {
            metrics.record("AWS/Lambda", metric, &[], f64::from(running));
        }
        Ok(slot)
    }

    /// Whether `name` shares the account's concurrency with others, because it reserves none.
    pub(crate) fn shares(&self, name: &str) -> bool {
        let state = self.state();
        state
            .function(name)
            .is_ok_and(|function| function.reserved_concurrency.is_none())
    }

    /// Whether the account's concurrency has room for an invocation of `name`.
    pub(crate) fn has_room(&self, name: &str) -> bool {
        let usage = self.state().usage(name, self.inner.parts.concurrency);
        !usage.is_ok_and(|usage| limit(usage) == Some(Limit::Account))
    }

    /// Which limit throttles `name`, for the error's `Reason`.
    pub(super) fn throttling_limit(&self, name: &str) -> Limit {
        let usage = self.state().usage(name, self.inner.parts.concurrency);
        match usage {
            Ok(Usage {
                reserved: Some(_), ..
            }) => Limit::Reserved,
            _ => Limit::Account,
        }
    }

    /// A warm environment, or else a new one. While we wait to start it, one that becomes free first is as good.
    pub(super) async fn environment(&self, slot: &Slot) -> Result<Environment, AwsError> {
        // The function itself and our slot hold one each.
        let others = Arc::strong_count(&slot.running) > 2;
        let turn = self.inner.starts.clone().turn(others);
        tokio::pin!(turn);
        loop {
            let freed = slot.freed.notified();
            tokio::pin!(freed);
            // From here on no notification is missed.
            freed.as_mut().enable();
            if let Some(environment) = self.take_warm(slot) {
                return Ok(environment);
            }
            tokio::select! {
                start = &mut turn => {
                    self.make_room();
                    let started = Environment::start(&self.inner.parts, slot.configuration.clone(), start).await;
                    return started.map_err(|error| error::cannot_start(&slot.name, &error));
                }
                () = freed => {}
            }
        }
    }

    fn take_warm(&self, slot: &Slot) -> Option<Environment> {
        let mut state = self.state();
        let idle = &mut state.functions.get_mut(&slot.name)?.idle;
        while let Some(mut environment) = idle.pop() {
            if environment.serves(&slot.configuration) {
                return Some(environment);
            }
        }
        None
    }

    /// Keeps the environment for the next invocation, unless it has failed or its configuration is gone.
    pub(super) fn give_back(&self, slot: &Slot, mut environment: Environment) {
        let mut state = self.state();
        if let Some(function) = state.functions.get_mut(&slot.name)
            && environment.serves(&function.configuration)
        {
            function.idle.push(environment);
            function.freed.notify_one();
        }
    }

    /// Ends the environments that have been idle longest, so that there are never more processes than invocations that may run
    /// at once. AWS has room for more; here each takes memory and about ten file descriptors, and an account with many functions
    /// would use up both.
    fn make_room(&self) {
        let mut state = self.state();
        let running: u32 = state.functions.values().map(super::Function::in_use).sum();
        let allowed = self.inner.parts.concurrency.saturating_sub(running) as usize;
        let mut idle: Vec<_> = state
            .functions
            .values()
            .flat_map(|function| &function.idle)
            .map(|environment| environment.idle_since)
            .collect();
        idle.sort_unstable();
        let surplus = idle.len().saturating_sub(allowed);
        if let Some(newest) = surplus.checked_sub(1).and_then(|last| idle.get(last)) {
            for function in state.functions.values_mut() {
                function
                    .idle
                    .retain(|environment| environment.idle_since > *newest);
            }
        }
    }

    /// Ends environments that have been idle for long on the emulator's clock.
    pub(super) fn reap(&self) {
        let now = self.inner.parts.clock.now();
        for function in self.state().functions.values_mut() {
            function
                .idle
                .retain(|environment| now.duration_since(environment.idle_since) < IDLE_LIMIT);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_concurrency_is_a_guarantee_and_a_limit() {
        let shared = Usage {
            reserved: None,
            in_use: 0,
            unreserved_in_use: 40,
            unreserved: 40,
        };
        assert_eq!(limit(shared), Some(Limit::Account));
        assert_eq!(
            limit(Usage {
                unreserved_in_use: 39,
                ..shared
            }),
            None
        );
        let own = Usage {
            reserved: Some(10),
            in_use: 9,
            ..shared
        };
        assert_eq!(limit(own), None);
        assert_eq!(limit(Usage { in_use: 10, ..own }), Some(Limit::Reserved));
        assert_eq!(
            limit(Usage {
                reserved: Some(0),
                in_use: 0,
                ..shared
            }),
            Some(Limit::Reserved)
        );
    }
}
