//! What speaks against a redrive, before it starts. Deciding is pure; [`gather`] asks.

pub mod gather;
#[cfg(test)]
mod tests;
mod verification;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use patterns_core::failed::{Origin, OriginKind};
use patterns_core::operation::{
    Level, Lint, Manner, NATIVE_RATE_MAX, Outlook, Selection, Verification,
};
use patterns_core::problem::Problem;

use crate::ledger::ALIKE_MAX;
use crate::mirror::signature::NO_ERROR;
use crate::redrive::native;
use crate::redrive::ramp::UNVERIFIED_WAIT;

/// A call takes about this long, in milliseconds, and so many are under way at once, unless a redrive is careful: for an
/// estimate.
const CALL_MS: u64 = 20;
const CALLS_AT_ONCE: u64 = 16;

/// Events have to be kept for so many times as long as is estimated.
const RETENTION_PER_ESTIMATE: u64 = 2;

/// The function of an event source should have a sixth of the queue's visibility timeout.
/// (Lambda Developer Guide, "Creating and configuring an Amazon SQS event source mapping".)
const VISIBILITY_PER_TIMEOUT: u64 = 6;

/// What is known when a plan is made.
#[derive(Clone, Debug)]
pub struct Facts {
    /// When that is.
    pub now: Timestamp,
    /// Where the events go.
    pub target: Origin,
    /// How many.
    pub planned: u64,
    /// How many the dead-letter queue holds: those on the way to chosen ones must be received, too.
    pub held: u64,
    /// Which.
    pub selection: Selection,
    /// How long the dead-letter queue keeps a message, in seconds.
    pub retention_seconds: i64,
    /// The events, weighed.
    pub load: Load,
    /// The most bytes that the target takes, when that is known.
    pub largest: Option<u64>,
    /// The target queue's visibility timeout in seconds; none of a function.
    pub visibility_seconds: Option<u64>,
    /// Functions that would process the events.
    pub consumers: Vec<Consumer>,
    /// Whether a message move task of SQS empties the dead-letter queue now.
    pub moving: bool,
    /// Why the target may not be invoked.
    pub denied: Option<Problem>,
    /// What could not be asked.
    pub unknown: Vec<Problem>,
    /// How it will be known whether they were processed.
    pub verification: Verification,
    /// Events that would come back once more.
    pub looping: Looping,
}

/// Events that came back too often with the same error, while nothing changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Looping {
    /// How many.
    pub events: u64,
    /// One of them: its id and its signature.
    pub one: Option<(String, String)>,
}

/// What is known of the events as a whole, as far as the mirror holds them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// How many the mirror holds.
    pub mirrored: u64,
    /// How many are larger than the target takes.
    pub too_large: u64,
    /// How many carry a trace header with a lineage.
    pub traced: u64,
    /// When the oldest entered a queue first: SQS counts its retention from there.
    pub oldest: Option<Timestamp>,
}

/// A function that processes what is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consumer {
    /// Its name.
    pub function: String,
    /// Id and state of its event source mapping; none of a function that is invoked.
    pub mapping: Option<(String, String)>,
    /// The most events that it is given at once.
    pub batch: u64,
    /// Its timeout in seconds, when that could be read.
    pub timeout_seconds: Option<u64>,
    /// Its reserved concurrency, when it has one.
    pub reserved: Option<u64>,
    /// Changes with its code and its configuration.
    pub revision: Option<String>,
}

impl Facts {
    /// Whether something that is known processes the events.
    pub fn is_consumed(&self) -> bool {
        self.target.kind == OriginKind::Function || self.consumers.iter().any(Consumer::listens)
    }

    /// How many events the consumers of a queue can take at once, as far as that is reserved for them: each delivery beyond
    /// that is throttled and counts as a receive. A function that is invoked gets throttled events again for hours.
    /// (Lambda Developer Guide, "Using Lambda with Amazon SQS" and "Asynchronous invocation".)
    pub fn at_once(&self) -> Option<u64> {
        let reserved = self.consumers.iter().filter_map(|consumer| {
            let reserved = consumer.reserved.filter(|_| consumer.mapping.is_some())?;
            Some(reserved.saturating_mul(consumer.batch))
        });
        reserved.min()
    }
}

impl Consumer {
    /// Whether events reach it, or soon will.
    /// (Lambda API Reference, `EventSourceMappingConfiguration`: `State`.)
    fn listens(&self) -> bool {
        self.mapping.as_ref().is_none_or(|(_, state)| {
            matches!(
                state.as_str(),
                "Enabled" | "Enabling" | "Creating" | "Updating"
            )
        })
    }
}

