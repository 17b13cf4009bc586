//! Where this run keeps its files: a directory that goes away with it, or one that the user named.

use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use uuid::Uuid;

/// A directory that can be written, checked before anything is started.
pub struct Place {
    path: PathBuf,
    /// Removes the directory when dropped, where it is ours alone.
    _temporary: Option<tempfile::TempDir>,
    /// Keeps a second run out of a directory that the user named: it would write its own address into our daemon's
    /// configuration.
    lock: Option<File>,
}

impl Place {
    /// The directory `chosen`, made if needed and only for this user, or a new temporary one.
    pub fn make(chosen: Option<&Path>) -> Result<Self> {
        let Some(path) = chosen else {
            let temporary = tempfile::Builder::new()
                .prefix("patterns-local-")
                .tempdir()
                .context("cannot make a temporary directory; name another place with --state-dir DIR or $TMPDIR")?;
            return Ok(Self {
                path: temporary.path().to_path_buf(),
                _temporary: Some(temporary),
                lock: None,
            });
        };
        let unusable = || {
            format!(
                "cannot write the state directory {}; nothing was started. Make it writable or name another with --state-dir DIR",
                path.display()
            )
        };
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .with_context(unusable)?;
        // The one sure way to know that files can be made here.
        tempfile::tempfile_in(path).with_context(unusable)?;
        let path = path.canonicalize().with_context(unusable)?;
        let lock = File::create(path.join("patterns-local.lock")).with_context(unusable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!(
                "another patterns-local runs in the state directory {}; nothing was started. Stop it or name another with --state-dir DIR",
                path.display()
            ),
            Err(TryLockError::Error(error)) => return Err(error).with_context(unusable),
        }
        Ok(Self {
            path,
            _temporary: None,
            lock: Some(lock),
        })
    }

    /// Names the world that lives here: the same in every run in a directory that the user named, otherwise a new one.
    pub fn instance(&self) -> Result<Uuid> {
        let file = self.path.join("instance");
        let cannot = || format!("cannot tell which world this is, by {}", file.display());
        match std::fs::read_to_string(&file) {
            Ok(text) => Uuid::parse_str(text.trim()).with_context(cannot),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let instance = Uuid::new_v4();
                let mut new = tempfile::NamedTempFile::new_in(&self.path).with_context(cannot)?;
                write!(new, "{instance}").with_context(cannot)?;
                new.as_file().sync_all().with_context(cannot)?;
                new.persist(&file).with_context(cannot)?;
                Ok(instance)
            }
            Err(error) => Err(error).with_context(cannot),
        }
    }

    /// Where the emulator keeps its state: nowhere in a directory that goes away.
    pub fn state_dir(&self) -> Option<PathBuf> {
        self.lock.is_some().then(|| self.path.join("aws"))
    }

    /// The directory, absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where `program` logs to when the dashboard has the terminal.
    pub fn log_file(&self, program: &str) -> PathBuf {
        self.path.join(format!("{program}.log"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_for_one_run_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let _first = Place::make(Some(&path)).unwrap();
        let Err(error) = Place::make(Some(&path)) else {
            panic!("two runs share a directory")
        };
        assert!(
            error.to_string().contains("another patterns-local"),
            "{error}"
        );
    }
}
