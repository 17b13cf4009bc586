//! The daemon's Unix socket: bound by one daemon at a time, replaced when it is stale, closed to strangers.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use patterns_core::problem::{Problem, ProblemKind};
use tokio::net::UnixListener;

use crate::lock::{NotOurs, hold};

/// A bound socket. The lock lives as long as the process; the file is removed when this is dropped.
#[derive(Debug)]
pub struct Bound {
    /// Listens.
    pub listener: UnixListener,
    /// What keeps the place.
    pub place: Place,
}

/// The right to a socket's path.
#[derive(Debug)]
pub struct Place {
    path: PathBuf,
    _lock: File,
}

impl Drop for Place {
    fn drop(&mut self) {
        // The lock is still held, so nobody else's socket is removed. The lock file stays: removing it would let two
        // daemons lock two files of the same name.
        let _ = fs::remove_file(&self.path);
    }
}

/// Binds `path`. A directory that does not exist is created for this user alone. The socket is for this user alone, too,
/// or with `group` also for the group of the directory, which systemd sets up.
pub fn bind(path: &Path, group: bool) -> Result<Bound, Problem> {
    let failed = |error: io::Error| {
        Problem::new(
            ProblemKind::Internal,
            format!("cannot listen on {}", path.display()),
            error.to_string(),
            "choose another place with --socket PATH",
        )
    };
    if let Some(directory) = path.parent()
        && !directory.as_os_str().is_empty()
    {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(failed)?;
    }
    let lock = lock(path)?;
    remove_stale(path).map_err(|error| match error {
        Stale::Answers => taken(path, ""),
        Stale::NoSocket => failed(io::Error::other("a file that is no socket is in its place")),
        Stale::Io(error) => failed(error),
    })?;
    let listener = UnixListener::bind(path).map_err(failed)?;
    let mode = if group { 0o660 } else { 0o600 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(failed)?;
    Ok(Bound {
        listener,
        place: Place {
            path: path.to_owned(),
            _lock: lock,
        },
    })
}

/// The lock beside the socket.
fn lock(path: &Path) -> Result<File, Problem> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let name = PathBuf::from(name);
    hold(&name).map_err(|error| match error {
        NotOurs::Held(pid) => taken(path, &pid),
        NotOurs::Io(error) => Problem::new(
            ProblemKind::Internal,
            format!("cannot lock {}", name.display()),
            error.to_string(),
            "choose another place with --socket PATH",
        ),
    })
}

fn taken(path: &Path, pid: &str) -> Problem {
    let who = if pid.is_empty() {
        "another program".to_owned()
    } else {
        format!("another daemon, process {pid},")
    };
    Problem::new(
        ProblemKind::Conflict,
        "a daemon is running already",
        format!("{who} listens on {}", path.display()),
        "stop it first, or choose another place with --socket PATH",
    )
}

enum Stale {
    Answers,
    NoSocket,
    Io(io::Error),
}

/// Removes a socket that nobody listens on.
fn remove_stale(path: &Path) -> Result<(), Stale> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Stale::Io(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => return Err(Stale::NoSocket),
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(Stale::Answers),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(Stale::Io)
        }
        Err(error) => Err(Stale::Io(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stale_socket_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/daemon.sock");
        fs::create_dir(dir.path().join("run")).unwrap();
        // Its listener is dropped without removing the file, as by kill -9.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let bound = bind(&path, false).unwrap();
        UnixStream::connect(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(bound);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_second_daemon_is_refused_and_told_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/daemon.sock");
        let first = bind(&path, true).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o660);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        let problem = bind(&path, true).unwrap_err();
        assert!(
            problem.why.contains(&std::process::id().to_string()),
            "{problem}"
        );
        UnixStream::connect(&path).unwrap();
        drop(first);
        bind(&path, true).unwrap();
    }

    #[tokio::test]
    async fn what_is_not_ours_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "precious").unwrap();
        assert!(bind(&file, false).is_err());
        assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
        let other = dir.path().join("other.sock");
        let _listener = std::os::unix::net::UnixListener::bind(&other).unwrap();
        assert_eq!(bind(&other, false).unwrap_err().kind, ProblemKind::Conflict);
        UnixStream::connect(&other).unwrap();
    }
}
