//! How fast events may go: never above the operator's cap, half as fast after throttling, and faster again with time.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

/// After throttling the highest speed there was is reached again in about this many seconds.
const CLIMB_SECONDS: f64 = 8.0;

/// Events per second when nothing goes any slower: a call a second, so that the end of throttling is noticed.
const SLOWEST: f64 = 10.0;

/// One event in so many may be throttled: calls that are refused now and then cost only their repetition.
const THROTTLED_ONE_IN: f64 = 10.0;

/// The controller. Pure: whoever asks tells the time and waits.
#[derive(Debug)]
pub struct Pace {
    /// The operator's cap, in events per second.
    cap: Option<f64>,
    /// What is allowed now; no limit until something was throttled, when there is no cap.
    rate: f64,
    /// The most events that went within a second.
    peak: f64,
    /// Until when `rate` was brought up to date.
    climbed_at: Instant,
    halved_at: Option<Instant>,
    /// When the next events may go, so that they spread evenly.
    next: Instant,
    /// What went in the last second, the oldest first: no second holds more than the cap, however it is placed.
    went: VecDeque<(Instant, f64)>,
    /// What was answered in the last second, and how much of it was throttled, the oldest first.
    answers: VecDeque<(Instant, f64, f64)>,
}

impl Pace {
    /// At the cap, or without any limit.
    pub fn new(cap: Option<f64>, now: Instant) -> Self {
        Self {
            cap,
            rate: cap.unwrap_or(f64::INFINITY),
            peak: 0.0,
            climbed_at: now,
            halved_at: None,
            next: now,
            went: VecDeque::new(),
            answers: VecDeque::new(),
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

    /// Takes in what became of events that went: `throttled` of `all`. With too many throttled in the last second it goes
    /// half as fast from now on; calls under way at that moment say the same once.
    pub fn answered(&mut self, throttled: usize, all: usize, now: Instant) {
        self.answers
            .push_back((now, as_float(throttled), as_float(all)));
        while self
            .answers
            .front()
            .is_some_and(|(at, ..)| *at + SECOND <= now)
        {
            self.answers.pop_front();
        }
        let sum =
            |(throttled, all), (_, some, of): &(Instant, f64, f64)| (throttled + some, all + of);
        let (refused, answered) = self.answers.iter().fold((0.0, 0.0), sum);
        self.peak = self.peak.max(answered - refused);
        let halved = self
            .halved_at
            .is_some_and(|at| now.saturating_duration_since(at) < SECOND);
        if throttled == 0 || halved || refused * THROTTLED_ONE_IN <= answered {
            return;
        }
        self.climb(now);
        self.forget(now);
        let went: f64 = self.went.iter().map(|(_, events)| events).sum();
        self.rate = (self.rate.min(went) / 2.0).max(self.slowest());
        self.halved_at = Some(now);
    }

    fn slowest(&self) -> f64 {
        self.cap.map_or(SLOWEST, |cap| cap.min(SLOWEST))
    }

    /// Grows the rate by a part of what once went well, for each second since the last time.
    fn climb(&mut self, now: Instant) {
        let seconds = now.saturating_duration_since(self.climbed_at).as_secs_f64();
        self.climbed_at = self.climbed_at.max(now);
        let a_second = self.peak.max(self.slowest()) / CLIMB_SECONDS;
        self.rate = (self.rate + a_second * seconds).min(self.cap.unwrap_or(f64::INFINITY));
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
                pace.answered(usize::from(throttled), 1, now);
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

    /// A pace without a cap after a second of a hundred batches, ten milliseconds apart, and the end of that second.
    fn thousand_a_second() -> (Pace, Instant) {
        let mut now = Instant::now();
        let mut pace = Pace::new(None, now);
        for _ in 0..100 {
            assert_eq!(pace.turn(10, now), now);
            pace.answered(0, 10, now);
            now += Duration::from_millis(10);
        }
        (pace, now)
    }

    #[test]
    fn throttling_halves_once_and_the_speed_comes_back() {
        let (mut pace, now) = thousand_a_second();
        for _ in 0..16 {
            pace.answered(10, 10, now);
        }
        let events = in_a_second(&mut pace, now);
        assert!((480..=660).contains(&events), "{events}");
        let events = in_a_second(&mut pace, now + SECOND * 9);
        assert!(events > 1000, "{events}");
    }

    #[test]
    fn after_long_throttling_nine_tenths_of_the_speed_are_back_in_ten_seconds() {
        let (mut pace, begin) = thousand_a_second();
        let mut now = begin;
        while now < begin + SECOND * 30 {
            now = pace.turn(10, now).max(now);
            pace.answered(5, 10, now);
        }
        let slow = in_a_second(&mut pace, now);
        assert!(slow < 300, "{slow}");
        let fast = in_a_second(&mut pace, now + SECOND * 10);
        assert!(fast >= 900, "{fast}");
    }

    #[test]
    fn a_few_throttled_calls_slow_nothing_down() {
        let (mut pace, now) = thousand_a_second();
        pace.answered(10, 10, now);
        assert_eq!(in_a_second(&mut pace, now), 100_000);
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