/// What to expect of a redrive, the worst first.
pub fn outlook(facts: &Facts, manner: &Manner, steps: usize) -> Outlook {
    let (expected_calls, expected_seconds) = if manner.native {
        let seconds = paced(facts, manner.rate.unwrap_or(NATIVE_RATE_MAX));
        // One starts the move task, and the others ask how far it is.
        (seconds / native::LOOK.as_secs() + 2, seconds)
    } else {
        let calls = calls(facts);
        (calls, seconds(facts, manner, steps, calls))
    };
    let mut lint: Vec<Lint> = [
        moving(facts),
        denied(facts),
        looping(facts),
        not_consumed(facts),
        too_large(facts),
        expiring(
            facts,
            expected_seconds.saturating_mul(RETENTION_PER_ESTIMATE),
        ),
        traced(facts),
    ]
    .into_iter()
    .flatten()
    .collect();
    for consumer in &facts.consumers {
        lint.extend(stopped(consumer, facts));
        lint.extend(hurried(consumer, facts));
    }
    lint.extend(facts.unknown.iter().map(|problem| Lint {
        level: Level::Note,
        what: format!("not everything was checked: {}", problem.what),
        why: problem.why.clone(),
        fix: problem.fix.clone(),
        forcible: false,
    }));
    lint.sort_by_key(|lint| std::cmp::Reverse(lint.level));
    Outlook {
        expected_seconds,
        expected_calls,
        lint,
    }
}

/// How long so many calls take at the pace of the redrive, and how long its steps wait for those before them.
fn seconds(facts: &Facts, manner: &Manner, steps: usize, calls: u64) -> u64 {
    let at_once = if manner.careful { 1 } else { CALLS_AT_ONCE };
    let called = (calls * CALL_MS).div_ceil(1000 * at_once);
    let paced = manner.rate.map_or(0, |rate| paced(facts, rate));
    let window = facts.verification.window_seconds;
    let wait = window.unwrap_or(UNVERIFIED_WAIT.as_secs());
    let waits = u64::try_from(steps.saturating_sub(1)).unwrap_or(u64::MAX);
    called.max(paced).saturating_add(waits.saturating_mul(wait))
}

/// How long the events take at so many per second.
fn paced(facts: &Facts, rate: f64) -> u64 {
    let planned = f64::from(u32::try_from(facts.planned).unwrap_or(u32::MAX));
    let long = Duration::try_from_secs_f64((planned / rate).ceil());
    long.map_or(u64::MAX, |long| long.as_secs())
}

/// Ten events take a receive and a delete, and one send or ten invocations. Events that were not chosen are received, too.
fn calls(facts: &Facts) -> u64 {
    let received = match facts.selection {
        Selection::Everything => facts.planned,
        Selection::Chosen(_) | Selection::Matching(_) => facts.held.max(facts.planned),
    };
    let sent = match facts.target.kind {
        OriginKind::Queue => facts.planned.div_ceil(10),
        OriginKind::Function => facts.planned,
    };
    received.div_ceil(10) + sent + facts.planned.div_ceil(10)
}

fn moving(facts: &Facts) -> Option<Lint> {
    facts.moving.then(|| Lint {
        level: Level::Stop,
        what: "a message move task of SQS empties the same queue".to_owned(),
        why: "both would take events from each other".to_owned(),
        fix: "wait until it has ended, or end it: aws sqs cancel-message-move-task".to_owned(),
        forcible: false,
    })
}

fn denied(facts: &Facts) -> Option<Lint> {
    facts.denied.as_ref().map(|problem| Lint {
        level: Level::Stop,
        what: problem.what.clone(),
        why: problem.why.clone(),
        fix: problem.fix.clone(),
        forcible: false,
    })
}

fn looping(facts: &Facts) -> Option<Lint> {
    let Looping { events, one } = &facts.looping;
    let (id, signature) = one.as_ref()?;
    let error = if signature == NO_ERROR {
        ", and no error is recorded"
    } else {
        " with the same error"
    };
    Some(Lint {
        level: Level::Stop,
        what: format!("{events} of the events came back {ALIKE_MAX} times or more{error}"),
        why: format!(
            "neither they nor the functions that process them have changed since, so they would come back again; one is {id}: {signature}"
        ),
        fix: "mend the function, edit the events, or leave these out".to_owned(),
        forcible: true,
    })
}

