//! A circuit breaker: who does not answer is left alone for a while, so that callers are told at once and it can recover.
//!
//! ```text
//! closed ──(5 calls in a row without an answer)──> open for 30 s: every call is refused
//!    ^                                               │
//!    └──────(the one probe after that answers)───────┘ and if it does not: open for another 30 s
//! ```

use std::time::{Duration, Instant};

/// So many calls in a row without an answer open the circuit.
const TOLERATED: u32 = 5;

/// The circuit to one service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breaker {
    /// How long calls are refused before the next probe.
    pause: Duration,
    circuit: Circuit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Circuit {
    /// Calls pass.
    Closed {
        /// Calls without an answer since the last one with.
        failures: u32,
    },
    /// Calls are refused.
    Open {
        /// Until then; the first call after it is the probe.
        until: Instant,
    },
}

impl Breaker {
    /// A closed circuit that, once open, refuses calls for `pause`.
    #[must_use]
    pub fn new(pause: Duration) -> Self {
        Self {
            pause,
            circuit: Circuit::Closed { failures: 0 },
        }
    }

    /// Whether a call may pass, or how long to wait. The call that passes an open circuit is its probe: others are
    /// refused until the probe ended, or for another pause if it never does.
    pub fn admit(&mut self, now: Instant) -> Result<(), Duration> {
        match self.circuit {
            Circuit::Closed { .. } => Ok(()),
            Circuit::Open { until } if now < until => Err(until - now),
            Circuit::Open { .. } => {
                self.open(now);
                Ok(())
            }
        }
    }

    /// A call was answered, whatever the answer.
    pub fn answered(&mut self) {
        self.circuit = Circuit::Closed { failures: 0 };
    }

    /// A call was not answered.
    pub fn failed(&mut self, now: Instant) {
        match &mut self.circuit {
            Circuit::Closed { failures } if *failures + 1 < TOLERATED => *failures += 1,
            Circuit::Closed { .. } | Circuit::Open { .. } => self.open(now),
        }
    }

    fn open(&mut self, now: Instant) {
        self.circuit = Circuit::Open {
            until: now + self.pause,
        };
    }

    /// The word that operators know.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self.circuit {
            Circuit::Closed { .. } => "closed",
            Circuit::Open { .. } => "open",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PAUSE: Duration = Duration::from_secs(30);

    #[test]
    fn five_failures_open_it_and_one_good_probe_closes_it() {
        let start = Instant::now();
        let mut breaker = Breaker::new(PAUSE);
        for _ in 0..5 {
            assert_eq!(breaker.admit(start), Ok(()));
            breaker.failed(start);
        }
        assert_eq!(breaker.admit(start), Err(PAUSE));
        assert_eq!(breaker.word(), "open");

        // The probe fails: another pause, from then on.
        assert_eq!(breaker.admit(start + PAUSE), Ok(()));
        let later = start + PAUSE + Duration::from_secs(1);
        assert!(breaker.admit(later).is_err(), "one probe at a time");
        breaker.failed(later);
        assert_eq!(breaker.admit(later), Err(PAUSE));

        assert_eq!(breaker.admit(later + PAUSE), Ok(()));
        breaker.answered();
        assert_eq!(breaker, Breaker::new(PAUSE));
    }

    #[test]
    fn an_answer_in_between_starts_the_count_again() {
        let now = Instant::now();
        let mut breaker = Breaker::new(PAUSE);
        for _ in 0..10 {
            for _ in 0..4 {
                breaker.failed(now);
            }
            breaker.answered();
        }
        assert_eq!(breaker.word(), "closed");
    }

    proptest! {
        /// Against a service that never answers, whatever the times of the calls: five pass, then at most one in 30 s.
        #[test]
        fn a_dead_service_is_called_rarely(waits in prop::collection::vec(0_u64..45_000, 1..200)) {
            let mut now = Instant::now();
            let mut breaker = Breaker::new(PAUSE);
            let mut passed = Vec::new();
            for wait in waits {
                now += Duration::from_millis(wait);
                match breaker.admit(now) {
                    Ok(()) => {
                        passed.push(now);
                        breaker.failed(now);
                    }
                    Err(wait) => {
                        prop_assert!(!wait.is_zero() && wait <= PAUSE);
                        // Who waits as long as told is let through.
                        prop_assert_eq!(breaker.clone().admit(now + wait), Ok(()));
                    }
                }
            }
            for pair in passed.get(4..).unwrap_or_default().windows(2) {
                prop_assert!(pair[1] - pair[0] >= PAUSE);
            }
        }

        /// A service that answers is never refused, however often it fails in between, unless five times in a row.
        #[test]
        fn it_opens_only_after_five_in_a_row(answers in prop::collection::vec(any::<bool>(), 1..200)) {
            let now = Instant::now();
            let mut breaker = Breaker::new(PAUSE);
            let mut in_a_row = 0;
            for answer in answers {
                prop_assert_eq!(breaker.admit(now).is_ok(), in_a_row < 5);
                if in_a_row == 5 {
                    break;
                }
                if answer {
                    breaker.answered();
                    in_a_row = 0;
                } else {
                    breaker.failed(now);
                    in_a_row += 1;
                }
            }
        }
    }
}
