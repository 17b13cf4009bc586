//! Operations: redrives and bursts that run in the daemon, whoever watches.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::failed::{Filter, Origin};
use crate::problem::{Problem, ProblemKind};

/// How far an operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationState {
    /// Frozen and not started.
    Planned,
    /// At work.
    Running,
    /// Stopped by someone who may let it go on. It stays so, also when the daemon is started again.
    Paused,
    /// Ended; what could not be done is counted in `failed` and `skipped`.
    Completed,
    /// Ended by someone before everything was dealt with; what was not reached is counted in `skipped`.
    Cancelled,
    /// Stopped for the reason in `error`; nothing more happens.
    Failed,
}

impl OperationState {
    /// Whether nothing more will happen.
    #[must_use]
    pub fn ended(self) -> bool {
        matches!(self, Self::Completed | Self::Cancelled | Self::Failed)
    }

    /// The word on screen, in JSON and in the ledger.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        }
    }
}

/// Which events of a dead-letter queue a redrive takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Selection {
    /// As many messages as the queue held when the plan was made. Arrivals during the run cannot be told apart
    /// (the enqueue time survives the move into a standard dead-letter queue), so some of them may be taken instead.
    Everything,
    /// Exactly these events, by [`crate::failed::FailedEvent::id`].
    Chosen(Vec<String>),
    /// Exactly the events that the mirror held when the plan was made and for which this holds.
    Matching(Filter),
}

/// How much speaks against a redrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Good to know.
    Note,
    /// Some events may not arrive, or not be processed.
    Warning,
    /// It is refused as things stand.
    Stop,
}

/// One thing that speaks against a redrive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lint {
    /// How much.
    pub level: Level,
    /// What was found, as a phrase without a full stop.
    pub what: String,
    /// What it would lead to.
    pub why: String,
    /// What to do about it; a command where one helps.
    pub fix: String,
    /// Whether a redrive that it stops starts nevertheless when it is forced.
    pub forcible: bool,
}

/// What to expect of a redrive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outlook {
    /// About how long it takes, at 20 ms a call, with the waits between its steps and at most as fast as its rate.
    #[serde(default)]
    pub expected_seconds: u64,
    /// How many calls of AWS it takes at least.
    #[serde(default)]
    pub expected_calls: u64,
    /// What speaks against it, the worst first.
    #[serde(default)]
    pub lint: Vec<Lint>,
}

/// How a redrive goes about it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manner {
    /// At most this many events per second, above 0, at most [`RATE_MAX`]; as fast as it can when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// One event at a time, and one that may have been sent already waits for the operator instead of being sent again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub careful: bool,
    /// Without the steps that more than [`RAMPED_ABOVE`] events go in.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all_at_once: bool,
    /// By a message move task of SQS instead of by the daemon: of the whole queue, unchanged, to a queue, and without
    /// knowing what becomes of any event. [`Self::rate`] is then a whole number up to [`NATIVE_RATE_MAX`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub native: bool,
}

impl Manner {
    /// Refuses what cannot be meant.
    pub fn check(&self) -> Result<(), Problem> {
        let no = |what: &str, why: String, fix: &str| {
            Err(Problem::new(ProblemKind::Usage, what, why, fix))
        };
        match self.rate {
            Some(rate) if !(rate > 0.0 && rate <= RATE_MAX) => no(
                "the rate is not possible",
                format!("{rate} events per second are not above 0 and at most {RATE_MAX}"),
                "choose another, or none to go as fast as it can",
            ),
            Some(rate) if self.native && (rate.fract() > 0.0 || rate > NATIVE_RATE_MAX) => no(
                "the rate is not possible",
                format!(
                    "SQS moves a whole number of messages per second, from 1 to {NATIVE_RATE_MAX}, and not {rate}"
                ),
                "choose another, or none to leave it to SQS",
            ),
            _ if self.native && self.careful => no(
                "a message move task is not careful",
                "SQS moves messages by itself and asks about none".to_owned(),
                "leave out --native, or --careful",
            ),
            _ => Ok(()),
        }
    }
}

/// More events than this go in steps: each waits until those before it are proven processed, and all stop when too many
/// come back.
pub const RAMPED_ABOVE: u64 = 20;

/// Messages that a move task of SQS moves per second at most. (SQS API Reference, `StartMessageMoveTask`.)
pub const NATIVE_RATE_MAX: f64 = 500.0;

/// The highest cap on events per second.
pub const RATE_MAX: f64 = 100_000.0;

