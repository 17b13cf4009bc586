//! How fast events may go: never above the operator's cap, half as fast after throttling, and faster again with time.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

/// After throttling the earlier speed is reached again in about this many seconds.
const CLIMB_SECONDS: f64 = 8.0;

/// Events per second when nothing goes any slower.
const SLOWEST: f64 = 1.0;

/// The controller. Pure: whoever asks tells the time and waits.
#[derive(Debug)]
pub struct Pace {
    /// The operator's cap, in events per second.
    cap: Option<f64>,
    /// What is allowed now; no limit until something was throttled, when there is no cap.
    rate: f64,
    /// By how much `rate` grows in a second.
    climb: f64,
    /// Until when `rate` was brought up to date.
    climbed_at: Instant,
    halved_at: Option<Instant>,
    /// When the next events may go, so that they spread evenly.
    next: Instant,
    /// What went in the last second, the oldest first: no second holds more than the cap, however it is placed.
    went: VecDeque<(Instant, f64)>,
}

impl Pace {
    /// At the cap, or without any limit.
    pub fn new(cap: Option<f64>, now: Instant) -> Self {
        Self {
            cap,
            rate: cap.unwrap_or(f64::INFINITY),
            climb: 0.0,
            climbed_at: now,
            halved_at: None,
            next: now,
            went: VecDeque::new(),
        }
    }

    /// How many events may go at once at most.
    pub fn batch(&self) -> u64 {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a cast saturates, and a cap is above 0"
        )]
        self.cap.map_or(u64::MAX, |cap| (cap as u64).max(1))
    }

    /// Reserves the next turn for that many events; when it is.
    pub fn turn(&mut self, events: usize, now: Instant) -> Instant {
        let events = as_float(events);
        self.climb(now);
        let mut at = self.next.max(now);
        if let Some(cap) = self.cap {
            at = self.after_full_second(at, events, cap.max(1.0));
        }
        self.next = at + Duration::try_from_secs_f64(events / self.rate).unwrap_or(Duration::ZERO);
        self.forget(at);
        self.went.push_back((at, events));
        at
    }

    /// Something was throttled: from now on half as fast as it went. Calls under way at that moment say the same once.
    pub fn throttled(&mut self, now: Instant) {
        if self
            .halved_at
            .is_some_and(|at| now.saturating_duration_since(at) < SECOND)
        {
            return;
        }
        self.climb(now);
        self.forget(now);
        let went: f64 = self.went.iter().map(|(_, events)| events).sum();
        let before = self.rate.min(went).max(SLOWEST);
        self.rate = (before / 2.0).max(SLOWEST);
        self.climb = (before / 2.0).max(SLOWEST) / CLIMB_SECONDS;
        self.halved_at = Some(now);
    }

    fn climb(&mut self, now: Instant) {
        let seconds = now.saturating_duration_since(self.climbed_at).as_secs_f64();
        self.climbed_at = self.climbed_at.max(now);
        self.rate = (self.rate + self.climb * seconds).min(self.cap.unwrap_or(f64::INFINITY));
    }

    /// The first moment from `at` on, at which the second before it has room for that many events.
    fn after_full_second(&mut self, mut at: Instant, events: f64, cap: f64) -> Instant {
        let mut sum: f64 = self.went.iter().map(|(_, events)| events).sum();
        while let Some((earlier, gone)) = self.went.front().copied() {
            if earlier + SECOND > at {
                if sum + events <= cap.floor() {
                    break;
                }
                at = earlier + SECOND;
            }
            sum -= gone;
            self.went.pop_front();
        }
        at
    }

    fn forget(&mut self, now: Instant) {
        while self.went.front().is_some_and(|(at, _)| *at + SECOND <= now) {
            self.went.pop_front();
        }
    }
}

fn as_float(events: usize) -> f64 {
    // A batch has at most ten.
    f64::from(u32::try_from(events).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_second_holds_more_than_the_cap(
            cap in 0.2_f64..200.0,
            steps in proptest::collection::vec((1_usize..=10, 0_u64..400, any::<bool>()), 1..200),
        ) {
            let mut now = Instant::now();
            let mut pace = Pace::new(Some(cap), now);
            let mut turns: Vec<(Instant, usize)> = Vec::new();
            for (events, wait, throttled) in steps {
                now += Duration::from_millis(wait);
                if throttled {
                    pace.throttled(now);
                }
                let events = events.min(usize::try_from(pace.batch()).unwrap());
                turns.push((pace.turn(events, now), events));
            }
            for (at, (begin, _)) in turns.iter().enumerate() {
                let second = turns[at..].iter().take_while(|(turn, _)| *turn < *begin + SECOND);
                let events: usize = second.map(|(_, events)| events).sum();
                prop_assert!(as_float(events) <= cap.max(1.0), "{events} in a second of {cap}");
            }
        }
    }

    /// Events of full batches that get their turn within a second from `begin`.
    fn in_a_second(pace: &mut Pace, begin: Instant) -> usize {
        let mut now = begin;
        let mut events = 0;
        while now < begin + SECOND && events < 100_000 {
            now = pace.turn(10, now).max(now);
            events += 10;
        }
        events
    }

    #[test]
    fn a_cap_is_reached_and_without_one_nothing_waits() {
        let begin = Instant::now();
        let mut capped = Pace::new(Some(100.0), begin);
        in_a_second(&mut capped, begin);
        let events = in_a_second(&mut capped, begin + SECOND);
        assert!((90..=110).contains(&events), "{events}");
        let mut free = Pace::new(None, begin);
        assert_eq!(in_a_second(&mut free, begin), 100_000);
    }

    #[test]
    fn throttling_halves_once_and_the_speed_comes_back() {
        let begin = Instant::now();
        let mut pace = Pace::new(None, begin);
        // Without a limit: a hundred batches, ten milliseconds apart.
        let mut now = begin;
        for _ in 0..100 {
            assert_eq!(pace.turn(10, now), now);
            now += Duration::from_millis(10);
        }
        for _ in 0..16 {
            pace.throttled(now);
        }
        let events = in_a_second(&mut pace, now);
        assert!((480..=600).contains(&events), "{events}");
        let events = in_a_second(&mut pace, now + SECOND * 9);
        assert!(events > 1000, "{events}");
    }

    #[test]
    fn less_than_one_a_second_is_possible() {
        let begin = Instant::now();
        let mut pace = Pace::new(Some(0.1), begin);
        assert_eq!(pace.batch(), 1);
        assert_eq!(pace.turn(1, begin), begin);
        assert_eq!(pace.turn(1, begin), begin + Duration::from_secs(10));
    }
}
