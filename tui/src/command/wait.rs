//! Waiting for an operation to end.

use std::time::Duration;

use patterns_core::operation::{Operation, OperationState};
use patterns_core::problem::{Problem, ProblemKind, exit};
use patterns_core::protocol::{Reply, Request};
use tokio::time::{Instant, sleep};

use super::unexpected;
use crate::client::Client;
use crate::verdict;

const PAUSE: Duration = Duration::from_millis(300);

/// A daemon that restarts continues its operations, so being away for this long is no reason to give up.
const PATIENCE: Duration = Duration::from_secs(30);

/// The operation `id` once it ended.
pub async fn until_ended(client: &Client, id: &str) -> Result<Operation, Problem> {
    until(client, id, |operation| operation.state().ended()).await
}

/// The operation `id` once it ended, or waits for somebody to decide.
pub async fn until_still(client: &Client, id: &str) -> Result<Operation, Problem> {
    until(client, id, still).await
}

/// The operation `id` once nothing is left to learn without somebody: of a redrive, what became of its events.
pub async fn until_judged(client: &Client, id: &str) -> Result<Operation, Problem> {
    until(client, id, judged).await
}

fn still(operation: &Operation) -> bool {
    operation.state().ended() || operation.state() == OperationState::Paused
}

fn judged(operation: &Operation) -> bool {
    match operation {
        Operation::Redrive(redrive) => redrive.judged() || redrive.state == OperationState::Paused,
        Operation::Burst(burst) => burst.state.ended(),
    }
}

async fn until(
    client: &Client,
    id: &str,
    enough: impl Fn(&Operation) -> bool,
) -> Result<Operation, Problem> {
    let mut answered = Instant::now();
    loop {
        match client.send(Request::Operation { id: id.to_owned() }).await {
            Ok(Reply::Operation(operation)) if enough(&operation) => return Ok(operation),
            Ok(Reply::Operation(_)) => answered = Instant::now(),
            Ok(_) => return Err(unexpected()),
            Err(problem)
                if problem.kind != ProblemKind::Unreachable || answered.elapsed() > PATIENCE =>
            {
                return Err(problem);
            }
            Err(_) => {}
        }
        sleep(PAUSE).await;
    }
}

/// Failed when the operation did, was cancelled or is paused, or when anything in it failed, came back or is in doubt.
pub fn exit_code(operation: &Operation) -> u8 {
    let clean = match operation {
        Operation::Redrive(redrive) => verdict::clean(redrive),
        Operation::Burst(burst) => burst.failed == 0 && burst.shortfall == 0,
    };
    if clean && operation.state() == OperationState::Completed {
        exit::OK
    } else {
        exit::FAILED
    }
}

#[cfg(test)]
mod tests {
    use patterns_core::operation::Redrive;

    use super::*;
    use crate::sample;

    #[test]
    fn a_redrive_that_is_paused_is_waited_for_no_longer_and_has_failed() {
        let redrive = |state| {
            Operation::Redrive(Redrive {
                state,
                returned: 0,
                ..sample::ramping()
            })
        };
        let runs = redrive(OperationState::Running);
        assert!(!judged(&runs) && !still(&runs));
        let paused = redrive(OperationState::Paused);
        assert!(judged(&paused) && still(&paused));
        assert_eq!(exit_code(&paused), exit::FAILED);
        let sent = redrive(OperationState::Completed);
        assert!(still(&sent) && !judged(&sent), "not all have settled");
    }
}