/// What is changed in an event's payload before it is sent. Everything else of the event stays as it is. The record of a
/// failed invocation that goes to a queue is not edited: its payload is the event inside, and the whole record is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Edit {
    /// A JSON Patch (RFC 6902) of payloads that are JSON.
    Patch(Value),
    /// This instead of the payload.
    Payload(String),
}

/// What an edit makes of one event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edited {
    /// The event, by [`crate::failed::FailedEvent::id`].
    pub id: String,
    /// Its payload as it is; JSON is indented.
    pub before: String,
    /// Its payload as it will be sent; JSON is indented.
    pub after: String,
}

/// A plan shows at most this many edited events, and only while they have no more than [`EDITS_BYTES`] together.
pub const EDITS_SHOWN: usize = 20;

/// See [`EDITS_SHOWN`].
pub const EDITS_BYTES: usize = 262_144;

/// How it will be known whether the events were processed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    /// An event that has not come back for this long is settled. On the queue route `maxReceiveCount` times visibility
    /// timeout plus delay; on the function route the waits before its retries plus `(retries + 1)` timeouts; a tenth more
    /// on both, because that is when it starts to come back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_seconds: Option<u64>,
    /// Names of the dead-letter queues in which events that fail again turn up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub returns_to: Vec<String>,
    /// Why it cannot be known, if so: then nothing counts as settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unverified: Option<String>,
    /// Revision of each function that processes the events, by name, when the plan was made. A change of code or
    /// configuration changes it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub revisions: BTreeMap<String, String>,
}

/// A frozen selection with its route: what the operator confirms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Starting the same plan twice runs it once.
    pub plan_id: String,
    /// Name of the queue that is emptied.
    pub dead_letter_queue: String,
    /// Where the events go: the source queue, or the function that is invoked again.
    pub target: Origin,
    /// Whether that is a queue that the operator named and where they did not fail.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub elsewhere: bool,
    /// How fast and how carefully.
    #[serde(default)]
    pub manner: Manner,
    /// Which events.
    pub selection: Selection,
    /// What is changed in them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edit: Option<Edit>,
    /// What that makes of the first of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edits: Vec<Edited>,
    /// The operation whose sent events this takes back, if so: then `dead_letter_queue` is the queue they were sent to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub takes_back: Option<String>,
    /// How many.
    pub planned: u64,
    /// How many go in each step at first; none when all go at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<u64>,
    /// How it will be known whether they were processed.
    #[serde(default, flatten)]
    pub verification: Verification,
    /// The account it runs in.
    pub account_id: String,
    /// The region it runs in.
    pub region: String,
    /// After this the plan is refused: the queue may have changed.
    pub expires_at: Timestamp,
    /// What to expect.
    #[serde(default, flatten)]
    pub outlook: Outlook,
}

/// A redrive, planned, running or ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redrive {
    /// The operation's id; equal to the plan's for a dry run, which starts no operation.
    pub operation_id: String,
    /// The plan it carries out.
    pub plan_id: String,
    /// How far it is.
    pub state: OperationState,
    /// Name of the queue that is emptied.
    pub dead_letter_queue: String,
    /// Where the events go.
    pub target: Origin,
    /// Events in the plan.
    pub planned: u64,
    /// Events that were sent to the queue or handed to the function, deleted ones included.
    pub sent: u64,
    /// Events that were sent and whose copy in the dead-letter queue is deleted.
    pub deleted: u64,
    /// Events that could not be sent; they stay in the dead-letter queue.
    pub failed: u64,
    /// Events of the plan that were not found any more, or not reached before it was cancelled.
    pub skipped: u64,
    /// Events that were sent and have not come back within their window.
    #[serde(default)]
    pub settled: u64,
    /// Events that were sent, failed again and are in a dead-letter queue again.
    #[serde(default)]
    pub returned: u64,
    /// Those of them that failed with the error that they had before.
    #[serde(default)]
    pub returned_alike: u64,
    /// Events that were sent and taken back before they were processed.
    #[serde(default)]
    pub taken_back: u64,
    /// About how many a message move task of SQS has moved, when that does it: then nothing counts as sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved: Option<u64>,
    /// Why it cannot be known which events settled, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unverified: Option<String>,
    /// Where the ramp is, while there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<Step>,
    /// Why it was started, in the operator's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// User id of who started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_by: Option<u32>,
    /// Ids of events that may have been sent twice because the daemon ended between intent and answer; the first
    /// [`IN_DOUBT_SHOWN`] of them.
    pub in_doubt: Vec<String>,
    /// How many are in doubt in all.
    pub in_doubt_count: u64,
    /// Why it failed, or why events failed, in words.
    pub error: Option<String>,
    /// When it was started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

