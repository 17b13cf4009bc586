//! The log of every message's life, appended as it happens: what a test counts to prove that nothing was lost, altered or
//! doubled.
//!
//! One JSON object a line, in the order in which the queues changed:
//!
//! ```text
//! {"n":1,"at":1767225600000,"queue":"orders","event":"sent","message_id":"…","body":"…","attributes":null,…}
//! ```
//!
//! `n` counts from 1, `at` is the emulator's time in epoch milliseconds. Events of a queue: `sent` (with the sums of what was sent),
//! `deduplicated`, `received` (with `receive_count`), `deleted`, `moved` (with `to`, and `new_message_id` when a move task did
//! it), `expired`, `purged`. Events of asynchronous invocations name a `function` and the request id: `accepted` (with the sum
//! of the payload), `succeeded`, `dropped`.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use serde::Serialize;

/// Where events are told. Cheap to clone; clones write to the same log, and without a log to none.
#[derive(Clone, Debug, Default)]
pub struct Witness {
    log: Option<Arc<Log>>,
}

#[derive(Debug)]
struct Log {
    path: PathBuf,
    lines: Mutex<Lines>,
}

#[derive(Debug)]
struct Lines {
    file: BufWriter<File>,
    last: u64,
}

/// One thing that happened to a message or an event.
#[derive(Serialize)]
struct Line<'a, T> {
    n: u64,
    at: i64,
    #[serde(flatten)]
    what: &'a T,
}

impl Witness {
    /// Writes to a new file at `path`.
    pub fn to(path: &Path) -> io::Result<Self> {
        let lines = Lines {
            file: BufWriter::new(File::create(path)?),
            last: 0,
        };
        Ok(Self {
            log: Some(Arc::new(Log {
                path: path.to_owned(),
                lines: Mutex::new(lines),
            })),
        })
    }

    /// Whether anybody reads what is told.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.log.is_some()
    }

    /// Appends `what`, which happened at `at` (epoch milliseconds).
    pub(crate) fn tell(&self, at: i64, what: &impl Serialize) {
        let Some(log) = &self.log else {
            return;
        };
        let mut lines = log.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.last += 1;
        let line = Line {
            n: lines.last,
            at,
            what,
        };
        let written = serde_json::to_writer(&mut lines.file, &line)
            .map_err(io::Error::from)
            .and_then(|()| lines.file.write_all(b"\n"));
        // A gap in `n` tells the reader.
        if let Err(error) = written {
            tracing::error!(%error, path = %log.path.display(), "the witness could not write");
        }
    }

    /// The log's file and its length with everything that was told so far, which ends with a line; nothing where no log is kept.
    pub(crate) fn file(&self) -> io::Result<Option<(File, u64)>> {
        let Some(log) = &self.log else {
            return Ok(None);
        };
        let mut lines = log.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.file.flush()?;
        let file = File::open(&log.path)?;
        let length = file.metadata()?.len();
        Ok(Some((file, length)))
    }
}
