//! The words that the daemon, the dashboard and the functions share.
//!
//! No tokio, no AWS and no terminal in here: only what they say to each other.
//!
//! ```text
//! SQS, Lambda, CloudWatch ──> daemon ──(Snapshot, NDJSON on a Unix socket)──> dashboard
//!                               ^                                               │
//!                               └──────────(Request, answered by Reply)─────────┘
//! ```
//!
//! - [`queue`], [`function`], [`failed`], [`task`], [`operation`]: what exists and what happens to it
//! - [`snapshot`]: everything known at one instant; [`health`] judges it
//! - [`audit`]: who changed what, why, and what became of it
//! - [`protocol`]: the whole contract between daemon and dashboard on one page
//! - [`problem`]: what went wrong, why, and what to do next; and the exit codes
//! - [`config`], [`paths`]: the daemon's configuration, and where files and the socket are
//! - [`text`]: hostile characters made visible; [`json`]: JSON in other layouts, without loss

pub mod audit;
pub mod config;
pub mod failed;
pub mod function;
pub mod health;
pub mod json;
pub mod operation;
pub mod paths;
pub mod problem;
pub mod protocol;
pub mod queue;
pub mod snapshot;
pub mod task;
pub mod text;
