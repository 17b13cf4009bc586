//! The state directory: there, writable, and ours alone, or nothing is started.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use patterns_core::problem::{Problem, ProblemKind};

use crate::lock::{NotOurs, hold};

/// A directory for the databases that this process owns as long as this lives. Two daemons with one ledger would each not
/// know what the other sends.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    _lock: File,
}

impl StateDir {
    /// Takes the directory, which is created for this user alone when it does not exist.
    pub fn take(path: PathBuf) -> Result<Self, Problem> {
        let failed = |error: io::Error| {
            Problem::new(
                ProblemKind::Internal,
                format!("cannot write the state directory {}", path.display()),
                error.to_string(),
                "correct its permissions, or choose another with --state-dir DIR",
            )
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .map_err(failed)?;
        let lock = hold(&path.join("daemon.lock")).map_err(|error| match error {
            NotOurs::Io(error) => failed(error),
            NotOurs::Held(pid) => Problem::new(
                ProblemKind::Conflict,
                "a daemon is running already",
                format!("process {pid} uses the state directory {}", path.display()),
                "stop it first, or choose another with --state-dir DIR",
            ),
        })?;
        Ok(Self { path, _lock: lock })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_directory_has_one_owner_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/state");
        let first = StateDir::take(path.clone()).unwrap();
        let mode = std::fs::metadata(first.path())
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o700);
        let problem = StateDir::take(path.clone()).unwrap_err();
        assert!(
            problem.why.contains(&std::process::id().to_string()),
            "{problem}"
        );
        drop(first);
        StateDir::take(path).unwrap();
    }

    #[test]
    fn a_place_that_cannot_be_written_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let problem = StateDir::take(file.join("state")).unwrap_err();
        assert!(problem.what.contains("file/state"), "{problem}");
        assert_eq!(problem.exit_code(), 1);
    }
}
