//! What can be made to go wrong between a client and a service, on request of a test.
//!
//! A [`Rule`] says which calls it is about and what happens to them. Rules are tried in order and all that strike add up; with the
//! same seed and the same calls in the same order the same calls are struck. What a call meets is a [`Strike`], carried out
//! by the listener's front.

mod broken;
mod entries;
mod error;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub(crate) use self::broken::Broken;
pub use self::error::Failure;
pub(crate) use self::{
    broken::truncated,
    entries::{Held, add, hold_back},
};

/// Most rules at a time; each call looks at all of them.
const MAX_RULES: usize = 100;

/// Longest delay of one rule.
const MAX_DELAY: Duration = Duration::from_mins(10);

/// Which calls something happens to, and what.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Calls of this service only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Service>,
    /// Calls of this operation only, in AWS's words: `SendMessageBatch`, `Invoke`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// Calls that name this queue or function only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// The share of these calls that is struck, 0..=1.
    #[serde(default = "all")]
    pub share: f64,
    /// So many of these calls pass first.
    #[serde(default)]
    pub after: u64,
    /// Most strikes; without it there is no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    /// What happens.
    pub fault: Fault,
    /// Calls that this rule is about, so far.
    #[serde(default, skip_deserializing)]
    pub seen: u64,
    /// Calls struck so far.
    #[serde(default, skip_deserializing)]
    pub struck: u64,
}

/// The services whose calls can be struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// Queues.
    Sqs,
    /// Functions.
    Lambda,
    /// Tables.
    DynamoDb,
    /// Figures.
    CloudWatch,
    /// Function output.
    Logs,
    /// Identity.
    Sts,
}

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(
    tag = "kind",
    rename_all = "snake_case",
    rename_all_fields = "snake_case"
)]
pub enum Fault {
    /// It waits before it is carried out, in real time.
    Delay {
        /// Milliseconds, at most ten minutes.
        ms: u64,
    },
    /// It is refused and not carried out.
    Error {
        /// How.
        error: Failure,
    },
    /// A share of the entries of an SQS batch is refused and not carried out; the call as a whole succeeds.
    Entries {
        /// How.
        error: Failure,
        /// 0..=1; each entry is decided on its own.
        #[serde(default = "all")]
        share: f64,
    },
    /// It is carried out, and then the connection is reset without an answer.
    Reset,
    /// It is carried out, and the connection ends in the middle of the answer's body.
    Truncate,
}

fn all() -> f64 {
    1.0
}

/// A call as the rules see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<'a> {
    pub service: Service,
    pub operation: &'a str,
    pub resource: Option<&'a str>,
}

/// Everything that one call meets.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Strike {
    pub delay: Duration,
    pub error: Option<Failure>,
    /// How the entries of a batch fail, and for each of them in turn whether it does.
    pub entries: Option<(Failure, [bool; 10])>,
    pub broken: Option<Broken>,
}

/// Why rules were not taken. The old ones still hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unfit(String);

/// The rules that hold. Clones are the same rules.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    rules: Vec<Rule>,
    random: fastrand::Rng,
}

impl Faults {
    /// Replaces all rules; counts begin again.
    pub fn set(&self, seed: u64, rules: Vec<Rule>) -> Result<(), Unfit> {
        if rules.len() > MAX_RULES {
            return Err(Unfit(format!(
                "{} rules are more than the {MAX_RULES} that each call can be held against",
                rules.len()
            )));
        }
        for (at, rule) in rules.iter().enumerate() {
            rule.check()
                .map_err(|reason| Unfit(format!("rule {}: {reason}", at + 1)))?;
        }
        *self.lock() = State {
            rules,
            random: fastrand::Rng::with_seed(seed),
        };
        Ok(())
    }

    /// The rules with their counts.
    #[must_use]
    pub fn rules(&self) -> Vec<Rule> {
        self.lock().rules.clone()
    }

    /// What a call meets.
    pub(crate) fn strike(&self, call: Call<'_>) -> Strike {
        let mut state = self.lock();
        let State { rules, random } = &mut *state;
        let mut strike = Strike::default();
        for rule in rules {
            if rule.hits(call, random) {
                strike.add(rule.fault, random);
            }
        }
        strike
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rule {
    fn check(&self) -> Result<(), String> {
        let is_share = |share: f64| (0.0..=1.0).contains(&share);
        let shares = match self.fault {
            Fault::Entries { share, .. } => is_share(share) && is_share(self.share),
            _ => is_share(self.share),
        };
        if !shares {
            return Err("a share is a number from 0 to 1".to_owned());
        }
        match self.fault {
            Fault::Delay { ms } if Duration::from_millis(ms) > MAX_DELAY => Err(format!(
                "a delay is at most {} ms, not {ms}",
                MAX_DELAY.as_millis()
            )),
            _ => Ok(()),
        }
    }

    fn is_about(&self, call: Call<'_>) -> bool {
        let service = self.service.is_none_or(|service| service == call.service);
        let operation = self.operation.as_deref();
        let resource = self.resource.as_deref();
        let batch = call.service == Service::Sqs && call.operation.ends_with("Batch");
        service
            && (batch || !matches!(self.fault, Fault::Entries { .. }))
            && operation.is_none_or(|operation| operation == call.operation)
            && (resource.is_none() || resource == call.resource)
    }

    fn hits(&mut self, call: Call<'_>, random: &mut fastrand::Rng) -> bool {
        if !self.is_about(call) {
            return false;
        }
        self.seen += 1;
        let hits = self.seen > self.after
            && self.times.is_none_or(|times| self.struck < times)
            && random.f64() < self.share;
        self.struck += u64::from(hits);
        hits
    }
}

impl Strike {
    fn add(&mut self, fault: Fault, random: &mut fastrand::Rng) {
        match fault {
            Fault::Delay { ms } => self.delay += Duration::from_millis(ms),
            Fault::Error { error } => self.error = self.error.or(Some(error)),
            Fault::Entries { error, share } => {
                let failed = std::array::from_fn(|_| random.f64() < share);
                self.entries = self.entries.or(Some((error, failed)));
            }
            Fault::Reset => self.broken = self.broken.or(Some(Broken::Reset)),
            Fault::Truncate => self.broken = self.broken.or(Some(Broken::Truncated)),
        }
    }
}

#[cfg(test)]
mod tests;
