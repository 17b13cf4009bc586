//! Operations: redrives and bursts that run in the daemon, whoever watches.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::failed::{Filter, Origin};

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
    /// About how long it takes, at 20 ms a call and without a pause.
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
}

/// The highest cap on events per second.
pub const RATE_MAX: f64 = 100_000.0;

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
    /// How many.
    pub planned: u64,
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
