//! Where this run keeps its files: a directory that goes away with it, or one that the user named.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A directory that can be written, checked before anything is started.
pub struct Place {
    path: PathBuf,
    /// Removes the directory when dropped, where it is ours alone.
    _temporary: Option<tempfile::TempDir>,
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
        Ok(Self {
            path,
            _temporary: None,
        })
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
