//! `burst`: ask, start, and wait when told to.

use jiff::SignedDuration;
use patterns_core::operation::{Burst, Operation};
use patterns_core::problem::{Problem, ProblemKind, exit};
use patterns_core::protocol::{BURST_COUNT_MAX, BURST_RATE_MAX, Reply, Request};

use super::{agreed, declined, require_yes_or_terminal, unexpected, wait};
use crate::cli;
use crate::client::Client;
use crate::{figure, print};

/// What is wrong with the command line itself.
pub fn check(args: &cli::Burst) -> Result<(), Problem> {
    count(args.rate, args.count, args.duration)?;
    require_yes_or_terminal(args.yes)
}

pub async fn run(client: &Client, args: cli::Burst, json: bool) -> Result<u8, Problem> {
    let count = count(args.rate, args.count, args.duration)?;
    if !args.yes {
        let snapshot = client.snapshot().await?;
        let pattern = args
            .pattern
            .clone()
            .unwrap_or_else(|| snapshot.patterns.join(" "));
        let statement = format!("Create {} in a burst\n", figure::count(count, "task"))
            + &print::facts(&[
                ("  pattern", pattern),
                ("  rate", figure::rate(args.rate)),
                ("  account", snapshot.account_id),
                ("  region", snapshot.region),
            ]);
        if !agreed(&statement)? {
            return Err(declined());
        }
    }
    let request = Request::Burst {
        pattern: args.pattern,
        rate: args.rate,
        count,
    };
    let Reply::Operation(mut operation) = client.send(request).await? else {
        return Err(unexpected());
    };
    if args.wait {
        operation = wait::until_ended(client, operation.id()).await?;
    }
    let Operation::Burst(burst) = &operation else {
        return Err(unexpected());
    };
    print::answer(burst, json, || facts(burst))?;
    Ok(if args.wait {
        wait::exit_code(&operation)
    } else {
        exit::OK
    })
}

/// How many tasks: as many as were asked for, or as fit into the time.
fn count(rate: f64, count: Option<u64>, duration: Option<SignedDuration>) -> Result<u64, Problem> {
    let invalid = |why: String| {
        Problem::new(
            ProblemKind::Usage,
            "the burst is not valid",
            why,
            "see patterns-tui burst --help",
        )
    };
    if !(rate > 0.0 && rate <= BURST_RATE_MAX) {
        return Err(invalid(format!(
            "--rate {rate} is not above 0 and at most {BURST_RATE_MAX}"
        )));
    }
    let wanted = match (count, duration) {
        (Some(count), _) => count,
        (None, Some(duration)) => {
            let tasks = (rate * duration.as_secs_f64()).round();
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a cast saturates, and the limits are checked below"
            )]
            let tasks = tasks as u64;
            tasks
        }
        (None, None) => 0,
    };
    if (1..=BURST_COUNT_MAX).contains(&wanted) {
        Ok(wanted)
    } else {
        Err(invalid(format!(
            "{wanted} tasks are not between 1 and {BURST_COUNT_MAX}"
        )))
    }
}

/// How a burst stands.
pub fn facts(burst: &Burst) -> String {
    let latency = &burst.latency_ms;
    let mut facts = vec![
        ("operation", burst.operation_id.clone()),
        ("state", burst.state.word().to_owned()),
        ("pattern", burst.pattern.clone()),
        (
            "rate",
            format!(
                "{} asked for, {} achieved",
                figure::rate(burst.requested_rate),
                figure::rate(burst.achieved_rate)
            ),
        ),
        ("created", format!("{} of {}", burst.sent, burst.count)),
        ("failed", burst.failed.to_string()),
        ("not in time", burst.shortfall.to_string()),
        (
            "latency",
            format!(
                "p50 {}  p99 {}  max {}",
                figure::millis(latency.p50),
                figure::millis(latency.p99),
                figure::millis(latency.max)
            ),
        ),
    ];
    facts.extend(
        burst
            .errors
            .iter()
            .map(|(kind, count)| ("error", format!("{kind}: {count}"))),
    );
    print::facts(&facts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_becomes_a_count() {
        let seconds = |seconds| Some(SignedDuration::from_secs(seconds));
        assert_eq!(count(100.0, None, seconds(5)).unwrap(), 500);
        assert_eq!(count(100.0, Some(7), None).unwrap(), 7);
        assert!(count(100.0, None, seconds(-5)).is_err());
        assert!(count(0.1, None, seconds(1)).is_err());
        assert!(count(10_000.0, None, seconds(101)).is_err());
        assert!(count(f64::NAN, Some(1), None).is_err());
    }
}
