//! When an asynchronous invocation is tried again, and when it is given up
//! (AWS Lambda developer guide, "How Lambda handles errors and retries with asynchronous invocation").

use std::time::Duration;

/// Why an event is no longer tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The function answered.
    Success,
    /// It failed as often as it may.
    RetriesExhausted,
    /// It is older than it may be.
    EventAgeExceeded,
}

impl Condition {
    /// The word in a destination's record.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "Success",
            Self::RetriesExhausted => "RetriesExhausted",
            Self::EventAgeExceeded => "EventAgeExceeded",
        }
    }
}

/// What follows a failed attempt or a throttle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Try again after this wait.
    Again(Duration),
    /// Give up.
    GiveUp(Condition),
}

/// An event's age and what its function's settings allow.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Attempts after the first.
    pub retries: u32,
    /// The age at which it is given up.
    pub event_age: Duration,
    /// Waits before the second and the third attempt.
    pub waits: [Duration; 2],
}

/// The function has failed `attempts` times; the event is `age` old.
pub fn after_failure(attempts: u32, age: Duration, limits: Limits) -> Step {
    if attempts > limits.retries {
        return Step::GiveUp(Condition::RetriesExhausted);
    }
    let [first, second] = limits.waits;
    let wait = if attempts <= 1 { first } else { second };
    bounded(wait, age, limits.event_age)
}

/// The function was throttled `throttles` times in a row. That uses up no attempt: the event waits 1 s, 2 s, 4 s and so on up to
/// 5 minutes, which shrink in the proportion in which the retry waits are shorter than AWS's first, a minute.
pub fn after_throttle(throttles: u32, age: Duration, limits: Limits) -> Step {
    let [first, _] = limits.waits;
    let longest = first.saturating_mul(5).max(Duration::from_millis(1));
    let doubled = Duration::from_secs(1).saturating_mul(1 << throttles.saturating_sub(1).min(16));
    bounded(doubled.min(longest), age, limits.event_age)
}

/// An event that would be too old after the wait waits no longer than it may live, and is then given up.
fn bounded(wait: Duration, age: Duration, event_age: Duration) -> Step {
    match event_age.checked_sub(age) {
        None | Some(Duration::ZERO) => Step::GiveUp(Condition::EventAgeExceeded),
        Some(left) => Step::Again(wait.min(left)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn limits(retries: u32) -> Limits {
        Limits {
            retries,
            event_age: 60 * SECOND,
            waits: [SECOND, 2 * SECOND],
        }
    }

    #[test]
    fn two_retries_make_three_attempts_with_growing_waits() {
        assert_eq!(after_failure(1, SECOND, limits(2)), Step::Again(SECOND));
        assert_eq!(after_failure(2, SECOND, limits(2)), Step::Again(2 * SECOND));
        let exhausted = Step::GiveUp(Condition::RetriesExhausted);
        assert_eq!(after_failure(3, SECOND, limits(2)), exhausted);
        assert_eq!(after_failure(1, SECOND, limits(0)), exhausted);
    }

    #[test]
    fn age_ends_waiting_and_retrying() {
        let old = Step::GiveUp(Condition::EventAgeExceeded);
        assert_eq!(after_failure(1, 60 * SECOND, limits(2)), old);
        assert_eq!(after_throttle(1, 61 * SECOND, limits(2)), old);
        let nearly = Duration::from_millis(59_900);
        assert_eq!(
            after_failure(2, nearly, limits(2)),
            Step::Again(Duration::from_millis(100))
        );
    }

    #[test]
    fn throttles_back_off_and_never_exhaust() {
        let waits: Vec<Step> = (1..=5)
            .map(|throttles| after_throttle(throttles, SECOND, limits(0)))
            .collect();
        let expected = [1, 2, 4, 5, 5].map(|seconds| Step::Again(seconds * SECOND));
        assert_eq!(waits, expected);
        assert_eq!(
            after_throttle(u32::MAX, SECOND, limits(0)),
            Step::Again(5 * SECOND)
        );
    }
}
