//! Where a function's program comes from: an uploaded zip, or a path on this machine.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Cursor, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::error::invalid_parameter;
use crate::error::AwsError;

/// Uploaded directly, a zip may have 50 MB (AWS Lambda developer guide, "Lambda quotas").
pub const MAX_ZIP_BYTES: usize = 50 * 1024 * 1024;

/// Unpacked it may have 250 MB (same page).
pub const MAX_UNPACKED_BYTES: u64 = 250 * 1024 * 1024;

/// Folders of unpacked zips begin with it.
pub const PREFIX: &str = "code-";

/// The program of a function.
#[derive(Clone, Debug, Default)]
pub enum Code {
    /// `bootstrap` in the folder of an unpacked zip.
    Zip {
        /// The folder, removed when nothing runs in it any more.
        folder: Arc<TempDir>,
        /// Size of the zip in bytes.
        size: u64,
        /// Base64 SHA-256 of the zip.
        digest: String,
    },
    /// A program on this machine, named by the convention `S3Bucket=hot-reload`, `S3Key=<path>`.
    Path(PathBuf),
    /// A program that the host of this emulator provides under the function's `Handler`.
    #[default]
    Handler,
}

/// Two zips are the same program if their bytes are, wherever they are unpacked.
impl PartialEq for Code {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Zip { digest, .. }, Self::Zip { digest: other, .. }) => digest == other,
            (Self::Path(path), Self::Path(other)) => path == other,
            (Self::Handler, Self::Handler) => true,
            _ => false,
        }
    }
}

impl Code {
    /// The program, its arguments and the folder it runs in. `function_command` starts the programs named by a `Handler`.
    pub fn command(
        &self,
        handler: &str,
        function_command: &[OsString],
        work_dir: &Path,
    ) -> io::Result<(OsString, Vec<OsString>, PathBuf)> {
        match self {
            Self::Zip { folder, .. } => {
                let folder = folder.path();
                Ok((
                    folder.join("bootstrap").into(),
                    Vec::new(),
                    folder.to_owned(),
                ))
            }
            Self::Path(path) if path.is_dir() => {
                Ok((path.join("bootstrap").into(), Vec::new(), path.clone()))
            }
            Self::Path(path) => {
                let folder = path.parent().unwrap_or(Path::new("/")).to_owned();
                Ok((path.clone().into(), Vec::new(), folder))
            }
            Self::Handler => {
                let [program, leading @ ..] = function_command else {
                    return Err(io::Error::other(
                        "no program is configured for functions without code",
                    ));
                };
                let mut arguments = leading.to_vec();
                arguments.push(handler.into());
                Ok((program.clone(), arguments, work_dir.to_owned()))
            }
        }
    }
}

/// The program at `path`, which must be absolute and exist.
pub fn at_path(path: &str) -> Result<Code, AwsError> {
    let path = PathBuf::from(path);
    let program = if path.is_dir() {
        path.join("bootstrap")
    } else {
        path.clone()
    };
    if !path.is_absolute() || !is_program(&program) {
        return Err(invalid_parameter(format!(
            "S3Bucket hot-reload runs the program at the absolute path in S3Key, or the `bootstrap` in that folder: {} is not an executable file",
            program.display()
        )));
    }
    Ok(Code::Path(path))
}

/// Unpacks `zip` into a new folder in `parent`. Blocks: it reads and writes files.
pub fn unpack(zip: &[u8], parent: &Path) -> Result<Code, AwsError> {
    if zip.len() > MAX_ZIP_BYTES {
        return Err(invalid_parameter(format!(
            "the zip has {} bytes; at most {MAX_ZIP_BYTES} can be uploaded",
            zip.len()
        )));
    }
    let folder = tempfile::Builder::new()
        .prefix(PREFIX)
        .tempdir_in(parent)
        .map_err(|error| {
            AwsError::new(
                500,
                "ServiceException",
                format!("cannot create a folder in {}: {error}", parent.display()),
            )
        })?;
    unpack_bounded(zip, folder.path(), MAX_UNPACKED_BYTES)?;
    let program = folder.path().join("bootstrap");
    if !program.is_file() {
        return Err(invalid_parameter(
            "the zip has no file `bootstrap` at its top, which a provided.al2 or provided.al2023 function runs",
        ));
    }
    if !is_program(&program) {
        tracing::warn!(
            "`bootstrap` is not executable in its zip, so its function cannot start: give it the mode 755 (Python's `zipfile` gives 600)"
        );
    }
    Ok(Code::Zip {
        folder: Arc::new(folder),
        size: zip.len() as u64,
        digest: STANDARD.encode(Sha256::digest(zip)),
    })
}

/// Whether `path` is a file that may be run.
pub fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

