//! What went wrong, why, and what to do next; and the exit codes that go with it.

use serde::{Deserialize, Serialize};

/// Which kind of problem it is; decides the HTTP status on the daemon's socket and the exit code of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// The request itself is wrong. HTTP 400, exit code 2.
    Usage,
    /// The daemon is read-only. HTTP 403, exit code 1.
    ReadOnly,
    /// What it names does not exist. HTTP 404, exit code 1.
    NotFound,
    /// It collides with something that runs, or cannot be done as things stand. HTTP 409, exit code 1.
    Conflict,
    /// There are several targets, and none was named. HTTP 409, exit code 1.
    Ambiguous,
    /// AWS or the pattern's API refused or did not answer. HTTP 502, exit code 1.
    Upstream,
    /// The daemon's own disk or state. HTTP 500, exit code 1.
    Internal,
    /// The daemon cannot be reached. Never sent by it; exit code 3.
    Unreachable,
}

/// A problem as people, screens and scripts see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{what}: {why}")]
pub struct Problem {
    /// Which kind.
    pub kind: ProblemKind,
    /// What happened, as a phrase without a full stop.
    pub what: String,
    /// Why, as precisely as it is known.
    pub why: String,
    /// What to do next; a command where one helps. Empty when there is nothing to do but wait.
    pub fix: String,
}

impl Problem {
    /// A problem from its parts.
    pub fn new(
        kind: ProblemKind,
        what: impl Into<String>,
        why: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            what: what.into(),
            why: why.into(),
            fix: fix.into(),
        }
    }

    /// The HTTP status that carries it on the daemon's socket.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self.kind {
            ProblemKind::Usage => 400,
            ProblemKind::ReadOnly => 403,
            ProblemKind::NotFound => 404,
            ProblemKind::Conflict | ProblemKind::Ambiguous => 409,
            ProblemKind::Internal => 500,
            ProblemKind::Upstream => 502,
            ProblemKind::Unreachable => 503,
        }
    }

    /// The exit code of a command that ends with it.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self.kind {
            ProblemKind::Usage => exit::USAGE,
            ProblemKind::Unreachable => exit::UNREACHABLE,
            _ => exit::FAILED,
        }
    }
}

/// Exit codes, the same for every program and command.
pub mod exit {
    /// All went well.
    pub const OK: u8 = 0;
    /// It was tried and failed.
    pub const FAILED: u8 = 1;
    /// The command line or the request is wrong.
    pub const USAGE: u8 = 2;
    /// The daemon cannot be reached.
    pub const UNREACHABLE: u8 = 3;
    /// The daemon answers, and something is bad.
    pub const UNHEALTHY: u8 = 4;
}
