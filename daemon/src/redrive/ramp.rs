//! The ramp: a redrive of many events begins with one, and each further step waits for a verdict on the one before.
//! Deciding is pure; [`super::climb`] looks and waits.

#[cfg(test)]
mod tests;

use std::time::Duration;

use patterns_core::operation::{Level, Lint, Manner, RAMPED_ABOVE};
use tokio::time::Instant;

use crate::lint::Facts;

/// Each step is this many times as large as the one before.
const GROWTH: u64 = 5;

/// After something was throttled.
const GROWTH_AFTER_THROTTLES: u64 = 2;

/// When a step of this size went well, all the rest follows.
const LARGEST: u64 = 625;

/// Steps at most, about: a plan names each.
const STEPS_MAX: u64 = 1000;

/// One returned event is too many in so many first steps; later more than a tenth of a step.
const STRICT_STEPS: u32 = 2;

/// SQS's counts may be wrong for this long after the last message was sent or deleted.
/// (SQS API Reference, `GetQueueAttributes`.)
const COUNTS_SETTLE: Duration = Duration::from_mins(1);

/// SQS's counts are approximate: this many readings in a row prove a queue empty.
const EMPTY_READINGS: u32 = 2;

/// How long a step waits where nobody can see whether its events come back: as long as the functions' figures cover.
pub const UNVERIFIED_WAIT: Duration = Duration::from_mins(5);

/// Consumers may take this many windows for a step.
const OVERDUE_WINDOWS: u32 = 3;

/// CloudWatch says how old the oldest message is some minutes late.
const AGE_LATE: Duration = Duration::from_mins(5);

/// Fewer new errors of the consumers, and fewer failed events of others, may be chance.
const ERRORS_LEAST: u64 = 3;
const STRANGERS_LEAST: u64 = 10;

/// How many of `planned` events go in each step; none when all go at once: few do, and so do those that go one at a time
/// or that SQS moves, and those of a FIFO queue, where the first failure of a group holds back the rest of it anyway.
/// `at_once` is how many the consumers can take at once, where that is known.
pub fn steps(planned: u64, manner: &Manner, fifo: bool, at_once: Option<u64>) -> Vec<u64> {
    if planned <= RAMPED_ABOVE || manner.all_at_once || manner.careful || manner.native || fifo {
        return Vec::new();
    }
    let most = at_once.unwrap_or(u64::MAX).max(planned.div_ceil(STEPS_MAX));
    let (mut steps, mut left, mut size) = (Vec::new(), planned, 1_u64);
    while left > 0 {
        let wanted = if size > LARGEST { left } else { size };
        let step = wanted.min(most).min(left);
        steps.push(step);
        left -= step;
        size = size.saturating_mul(GROWTH);
    }
    steps
}

/// The steps of a plan. Where nothing is known to process the events there is nothing that steps could wait for.
pub fn planned(facts: &Facts, manner: &Manner, fifo: bool) -> Vec<u64> {
    let verification = &facts.verification;
    let blind = verification.unverified.is_some() && facts.is_consumed();
    if verification.window_seconds.is_none() && !blind {
        return Vec::new();
    }
    steps(facts.planned, manner, fifo, facts.at_once())
}

/// What is to be known about steps whose events cannot be verified.
pub fn note(steps: &[u64], unverified: Option<&str>) -> Option<Lint> {
    let why = unverified.filter(|_| !steps.is_empty())?;
    Some(Lint {
        level: Level::Note,
        what: "the steps go by the consumers' health alone".to_owned(),
        why: format!("whether events come back cannot be seen: {why}"),
        fix: "watch the consumers' errors meanwhile, or redrive with --all-at-once".to_owned(),
        forcible: false,
    })
}

/// Where a run is in the steps of its plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// From 0; a resumed step counts again.
    index: usize,
    /// Events of this step that an earlier run has dealt with.
    pub before: u64,
    /// Events that this step may still send.
    pub size: u64,
    /// Whether something was throttled.
    damped: bool,
}

impl Place {
    /// Where a run begins when earlier ones have dealt with `done` events: in the step that this lies in. A step that was
    /// complete still waits for its verdict and is then repeated in its size.
    pub fn after(steps: &[u64], done: u64) -> Self {
        let mut begin = 0;
        for (index, step) in steps.iter().enumerate() {
            let end = begin + step;
            if done <= end {
                return Self {
                    index,
                    before: done - begin,
                    size: end - done,
                    damped: false,
                };
            }
            begin = end;
        }
        Self {
            index: steps.len().saturating_sub(1),
            before: 0,
            size: 0,
            damped: false,
        }
    }

    /// Number of the step, from 1.
    pub fn number(&self) -> u32 {
        u32::try_from(self.index).map_or(u32::MAX, |index| index.saturating_add(1))
    }