fn unpack_bounded(zip: &[u8], folder: &Path, limit: u64) -> Result<(), AwsError> {
    let cannot_read = |error: &dyn std::fmt::Display| {
        invalid_parameter(format!(
            "Could not unzip uploaded file. Please check your file, then try to upload again. ({error})"
        ))
    };
    let mut archive =
        zip::ZipArchive::new(Cursor::new(zip)).map_err(|error| cannot_read(&error))?;
    let mut left = limit;
    for index in 0..archive.len() {
        let mut file = archive
            .by_index(index)
            .map_err(|error| cannot_read(&error))?;
        // `None` for `../x` and the like; `/x` is `x`, as `unzip` has it. Nothing is written outside the folder.
        let Some(name) = file.enclosed_name() else {
            return Err(invalid_parameter(format!(
                "the zip holds {:?}, which lies outside of it",
                file.name()
            )));
        };
        let target = folder.join(name);
        if file.is_dir() {
            create_folder(&target)?;
            continue;
        }
        if !file.is_file() {
            return Err(invalid_parameter(format!(
                "the zip holds the link {:?}; only files and folders are unpacked",
                file.name()
            )));
        }
        if let Some(parent) = target.parent() {
            create_folder(parent)?;
        }
        // Zips made by tools that know no permissions say nothing (boto3 users often write them so): then anything may run.
        let mode = match file.unix_mode() {
            Some(mode) if mode & 0o777 != 0 => mode & 0o777 | 0o600,
            _ => 0o755,
        };
        let copied = write_file(&mut file, &target, mode, left)?;
        left = left.checked_sub(copied).ok_or_else(|| {
            invalid_parameter(format!("Unzipped size must be smaller than {limit} bytes"))
        })?;
    }
    Ok(())
}

/// Copies at most one byte more than `left`, whatever size the zip claims, and answers how many.
fn write_file(file: &mut impl Read, target: &Path, mode: u32, left: u64) -> Result<u64, AwsError> {
    let mut copy = || -> io::Result<u64> {
        let mut output = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(target)?;
        let copied = io::copy(&mut file.take(left + 1), &mut output)?;
        output.flush()?;
        Ok(copied)
    };
    copy()
        .map_err(|error| invalid_parameter(format!("cannot unpack {}: {error}", target.display())))
}

fn create_folder(path: &Path) -> Result<(), AwsError> {
    fs::create_dir_all(path)
        .map_err(|error| invalid_parameter(format!("cannot create {}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::Write as _;

    use zip::write::SimpleFileOptions;

    use super::*;

    fn zip_of(files: &[(&str, u32, &[u8])]) -> Vec<u8> {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, mode, bytes) in files {
            let options = SimpleFileOptions::default().unix_permissions(*mode);
            writer.start_file(*name, options).unwrap();
            writer.write_all(bytes).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    #[test]
    fn a_bootstrap_stays_executable() {
        let dir = tempfile::tempdir().unwrap();
        let zip = zip_of(&[
            ("bootstrap", 0o755, b"#!/bin/sh\n"),
            ("lib/data", 0o644, b"x"),
        ]);
        let Code::Zip { folder, .. } = unpack(&zip, dir.path()).unwrap() else {
            panic!("a zip was unpacked")
        };
        assert!(is_program(&folder.path().join("bootstrap")));
        assert!(!is_program(&folder.path().join("lib/data")));
        let path = folder.path().to_owned();
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn a_bootstrap_that_nobody_may_run_stays_so() {
        let dir = tempfile::tempdir().unwrap();
        let zip = zip_of(&[("bootstrap", 0o600, b"#!/bin/sh\n")]);
        let Code::Zip { folder, .. } = unpack(&zip, dir.path()).unwrap() else {
            panic!("a zip was unpacked")
        };
        assert!(!is_program(&folder.path().join("bootstrap")));
    }

    #[test]
    fn refuses_a_zip_without_bootstrap_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let error = unpack(&zip_of(&[("main.py", 0o755, b"x")]), dir.path()).unwrap_err();
        assert!(error.message.contains("bootstrap"), "{error}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn refuses_paths_that_leave_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("f");
        let error = unpack_bounded(&zip_of(&[("../evil", 0o644, b"x")]), &folder, 100).unwrap_err();
        assert!(error.message.contains("outside"), "{error}");
        assert!(!dir.path().join("evil").exists());
    }

    #[test]
    fn an_absolute_path_stays_in_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        unpack_bounded(&zip_of(&[("/x/y", 0o644, b"z")]), dir.path(), 100).unwrap();
        assert_eq!(fs::read(dir.path().join("x/y")).unwrap(), b"z");
    }

    #[test]
    fn refuses_more_than_the_limit_whatever_the_zip_claims() {
        let dir = tempfile::tempdir().unwrap();
        let zip = zip_of(&[("a", 0o644, &[0; 600]), ("b", 0o644, &[0; 600])]);
        let error = unpack_bounded(&zip, &dir.path().join("f"), 1000).unwrap_err();
        assert!(error.message.contains("1000 bytes"), "{error}");
        unpack_bounded(&zip, &dir.path().join("g"), 1200).unwrap();
    }

    #[test]
    fn refuses_what_is_no_zip() {
        let dir = tempfile::tempdir().unwrap();
        let error = unpack(b"not a zip", dir.path()).unwrap_err();
        assert_eq!(error.code, "InvalidParameterValueException");
    }
}
