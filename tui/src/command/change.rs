//! What `--patch` and `--body` change: read and checked before anybody is asked.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use patterns_core::failed::MESSAGE_BYTES_MAX;
use patterns_core::operation::Edit;
use patterns_core::problem::{Problem, ProblemKind};

use crate::cli;
use crate::editing::patch;

/// Instead of a file's name: standard input.
const STDIN: &str = "-";

/// The change that is asked for, when one is.
pub fn read(change: &cli::Change) -> Result<Option<Edit>, Problem> {
    match (&change.patch, &change.body) {
        (Some(path), _) => {
            let operations = patch(&content(path)?).map_err(|why| refused(path, why))?;
            Ok(Some(Edit::Patch(operations)))
        }
        (None, Some(path)) => content(path).map(|text| Some(Edit::Payload(text))),
        (None, None) => Ok(None),
    }
}

/// Whether standard input holds the change, so that no question can be answered there.
pub fn on_stdin(change: &cli::Change) -> bool {
    let files = [&change.patch, &change.body];
    files
        .into_iter()
        .flatten()
        .any(|path| path.as_os_str() == STDIN)
}

fn refused(path: &Path, why: impl Into<String>) -> Problem {
    let name = if path.as_os_str() == STDIN {
        "standard input".to_owned()
    } else {
        path.display().to_string()
    };
    Problem::new(
        ProblemKind::Usage,
        format!("cannot take the change from {name}"),
        why,
        "nothing was done; see patterns-tui redrive --help",
    )
}

fn content(path: &Path) -> Result<String, Problem> {
    let read = if path.as_os_str() == STDIN {
        bytes(io::stdin().lock())
    } else {
        File::open(path).and_then(bytes)
    };
    let bytes = read.map_err(|error| refused(path, error.to_string()))?;
    if bytes.len() > MESSAGE_BYTES_MAX {
        return Err(refused(
            path,
            format!("it has more than {MESSAGE_BYTES_MAX} bytes, and SQS takes no more"),
        ));
    }
    let text = String::from_utf8(bytes)
        .map_err(|error| refused(path, format!("it is not text in UTF-8: {error}")))?;
    if text.trim().is_empty() {
        return Err(refused(path, "it is empty"));
    }
    Ok(text)
}

/// One byte more than allowed is enough to know that there are too many.
fn bytes(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(MESSAGE_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(patch: bool, content: &[u8]) -> Result<Option<Edit>, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        let named = Some(file.path().to_owned());
        let change = if patch {
            cli::Change {
                patch: named,
                body: None,
            }
        } else {
            cli::Change {
                patch: None,
                body: named,
            }
        };
        read(&change).map_err(|problem| {
            assert_eq!(problem.kind, ProblemKind::Usage);
            problem.why
        })
    }

    #[test]
    fn a_change_is_read_from_a_file_or_refused_with_the_reason() {
        let patch = br#"[{"op":"remove","path":"/a"}]"#;
        assert!(matches!(of(true, patch), Ok(Some(Edit::Patch(_)))));
        let body = Edit::Payload("not JSON\n".to_owned());
        assert_eq!(of(false, b"not JSON\n"), Ok(Some(body)));
        let large = vec![b'x'; MESSAGE_BYTES_MAX + 1];
        for (patch, content, part) in [
            (true, &b"not JSON"[..], "not JSON"),
            (true, b"{}", "list of operations"),
            (true, b" \n", "empty"),
            (false, b"", "empty"),
            (false, b"\xff\xfe", "UTF-8"),
            (false, large.as_slice(), "more than 1048576 bytes"),
        ] {
            let why = of(patch, content).unwrap_err();
            assert!(why.contains(part), "{part}: {why}");
        }
        let absent = cli::Change {
            patch: Some("/nonexistent".into()),
            body: None,
        };
        assert_eq!(read(&absent).unwrap_err().exit_code(), 2);
    }
}
