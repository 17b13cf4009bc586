//! What outlives a run: queues, functions and tables in a directory that the user named.
//!
//! ```text
//! queues.ndjson    all queues with their messages, written whole: when something changed, and at the end
//! functions.json   functions, event source mappings and events that wait, in the same way
//! zips/            the programs of functions, written when they are uploaded
//! tables.db        DynamoDB's own database: each change is in it before it is answered
//! ```
//!
//! A run that is killed loses what happened to queues and functions since they were last written, about a second or 20 times as long
//! as writing takes; and as the two files are written one after the other, an event that just then goes from a function to a queue may be in
//! neither or in both. Running message move tasks, receive request attempts, metrics and logs end with their run.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufReader, BufWriter, ErrorKind, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::{lambda::Lambda, sqs::Sqs};

/// Shortest time between two writes.
const AT_MOST_EVERY: Duration = Duration::from_secs(1);

/// Writing takes at most this part of one core.
const SHARE_OF_TIME: u32 = 20;

/// A directory that cannot be used, or a file in it.
#[derive(Debug, thiserror::Error)]
#[error(
    "the kept state {path} cannot be used: {problem}. Nothing was started, and it is as it was. Start the version that wrote it, or move it away to begin without it, or choose another directory with --state-dir DIR"
)]
pub struct Unusable {
    /// The file or directory.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: String,
}

impl Unusable {
    /// A problem of `path`.
    pub fn new(path: &Path, problem: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            problem: problem.into(),
        }
    }
}

/// The files of one directory.
#[derive(Clone, Debug)]
pub struct Files {
    directory: PathBuf,
}

impl Files {
    /// Those in `directory`, which is made if it is not there.
    pub fn within(directory: &Path) -> Result<Self, Unusable> {
        let files = Self {
            directory: directory.to_owned(),
        };
        fs::create_dir_all(files.zips())
            .map_err(|error| Unusable::new(directory, error.to_string()))?;
        Ok(files)
    }

    fn queues(&self) -> PathBuf {
        self.directory.join("queues.ndjson")
    }

    fn functions(&self) -> PathBuf {
        self.directory.join("functions.json")
    }

    /// The folder of uploaded programs.
    #[must_use]
    pub fn zips(&self) -> PathBuf {
        self.directory.join("zips")
    }

    /// DynamoDB's database.
    #[must_use]
    pub fn tables(&self) -> PathBuf {
        self.directory.join("tables.db")
    }
}

/// Keeps queues and functions in their files.
pub struct Keeper {
    files: Files,
    sqs: Sqs,
    lambda: Lambda,
    written: Mutex<Written>,
}

/// What the files hold.
#[derive(Default)]
struct Written {
    queues: Option<Queues>,
    functions: Option<String>,
}

type Queues = Vec<(String, String, u64, BTreeMap<String, String>)>;

impl Keeper {
    /// Puts what the files hold in place. Blocks: it reads files.
    pub fn restore(files: Files, sqs: Sqs, lambda: Lambda) -> Result<Self, Unusable> {
        let path = files.queues();
        if let Some(file) = open(&path)? {
            let read = sqs.restore(BufReader::new(file));
            read.map_err(|problem| Unusable::new(&path, problem))?;
        }
        let path = files.functions();
        if let Some(file) = open(&path)? {
            let text = io::read_to_string(file)
                .map_err(|error| Unusable::new(&path, error.to_string()))?;
            let read = lambda.restore(&text);
            read.map_err(|problem| Unusable::new(&path, problem))?;
        }
        Ok(Self {
            files,
            sqs,
            lambda,
            written: Mutex::default(),
        })
    }

    /// Writes what changed since the last time. Blocks: it writes files. With an error the files are as they were.
    pub fn write(&self) -> io::Result<()> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let queues = self.sqs.changes();
        if written.queues.as_ref() != Some(&queues) {
            let copy = self.sqs.copy();
            replace(&self.files.queues(), |out| copy.write(out))?;
            written.queues = Some(queues);
        }
        let functions = self.lambda.copy()?;
        if written.functions.as_ref() != Some(&functions) {
            replace(&self.files.functions(), |out| {
                out.write_all(functions.as_bytes())
            })?;
            self.lambda.forget_zips(&functions)?;
            written.functions = Some(functions);
        }
        Ok(())
    }

    /// Writes again and again, never so often that it would slow the rest down.
    pub async fn keep(self: Arc<Self>) {
        let mut pause = AT_MOST_EVERY;
        loop {
            tokio::time::sleep(pause).await;
            let begun = Instant::now();
            let keeper = self.clone();
            let outcome = tokio::task::spawn_blocking(move || keeper.write_or_tell()).await;
            if let Err(error) = outcome {
                tracing::error!(%error, "the state was not written");
            }
            pause = AT_MOST_EVERY.max(begun.elapsed() * SHARE_OF_TIME);
        }
    }

    /// Writes, and logs a problem with what it means.
    pub fn write_or_tell(&self) {
        if let Err(error) = self.write() {
            let directory = self.files.directory.display();
            tracing::error!(
                "cannot write the state in {directory}: {error}. What was written before is whole and is kept; the next attempt follows"
            );
        }
    }
}

/// The file, if there is one.
fn open(path: &Path) -> Result<Option<File>, Unusable> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Unusable::new(path, error.to_string())),
    }
}

/// Writes a whole new file and puts it in the place of the old one, which is whole until then.
fn replace(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>,
) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    // Always the same name, so that a run which is killed leaves at most one behind, for the next to write over.
    let unfinished = path.with_extension("new");
    let written = File::create(&unfinished).and_then(|new| {
        let mut out = BufWriter::new(&new);
        write(&mut out)?;
        out.flush()?;
        drop(out);
        new.sync_all()?;
        fs::rename(&unfinished, path)
    });
    if let Err(error) = written {
        // Whether or not there is one: the first error is the one to tell.
        let _ = fs::remove_file(&unfinished);
        return Err(error);
    }
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_write_that_fails_leaves_the_old_file_whole_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        replace(&path, |out| out.write_all(b"old")).unwrap();
        let full = |out: &mut BufWriter<&File>| {
            out.write_all(b"half")?;
            Err(io::Error::from(ErrorKind::StorageFull))
        };
        replace(&path, full).unwrap_err();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
