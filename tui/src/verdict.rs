//! What became of a redrive, in the words that screens and commands share.

use patterns_core::audit::Outcome;
use patterns_core::failed::OriginKind;
use patterns_core::operation::{Redrive, Step};

use crate::figure;

/// The figures in one line, such as `412 redriven, 409 settled, 3 returned (same error)`.
pub fn figures(redrive: &Redrive) -> String {
    let mut parts = vec![match redrive.moved {
        Some(moved) => format!("{moved} moved"),
        None => format!("{} redriven", redrive.sent),
    }];
    let mut part = |number: u64, what: &str| {
        if number > 0 {
            parts.push(format!("{number} {what}"));
        }
    };
    part(redrive.settled, "settled");
    part(redrive.returned, &returned(redrive));
    part(redrive.taken_back, "taken back");
    part(open(redrive), "not known yet");
    part(redrive.failed, "failed");
    part(redrive.skipped, "skipped");
    part(redrive.in_doubt_count, "in doubt");
    parts.join(", ")
}

/// Events that were sent, or that SQS moved.
pub fn sent(redrive: &Redrive) -> u64 {
    redrive.moved.unwrap_or(redrive.sent)
}

/// Events that are out of the dead-letter queue and where they were to go.
pub fn through(redrive: &Redrive) -> u64 {
    redrive.moved.unwrap_or(redrive.deleted)
}

/// How the errors of the returned events compare with those they had before, where that is known: what a redrive policy
/// moves into a dead-letter queue has none.
fn returned(redrive: &Redrive) -> String {
    match redrive.returned_alike {
        0 if redrive.target.kind == OriginKind::Queue => "returned".to_owned(),
        0 => "returned (other errors)".to_owned(),
        alike if alike >= redrive.returned => "returned (same error)".to_owned(),
        alike => format!("returned ({alike} with the same error)"),
    }
}

/// Events that were sent and of which it is not known yet whether they were processed, though it will be.
pub fn open(redrive: &Redrive) -> u64 {
    if redrive.unverified.is_some() {
        return 0;
    }
    let known = redrive.settled + redrive.returned + redrive.taken_back;
    redrive.sent.saturating_sub(known)
}

/// Where the ramp is, such as `step 3: 25 events, waits until …`.
pub fn step(step: &Step) -> String {
    let sends = format!(
        "step {}: {}",
        step.number,
        figure::count(step.size, "event")
    );
    match &step.waits {
        Some(waits) => format!("{sends}, waits until {waits}"),
        None => sends,
    }
}

/// The state of one event in words.
pub fn state(outcome: &Outcome) -> String {
    let state = outcome.state.replace('_', " ");
    if outcome.in_doubt {
        format!("{state}, in doubt")
    } else {
        state
    }
}

/// Whether everything that was sent is known to be processed, or was taken back on purpose.
pub fn clean(redrive: &Redrive) -> bool {
    redrive.failed == 0 && redrive.returned == 0 && redrive.in_doubt_count == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn a_redrive_is_told_in_one_line() {
        let redrive = Redrive {
            sent: 412,
            settled: 409,
            returned: 3,
            returned_alike: 3,
            failed: 0,
            skipped: 0,
            in_doubt_count: 0,
            ..sample::redrive()
        };
        let told = |redrive: Redrive| figures(&redrive);
        assert_eq!(
            told(redrive.clone()),
            "412 redriven, 409 settled, 3 returned (same error)"
        );
        let waiting = Redrive {
            settled: 0,
            returned_alike: 1,
            ..redrive.clone()
        };
        assert_eq!(
            told(waiting.clone()),
            "412 redriven, 3 returned (1 with the same error), 409 not known yet"
        );
        let mut other = Redrive {
            returned_alike: 0,
            ..redrive.clone()
        };
        other.target.kind = OriginKind::Function;
        assert!(told(other.clone()).ends_with("3 returned (other errors)"));
        other.target.kind = OriginKind::Queue;
        assert!(told(other).ends_with("3 returned"), "no error is recorded");
        let unverified = Redrive {
            unverified: Some("nobody knows".to_owned()),
            returned: 0,
            ..waiting
        };
        assert_eq!(told(unverified), "412 redriven");
    }

    #[test]
    fn what_sqs_moves_is_moved_and_never_more() {
        let redrive = Redrive {
            moved: Some(7),
            skipped: 2,
            unverified: Some("SQS does not say".to_owned()),
            ..Redrive::planned(&sample::plan())
        };
        assert_eq!(figures(&redrive), "7 moved, 2 skipped");
        assert_eq!((sent(&redrive), through(&redrive)), (7, 7));
    }

    #[test]
    fn a_step_says_what_it_waits_for() {
        let mut at = Step {
            number: 3,
            size: 25,
            waits: None,
        };
        assert_eq!(step(&at), "step 3: 25 events");
        at.waits = Some("the 90 s window has passed".to_owned());
        assert_eq!(
            step(&at),
            "step 3: 25 events, waits until the 90 s window has passed"
        );
    }
}