    /// The next step. After throttling it is half as large, and from then on steps grow more slowly.
    pub fn next(self, steps: &[u64], slower: bool) -> Self {
        let whole = self.before + self.size;
        // Nothing was sent in it by this run.
        let repeated = self.size == 0;
        let index = if repeated {
            self.index
        } else {
            (self.index + 1).min(steps.len().saturating_sub(1))
        };
        // Not the remainder that the last one may be: steps that became smaller leave more to send.
        let planned = steps.iter().take(index + 1).max().copied();
        let planned = planned.unwrap_or(u64::MAX);
        let damped = self.damped || slower;
        let size = match (slower, damped) {
            (true, _) => planned.min(whole / 2),
            (false, true) => planned.min(whole.saturating_mul(GROWTH_AFTER_THROTTLES)),
            (false, false) => planned,
        };
        Self {
            index,
            before: 0,
            size: size.max(1),
            damped,
        }
    }
}

/// What was seen of a step since its last event was sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// Which step, from 1.
    pub step: u32,
    /// Events sent in it.
    pub sent: u64,
    /// When the last of them was.
    pub sent_at: Instant,
    /// How long an event may take to come back; nothing where that cannot be seen.
    pub window: Option<Duration>,
    /// Events that came back since the step began, as far as the looks at their dead-letter queues have shown.
    pub returned: u64,
    /// Those of them with the error that they had before.
    pub returned_alike: u64,
    /// Besides these, events that were sent before the operator last had to decide, and came back since the step began.
    pub late: u64,
    /// When the last look began, and whether it met everything.
    pub looked: Option<(Instant, bool)>,
    /// When the next look may begin: a look is not free.
    pub look_from: Instant,
    /// By how much the dead-letter queues have grown since the step began, apart from what was taken out; nothing when it
    /// could not be read what they held.
    pub grown: Option<u64>,
    /// The queue that the events went to; nothing of a function.
    pub target: Option<Backlog>,
    /// What the functions' figures say of those that process the events.
    pub consumers: Vec<Rise>,
}

/// The queue that events were sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backlog {
    /// Its name.
    pub queue: String,
    /// Its messages before the step: visible, in flight and delayed.
    pub before: u64,
    /// Its messages now.
    pub now: u64,
    /// Readings in a row in which it had none.
    pub empty: u32,
    /// Age of its oldest message in seconds before the step and now, where CloudWatch knows it.
    pub age_seconds: Option<(u64, u64)>,
}

/// By how much the figures of a function have risen since the step began. They are sums over the last minutes, so this is
/// the least that is new; and they are minutes late, so what is new may have its cause in an earlier step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rise {
    /// Its name.
    pub function: String,
    /// Runs that ended in an error.
    pub errors: u64,
    /// How many there were in the minutes before that its figures cover.
    pub errors_before: u64,
    /// Deliveries that it was refused.
    pub throttles: u64,
}

/// What becomes of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It went well: the next, larger one.
    Advance,
    /// The next one, but half as large.
    Slower,
    /// Not yet, until this, in words.
    Wait(String),
    /// Whether events came back must be looked for, and then decided again.
    Look,
    /// Too much speaks against it, in words: the operator is to decide.
    Stop(String),
}

/// The one controller.
pub fn decide(seen: &Seen, now: Instant) -> Verdict {
    let elapsed = now.saturating_duration_since(seen.sent_at);
    if let Some(why) = stop(seen, elapsed) {
        return Verdict::Stop(format!(
            "stopped after step {}: {why}; resume to go on with steps of the same size, or cancel",
            seen.step
        ));
    }
    let window = seen.window.unwrap_or(UNVERIFIED_WAIT);
    let empty = seen
        .target
        .as_ref()
        .is_some_and(|target| target.empty >= EMPTY_READINGS);
    let throttled = seen.consumers.iter().find(|rise| rise.throttles > 0);
    if let (Some(rise), Some(target), false) = (throttled, &seen.target, empty) {
        return Verdict::Wait(format!(
            "{} is empty, because {} was throttled",
            target.queue, rise.function
        ));
    }
    let due = if empty {
        window.min(COUNTS_SETTLE)
    } else {
        window
    };
    if elapsed < due {
        let until = format!("the {} s window has passed", window.as_secs());
        return Verdict::Wait(match &seen.target {
            Some(target) => format!("{until} or {} is proven empty", target.queue),
            None => until,
        });
    }
    if let Some(target) = seen.target.as_ref().filter(|target| target.waits()) {
        return Verdict::Wait(format!(
            "{} holds no more than before the step: {} messages",
            target.queue, target.before
        ));
    }
    let looked = seen.looked.filter(|(at, _)| *at >= seen.sent_at + due);
    match (seen.window, looked) {
        (None, _) | (_, Some((_, true))) => {}
        (_, Some((_, false))) if seen.grown.is_some() => {
            if elapsed < COUNTS_SETTLE {
                return Verdict::Wait(
                    "the dead-letter queues' counts can be relied on: not all messages could be looked at"
                        .to_owned(),
                );
            }
        }
        _ if now >= seen.look_from => return Verdict::Look,
        (_, None) => {
            return Verdict::Wait("the dead-letter queues may be looked at again".to_owned());
        }
        (_, Some(_)) => {
            return Verdict::Wait(
                "all messages in the dead-letter queues can be looked at: how many there were before the step is not known"
                    .to_owned(),
            );
        }
    }
    match throttled {
        Some(_) => Verdict::Slower,
        None => Verdict::Advance,
    }
}

