//! The whole contract between the daemon and whoever asks it: HTTP with JSON on a Unix socket.
//!
//! | call | answer |
//! |---|---|
//! | `GET /v1/hello` | [`Hello`] |
//! | `GET /v1/snapshot` | [`Snapshot`](crate::snapshot::Snapshot) |
//! | `GET /v1/watch` | snapshots, one a line (NDJSON), at most four a second, the latest wins |
//! | `POST /v1/requests` with an [`Envelope`] | [`Reply`] |
//!
//! What fails answers with a [`Problem`](crate::problem::Problem) and its HTTP status.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::audit::{Entry, Outcome};
use crate::failed::{FailedDetail, FailedGroups, FailedList, Filter, Message};
use crate::operation::{Edit, Manner, Operation, Plan, Selection};
use crate::task::{NewTask, Task};

/// Both sides must speak the same; anything else is refused with both numbers.
pub const PROTOCOL: u32 = 1;

/// Who answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`PROTOCOL`] of the daemon.
    pub protocol: u32,
    /// Version of the daemon.
    pub version: String,
    /// Process id of the daemon.
    pub pid: u32,
    /// When it started.
    pub started_at: Timestamp,
    /// Where it keeps its databases.
    pub state_dir: String,
    /// From STS; `None` until AWS first answered.
    pub account_id: Option<String>,
    /// The region it watches; `None` when none is configured.
    pub region: Option<String>,
    /// Where AWS is, when it is not AWS's own address.
    pub endpoint_url: Option<String>,
    /// Whether it refuses everything that changes something.
    pub read_only: bool,
}

/// A request with an id that its sender made up. Repeating an id answers with the first reply and does nothing again,
/// so a dropped connection can be retried safely.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    /// 1 to 64 characters, unique per wish; a UUID is a good one.
    pub id: String,
    /// What is wished for.
    pub request: Request,
}

/// What the daemon can be asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Failed events from the mirror, newest first.
    FailedList {
        /// Name of one dead-letter queue; all when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dead_letter_queue: Option<String>,
        /// At most this many, 1 to [`FAILED_LIMIT`]; that many when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<u32>,
        /// Which of them.
        #[serde(default, skip_serializing_if = "Filter::is_empty")]
        filter: Filter,
    },
    /// Failed events by signature, the largest group first.
    FailedGroups {
        /// Name of one dead-letter queue; all when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dead_letter_queue: Option<String>,
    },
    /// Mirrored messages, whole, in the order of their ids: a page of them.
    FailedExport {
        /// Name of one dead-letter queue; all when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dead_letter_queue: Option<String>,
        /// The last id of the page before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<String>,
    },
    /// Sends messages to a dead-letter queue, as they were exported from one.
    FailedImport {
        /// Its name.
        dead_letter_queue: String,
        /// 1 to [`IMPORT_MAX`], together at most [`MESSAGE_BYTES_MAX`](crate::failed::MESSAGE_BYTES_MAX).
        messages: Vec<Message>,
    },
    /// One failed event with payload, attributes, logs and history.
    FailedShow {
        /// Its id, or enough leading digits to be the only one.
        id: String,
    },
    /// Freezes a selection and resolves its route. Changes nothing.
    Plan {
        /// Name of the queue to empty.
        dead_letter_queue: String,
        /// Which events.
        selection: Selection,
        /// Where to, when several origins are possible: a queue's or a function's name among them. Or any other queue.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<String>,
        /// How fast and how carefully.
        #[serde(default)]
        manner: Manner,
        /// What to change in the events.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        edit: Option<Edit>,
    },
    /// Freezes what a redrive has sent and what may not be processed yet, as a plan that takes it back into the
    /// dead-letter queue. Changes nothing.
    TakeBack {
        /// The redrive's id.
        id: String,
    },
    /// Carries out a plan. The same plan started twice runs once.
    Start {
        /// From [`Plan`].
        plan_id: String,
        /// Why, for the audit; at most [`REASON_MAX`] bytes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// Whether to start it though something stops it that can be forced.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        force: bool,
    },
    /// One operation as it stands.
    Operation {
        /// Its id.
        id: String,
    },
    /// What became of each event of a redrive, in the order in which they were taken: a page of them.
    Outcomes {
        /// The redrive's id.
        id: String,
        /// The last message id of the page before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<String>,
    },
    /// The audit, oldest first: a page of it.
    Audit {
        /// Only entries of this operation.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        operation_id: Option<String>,
        /// The last number of the page before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<u64>,
    },
    /// Lets a redrive stop after the batches under way, until it is resumed. A paused one stays as it is.
    Pause {
        /// The operation's id.
        id: String,
    },
    /// Lets a paused redrive go on. A running one stays as it is.
    Resume {
        /// The operation's id.
        id: String,
    },
    /// Ends a redrive after the batches under way. What was not reached stays in the dead-letter queue.
    Cancel {
        /// The operation's id.
        id: String,
    },
    /// Creates a task through a pattern's API.
    TaskCreate {
        /// Name of a configured pattern; the only one when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pattern: Option<String>,
        /// The task.
        task: NewTask,
    },
    /// All tasks of a pattern, newest first.
    TaskList {
        /// Name of a configured pattern; the only one when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pattern: Option<String>,
    },
    /// Starts creating tasks at a fixed rate.
    Burst {
        /// Name of a configured pattern; the only one when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pattern: Option<String>,
        /// Tasks per second, above 0, at most [`BURST_RATE_MAX`].
        rate: f64,
        /// Tasks in all, 1 to [`BURST_COUNT_MAX`].
        count: u64,
    },
    /// Breaks or heals the deliveries of one of our functions by its environment.
    SetDelivery {
        /// The function's name.
        function: String,
        /// `true` lets every delivery fail, `false` none.
        broken: bool,
    },
    /// Asks AWS again now instead of at the next round.
    Refresh,
}

