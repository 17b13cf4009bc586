//! Files that one process holds at a time: the kernel gives them back when their holder ends, however that ends.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

/// A process that was killed a moment ago may still have its files open while the kernel ends it.
const PATIENCE: Duration = Duration::from_secs(1);
const RETRY: Duration = Duration::from_millis(20);

/// Why a file is not ours.
#[derive(Debug)]
pub enum NotOurs {
    /// The process of this id has it; empty when that is not known.
    Held(String),
    /// The file cannot be used.
    Io(io::Error),
}

impl From<io::Error> for NotOurs {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Locks the file and writes our process id into it. The lock lives as long as the file is open. The file is never
/// removed: two processes could then lock two files of the same name.
pub fn hold(path: &Path) -> Result<File, NotOurs> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    let until = Instant::now() + PATIENCE;
    while let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
        if error != rustix::io::Errno::WOULDBLOCK {
            return Err(io::Error::from(error).into());
        }
        if Instant::now() < until {
            thread::sleep(RETRY);
            continue;
        }
        let mut pid = String::new();
        // For a message only; the holder may be writing it just now.
        let _ = file.read_to_string(&mut pid);
        return Err(NotOurs::Held(pid.trim().to_owned()));
    }
    file.set_len(0)?;
    file.rewind()?;
    write!(file, "{}", std::process::id())?;
    Ok(file)
}