impl Rise {
    /// Whether it has more errors than it would have had anyway in that time.
    fn is_above_earlier_rate(&self, elapsed: Duration) -> bool {
        let seconds = elapsed.min(UNVERIFIED_WAIT).as_secs();
        let anyway = self.errors_before.saturating_mul(seconds) / UNVERIFIED_WAIT.as_secs();
        self.errors > anyway
    }
}

impl Backlog {
    /// Whether events of the step may still wait in it.
    fn waits(&self) -> bool {
        self.now > self.before
    }
}

/// Whether so many events came back of a step that no more may be sent.
pub fn too_many(step: u32, returned: u64, sent: u64) -> bool {
    returned > 0 && (step <= STRICT_STEPS || returned.saturating_mul(10) > sent)
}

/// How many of the returned events failed as before. What a redrive policy moves says nothing of its error, so none may mean
/// that there is nothing to compare.
fn alike(returned: u64, alike: u64) -> String {
    match alike {
        0 => String::new(),
        all if all == returned => ", with the error that they had before".to_owned(),
        some => format!(", {some} of them with the error that they had before"),
    }
}

/// What speaks against sending more.
fn stop(seen: &Seen, elapsed: Duration) -> Option<String> {
    let list = "see `patterns-tui failed list`";
    if too_many(seen.step, seen.returned, seen.sent) {
        return Some(format!(
            "{} of {} events came back{} ({list})",
            seen.returned,
            seen.sent,
            alike(seen.returned, seen.returned_alike)
        ));
    }
    // Not all that grows is ours: without a complete look it may be, and with one it is not.
    let grown = seen.grown.unwrap_or(0).saturating_sub(seen.late);
    let strangers = grown.saturating_sub(seen.returned);
    let unknown = !matches!(seen.looked, Some((_, true))) && strangers >= STRANGERS_LEAST;
    if seen.window.is_some() && elapsed >= COUNTS_SETTLE {
        if unknown && too_many(seen.step, grown, seen.sent) {
            return Some(format!(
                "{grown} events came to the dead-letter queues after {} were sent ({list})",
                seen.sent
            ));
        }
        if strangers > seen.sent.max(STRANGERS_LEAST) {
            return Some(format!(
                "{strangers} other events failed meanwhile, more than were sent ({list})"
            ));
        }
    }
    let failing = seen.consumers.iter().find(|rise| {
        rise.errors >= ERRORS_LEAST
            && rise.errors.saturating_mul(2) > seen.sent
            && rise.is_above_earlier_rate(elapsed)
    });
    if let Some(Rise {
        function, errors, ..
    }) = failing
    {
        return Some(format!(
            "{function} ended in an error {errors} times more than before, after {} events were sent",
            seen.sent
        ));
    }
    let window = seen.window.unwrap_or(UNVERIFIED_WAIT);
    let throttled = seen.consumers.iter().find(|rise| rise.throttles > 0);
    if let (Some(rise), Some(target)) = (throttled, &seen.target)
        && target.empty < EMPTY_READINGS
        // The figures tell of throttling for so long after it ended.
        && elapsed >= (window * OVERDUE_WINDOWS).max(UNVERIFIED_WAIT)
    {
        return Some(format!(
            "{} is still throttled and {} is not empty, {} s after the last event was sent; raise its concurrency",
            rise.function,
            target.queue,
            elapsed.as_secs()
        ));
    }
    let target = seen.target.as_ref().filter(|target| target.waits())?;
    if elapsed >= window * OVERDUE_WINDOWS {
        return Some(format!(
            "{} holds {} messages, {} before the step, and nothing takes them in time",
            target.queue, target.now, target.before
        ));
    }
    let bound = (window * OVERDUE_WINDOWS + AGE_LATE).as_secs();
    target
        .age_seconds
        .filter(|(before, age)| age > before && *age > bound && elapsed >= window)
        .map(|(_, age)| format!("the oldest message in {} is {age} s old", target.queue))
}