fn not_consumed(facts: &Facts) -> Option<Lint> {
    if facts.is_consumed() {
        return None;
    }
    let name = &facts.target.name;
    let Some((function, (id, state))) = facts
        .consumers
        .iter()
        .find_map(|consumer| Some((&consumer.function, consumer.mapping.as_ref()?)))
    else {
        return facts.unknown.is_empty().then(|| Lint {
            level: Level::Note,
            what: format!("no function consumes {name}"),
            why: "if nothing else does, the events wait there".to_owned(),
            fix: String::new(),
            forcible: false,
        });
    };
    Some(Lint {
        level: Level::Stop,
        what: format!("the event source of {function} is {}", state.to_lowercase()),
        why: format!("the events would wait in {name}, and nothing would process them"),
        fix: format!("aws lambda update-event-source-mapping --uuid {id} --enabled"),
        forcible: true,
    })
}

fn too_large(facts: &Facts) -> Option<Lint> {
    let largest = facts.largest.filter(|_| facts.load.too_large > 0)?;
    let all = facts.load.too_large >= facts.planned;
    Some(Lint {
        level: if all { Level::Stop } else { Level::Warning },
        what: format!(
            "{} of the events are larger than {} takes",
            facts.load.too_large, facts.target
        ),
        why: format!(
            "it takes at most {largest} bytes; they would fail and stay in the dead-letter queue"
        ),
        fix: match facts.target.kind {
            OriginKind::Queue => format!("raise MaximumMessageSize of {}", facts.target.name),
            OriginKind::Function => "leave them out, and process them by hand".to_owned(),
        },
        forcible: false,
    })
}

fn expiring(facts: &Facts, seconds: u64) -> Option<Lint> {
    let expires = facts
        .load
        .oldest?
        .checked_add(SignedDuration::from_secs(facts.retention_seconds))
        .ok()?;
    let ends = i64::try_from(seconds).ok().and_then(|seconds| {
        facts
            .now
            .checked_add(SignedDuration::from_secs(seconds))
            .ok()
    })?;
    (expires < ends).then(|| Lint {
        level: Level::Warning,
        what: "SQS may delete some of the events before the redrive ends".to_owned(),
        why: format!(
            "the oldest is deleted at {expires}, sooner than in twice the time that the redrive is expected to take"
        ),
        fix: "redrive the oldest first, with --until, or raise MessageRetentionPeriod of the dead-letter queue (it takes up to 15 minutes)".to_owned(),
        forcible: false,
    })
}

/// Lambda stops a function that receives an event of its own about the 16th time.
/// (Lambda Developer Guide, "Use Lambda recursive loop detection".)
fn traced(facts: &Facts) -> Option<Lint> {
    (facts.load.traced > 0 && facts.target.kind == OriginKind::Queue).then(|| Lint {
        level: Level::Warning,
        what: format!("{} of the events carry a trace header with a lineage", facts.load.traced),
        why: "it is kept, and Lambda counts it: after about 16 rounds it takes them for a loop and stops them".to_owned(),
        fix: "if they were redriven often: aws lambda put-function-recursion-config --recursive-loop Allow".to_owned(),
        forcible: false,
    })
}

fn stopped(consumer: &Consumer, facts: &Facts) -> Option<Lint> {
    let function = &consumer.function;
    (consumer.reserved == Some(0)).then(|| Lint {
        level: Level::Stop,
        what: format!("the function {function} may not run: its reserved concurrency is 0"),
        why: match facts.target.kind {
            OriginKind::Function => {
                "Lambda sends the events straight back without a try".to_owned()
            }
            OriginKind::Queue => {
                "each throttled delivery counts as a receive, so the events come back untried"
                    .to_owned()
            }
        },
        fix: format!("aws lambda delete-function-concurrency --function-name {function}"),
        forcible: true,
    })
}

fn hurried(consumer: &Consumer, facts: &Facts) -> Option<Lint> {
    let (visibility, timeout) = (facts.visibility_seconds?, consumer.timeout_seconds?);
    (visibility < timeout).then(|| Lint {
        level: Level::Warning,
        what: format!(
            "messages of {} come back while {} may still work on them",
            facts.target.name, consumer.function
        ),
        why: format!(
            "the visibility timeout is {visibility} s, the function's timeout {timeout} s"
        ),
        fix: format!(
            "set the queue's VisibilityTimeout to at least {} s",
            timeout * VISIBILITY_PER_TIMEOUT
        ),
        forcible: false,
    })
}