impl Redrive {
    /// A plan as a redrive that was not started.
    #[must_use]
    pub fn planned(plan: &Plan) -> Self {
        Self {
            operation_id: plan.plan_id.clone(),
            plan_id: plan.plan_id.clone(),
            state: OperationState::Planned,
            dead_letter_queue: plan.dead_letter_queue.clone(),
            target: plan.target.clone(),
            planned: plan.planned,
            sent: 0,
            deleted: 0,
            failed: 0,
            skipped: 0,
            settled: 0,
            returned: 0,
            returned_alike: 0,
            taken_back: 0,
            moved: plan.manner.native.then_some(0),
            unverified: plan.verification.unverified.clone(),
            step: None,
            reason: None,
            requested_by: None,
            in_doubt: Vec::new(),
            in_doubt_count: 0,
            error: None,
            started_at: None,
            ended_at: None,
        }
    }

    /// Whether nothing is left to learn: it ended, and all that was sent is settled, returned or taken back, or that
    /// cannot be known.
    #[must_use]
    pub fn judged(&self) -> bool {
        let known = self.settled + self.returned + self.taken_back;
        self.state.ended() && (self.unverified.is_some() || known >= self.sent)
    }
}

/// Where a ramp is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// From 1.
    pub number: u32,
    /// Events it may send.
    pub size: u64,
    /// What the next step waits for, in words; absent while events are sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<String>,
}

/// A snapshot names at most this many in-doubt events per operation, so that its size stays bounded.
pub const IN_DOUBT_SHOWN: usize = 20;

/// Latency from the *intended* time of each request to its answer, in milliseconds: a stalled system is not flattered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LatencyMs {
    /// Median.
    pub p50: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 99th percentile.
    pub p99: f64,
    /// 99.9th percentile.
    pub p999: f64,
    /// The slowest.
    pub max: f64,
}

/// A load burst: tasks created at a fixed rate, whether or not the system keeps up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Burst {
    /// The operation's id.
    pub operation_id: String,
    /// How far it is.
    pub state: OperationState,
    /// The pattern whose API is called.
    pub pattern: String,
    /// Tasks to create.
    pub count: u64,
    /// Tasks per second asked for.
    pub requested_rate: f64,
    /// Tasks per second answered with success so far, or over the whole burst once it ended.
    pub achieved_rate: f64,
    /// Tasks that were created.
    pub sent: u64,
    /// Requests that were refused or got no answer.
    pub failed: u64,
    /// Tasks that could not even be asked for in time, because too many requests were still unanswered.
    pub shortfall: u64,
    /// How long the answers took.
    pub latency_ms: LatencyMs,
    /// Failures by kind: `429`, `500`, `timeout`, `connection`.
    pub errors: BTreeMap<String, u64>,
    /// When it was started.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// What runs or ran in the daemon.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Operation {
    /// Failed events on their way back.
    Redrive(Redrive),
    /// Load.
    Burst(Burst),
}

impl Operation {
    /// The operation's id.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Redrive(redrive) => &redrive.operation_id,
            Self::Burst(burst) => &burst.operation_id,
        }
    }

    /// How far it is.
    #[must_use]
    pub fn state(&self) -> OperationState {
        match self {
            Self::Redrive(redrive) => redrive.state,
            Self::Burst(burst) => burst.state,
        }
    }

    /// When it was started; `None` while planned.
    #[must_use]
    pub fn started_at(&self) -> Option<Timestamp> {
        match self {
            Self::Redrive(redrive) => redrive.started_at,
            Self::Burst(burst) => Some(burst.started_at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_has_limits() {
        let rate = |rate| {
            let manner = Manner {
                rate: Some(rate),
                ..Manner::default()
            };
            manner.check()
        };
        for impossible in [0.0, -1.0, 1e9, f64::NAN, f64::INFINITY] {
            assert_eq!(rate(impossible).unwrap_err().kind, ProblemKind::Usage);
        }
        assert!(rate(0.1).is_ok());
        assert!(Manner::default().check().is_ok());
    }

    #[test]
    fn a_move_task_takes_what_sqs_takes() {
        let native = |rate, careful| {
            let manner = Manner {
                rate,
                careful,
                native: true,
                ..Manner::default()
            };
            manner.check().is_ok()
        };
        for (rate, possible) in [
            (None, true),
            (Some(1.0), true),
            (Some(500.0), true),
            (Some(501.0), false),
            (Some(0.5), false),
            (Some(1.5), false),
        ] {
            assert_eq!(native(rate, false), possible, "{rate:?}");
        }
        assert!(!native(None, true));
    }
}