impl Request {
    /// Whether it changes something in the account, and is refused by a read-only daemon.
    #[must_use]
    pub fn changes(&self) -> bool {
        match self {
            Self::Start { .. }
            | Self::FailedImport { .. }
            | Self::Pause { .. }
            | Self::Resume { .. }
            | Self::Cancel { .. }
            | Self::TaskCreate { .. }
            | Self::Burst { .. }
            | Self::SetDelivery { .. } => true,
            Self::FailedList { .. }
            | Self::FailedExport { .. }
            | Self::FailedGroups { .. }
            | Self::FailedShow { .. }
            | Self::Plan { .. }
            | Self::TakeBack { .. }
            | Self::Operation { .. }
            | Self::Outcomes { .. }
            | Self::Audit { .. }
            | Self::TaskList { .. }
            | Self::Refresh => false,
        }
    }
}

/// Bytes in a reason.
pub const REASON_MAX: usize = 1000;

/// A page of outcomes or of the audit holds at most this many.
pub const PAGE: usize = 1000;

/// Messages in one import.
pub const IMPORT_MAX: usize = 10;

/// A list of failed events holds at most this many.
pub const FAILED_LIMIT: u32 = 1000;

/// Tasks per second in a burst.
pub const BURST_RATE_MAX: f64 = 10_000.0;

/// Tasks in a burst.
pub const BURST_COUNT_MAX: u64 = 1_000_000;

/// The answer to a request, one kind for each verb that has one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "value", rename_all = "snake_case")]
#[allow(
    clippy::large_enum_variant,
    reason = "one exists for each request, and not for long"
)]
pub enum Reply {
    /// To [`Request::FailedList`].
    Failed(FailedList),
    /// To [`Request::FailedExport`]; none after the last.
    Messages(Vec<Message>),
    /// To [`Request::FailedImport`]: for each message its new id, or why it was not sent.
    Imported(Vec<Result<String, String>>),
    /// To [`Request::FailedGroups`].
    Groups(FailedGroups),
    /// To [`Request::FailedShow`].
    Event(Box<FailedDetail>),
    /// To [`Request::Plan`] and [`Request::TakeBack`].
    Plan(Box<Plan>),
    /// To [`Request::Outcomes`]; none after the last.
    Outcomes(Vec<Outcome>),
    /// To [`Request::Audit`]; none after the last.
    Audit(Vec<Entry>),
    /// To [`Request::Start`], [`Request::Burst`], [`Request::Operation`], [`Request::Pause`], [`Request::Resume`] and
    /// [`Request::Cancel`].
    Operation(Operation),
    /// To [`Request::TaskCreate`].
    Task(Task),
    /// To [`Request::TaskList`].
    Tasks(Vec<Task>),
    /// To [`Request::SetDelivery`] and [`Request::Refresh`].
    Done,
}
