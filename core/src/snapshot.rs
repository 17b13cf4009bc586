//! Everything the daemon knows at one instant. It is streamed whole and the latest wins, so a reader that was away has
//! nothing to catch up on.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::function::Function;
use crate::operation::Operation;
use crate::problem::Problem;
use crate::queue::Queue;

/// A snapshot holds at most this many operations, the newest.
pub const OPERATIONS_SHOWN: usize = 20;

/// Everything known at `as_of`; at most about 500 bytes a resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// When this snapshot was made; each figure carries its own, older, time.
    pub as_of: Timestamp,
    /// From STS; empty until AWS first answered.
    pub account_id: String,
    /// The region that is watched.
    pub region: String,
    /// Where AWS is, when it is not AWS's own address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint_url: Option<String>,
    /// Whether the daemon refuses everything that changes something.
    pub read_only: bool,
    /// Names of the patterns whose URL is configured: tasks can be created there.
    pub patterns: Vec<String>,
    /// All queues by name.
    pub queues: Vec<Queue>,
    /// All functions by name.
    pub functions: Vec<Function>,
    /// The newest first, at most [`OPERATIONS_SHOWN`].
    pub operations: Vec<Operation>,
    /// What keeps the daemon from seeing everything, such as an expired token.
    pub problems: Vec<Problem>,
    /// What is as it is and worth knowing, such as a queue whose failed events are not shown: nothing to mend.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl Snapshot {
    /// The queue of that name.
    #[must_use]
    pub fn queue(&self, name: &str) -> Option<&Queue> {
        self.queues.iter().find(|queue| queue.name == name)
    }

    /// The function of that name.
    #[must_use]
    pub fn function(&self, name: &str) -> Option<&Function> {
        self.functions.iter().find(|function| function.name == name)
    }

    /// The operation of that id.
    #[must_use]
    pub fn operation(&self, id: &str) -> Option<&Operation> {
        self.operations
            .iter()
            .find(|operation| operation.id() == id)
    }
}
