//! The operator's editor: a file of its own, and the program that changes it.

use std::io::{self, Write};

use patterns_core::problem::{Problem, ProblemKind};
use tokio::process::Command;

/// What opens files, by the environment: a program with its arguments, as a shell reads them.
pub fn program() -> String {
    let named = ["VISUAL", "EDITOR"].map(|name| std::env::var(name).ok());
    let named = named.into_iter().flatten();
    let mut named = named.filter(|program| !program.trim().is_empty());
    named.next().unwrap_or_else(|| "vi".to_owned())
}

/// Lets `program` change `text` in a file that only its owner can read and whose name ends in `suffix`; what is in the
/// file afterwards.
pub async fn edit(program: &str, text: &str, suffix: &str) -> Result<String, Problem> {
    let failed = |why: String| {
        Problem::new(
            ProblemKind::Internal,
            format!("the editor {program} failed"),
            why,
            "nothing was done; name another one in VISUAL or EDITOR",
        )
    };
    let written = write(text, suffix);
    let file = written.map_err(|error| failed(error.to_string()))?;
    // As git does it: the variable may hold arguments, and the file's name none that a shell would take apart.
    let ended = Command::new("sh")
        .arg("-c")
        .arg(format!("{program} \"$1\""))
        .arg("sh")
        .arg(file.path())
        .status()
        .await;
    let status = ended.map_err(|error| failed(error.to_string()))?;
    if !status.success() {
        return Err(failed(format!("it ended with {status}")));
    }
    // By name: many editors write a new file and put it in the place of the old one.
    std::fs::read_to_string(file.path()).map_err(|error| failed(error.to_string()))
}

fn write(text: &str, suffix: &str) -> io::Result<tempfile::NamedTempFile> {
    let mut file = tempfile::Builder::new()
        .prefix("patterns-")
        .suffix(suffix)
        .tempfile()?;
    file.write_all(text.as_bytes())?;
    file.flush()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_file_is_changed_by_whatever_program() {
        let edited = edit("sed -i s/1/2/", "{\"a\": 1}\n", ".json").await;
        assert_eq!(edited.unwrap(), "{\"a\": 2}\n");
        assert_eq!(edit("true", "as it is", ".txt").await.unwrap(), "as it is");
    }

    #[tokio::test]
    async fn a_failure_says_so_and_leaves_no_text() {
        for program in ["false", "no-such-editor-anywhere", "rm"] {
            let problem = edit(program, "text", ".txt").await.unwrap_err();
            assert!(problem.what.contains(program), "{problem}");
        }
    }
}
