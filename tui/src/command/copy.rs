//! `failed export` and `failed import`: failed events into a file and back.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use patterns_core::failed::{MESSAGE_BYTES_MAX, Message};
use patterns_core::problem::{Problem, ProblemKind, exit};
use patterns_core::protocol::{IMPORT_MAX, Reply, Request};
use serde::Serialize;

use super::unexpected;
use crate::client::Client;
use crate::print;

/// A line is one message in JSON, of which every byte may be escaped with six.
const LINE_MAX: u64 = 8 << 20;

#[derive(Serialize)]
struct Exported<'a> {
    file: &'a Path,
    exported: u64,
}

#[derive(Serialize)]
struct Imported<'a> {
    dead_letter_queue: &'a str,
    sent: u64,
    /// Line and reason.
    failed: Vec<(u64, String)>,
}

/// Writes every mirrored message of the queue, or of all, into a new file that only its owner can read.
pub async fn export(
    client: &Client,
    queue: Option<String>,
    path: &Path,
    json: bool,
) -> Result<u8, Problem> {
    let failed = |error: io::Error| {
        let why = error.to_string();
        Problem::new(
            ProblemKind::Internal,
            format!("cannot write {}", path.display()),
            why,
            "name another file, which does not exist yet",
        )
    };
    let mut exported = 0;
    // The daemon is asked before there is a file: a queue that does not exist leaves none.
    let mut page = next(client, queue.as_deref(), None).await?;
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    let mut out = BufWriter::new(file.map_err(failed)?);
    while let Some(last) = page.last() {
        for message in &page {
            serde_json::to_writer(&mut out, message).map_err(|error| failed(error.into()))?;
            out.write_all(b"\n").map_err(failed)?;
            exported += 1;
        }
        page = next(client, queue.as_deref(), Some(last.id.clone())).await?;
    }
    out.flush().map_err(failed)?;
    out.get_ref().sync_all().map_err(failed)?;
    let done = Exported {
        file: path,
        exported,
    };
    print::answer(&done, json, || {
        format!("{exported} events in {}\n", path.display())
    })?;
    Ok(exit::OK)
}

async fn next(
    client: &Client,
    queue: Option<&str>,
    after: Option<String>,
) -> Result<Vec<Message>, Problem> {
    let request = Request::FailedExport {
        dead_letter_queue: queue.map(str::to_owned),
        after,
    };
    match client.send(request).await? {
        Reply::Messages(page) => Ok(page),
        _ => Err(unexpected()),
    }
}

/// What is wrong with the file: each line is read before the first is sent.
pub fn check(path: &Path) -> Result<(), Problem> {
    let mut read = 0_u64;
    for message in messages(path)? {
        message?;
        read += 1;
    }
    if read == 0 {
        return Err(refused(path, "it holds no event"));
    }
    Ok(())
}

/// Sends the messages of a checked file, batch by batch.
pub async fn import(
    client: &Client,
    path: &Path,
    queue: String,
    json: bool,
) -> Result<u8, Problem> {
    let mut done = Imported {
        dead_letter_queue: &queue,
        sent: 0,
        failed: Vec::new(),
    };
    let mut batch: Vec<Message> = Vec::new();
    let (mut bytes, mut line) = (0, 0_u64);
    for message in messages(path)? {
        let message = message?;
        if batch.len() == IMPORT_MAX || bytes + message.size() > MESSAGE_BYTES_MAX {
            send(client, &mut batch, &mut line, &mut done).await?;
            bytes = 0;
        }
        bytes += message.size();
        batch.push(message);
    }
    send(client, &mut batch, &mut line, &mut done).await?;
    let clean = done.failed.is_empty();
    print::answer(&done, json, || {
        let failed: Vec<_> = done
            .failed
            .iter()
            .map(|(line, why)| format!("  line {line}: {why}\n"))
            .collect();
        let failed = failed.concat();
        format!(
            "{} events sent to {queue}, {} not\n{failed}",
            done.sent,
            done.failed.len()
        )
    })?;
    Ok(if clean { exit::OK } else { exit::FAILED })
}

/// Sends a batch, the first of which is the line after `line`.
async fn send(
    client: &Client,
    batch: &mut Vec<Message>,
    line: &mut u64,
    done: &mut Imported<'_>,
) -> Result<(), Problem> {
    if batch.is_empty() {
        return Ok(());
    }
    let request = Request::FailedImport {
        dead_letter_queue: done.dead_letter_queue.to_owned(),
        messages: std::mem::take(batch),
    };
    let answer = client.send(request).await.map_err(|mut problem| {
        if *line > 0 {
            problem.why = format!(
                "{}; the first {line} lines were dealt with before, and {} of them sent",
                problem.why, done.sent
            );
        }
        problem
    })?;
    let Reply::Imported(outcomes) = answer else {
        return Err(unexpected());
    };
    for outcome in outcomes {
        *line += 1;
        match outcome {
            Ok(_) => done.sent += 1,
            Err(why) => done.failed.push((*line, why)),
        }
    }
    Ok(())
}

fn refused(path: &Path, why: impl Into<String>) -> Problem {
    Problem::new(
        ProblemKind::Usage,
        format!("cannot import {}", path.display()),
        why,
        "nothing was sent; correct the file, or export the events again",
    )
}

/// The messages of the file, each with what is wrong with its line.
fn messages(
    path: &Path,
) -> Result<impl Iterator<Item = Result<Message, Problem>> + use<'_>, Problem> {
    let file = File::open(path).map_err(|error| refused(path, error.to_string()))?;
    let mut reader = BufReader::new(file);
    let mut number = 0;
    Ok(std::iter::from_fn(move || {
        number += 1;
        let mut line = Vec::new();
        let read = io::Read::take(&mut reader, LINE_MAX + 1).read_until(b'\n', &mut line);
        match read {
            Ok(0) => None,
            Ok(_) => {
                Some(message(&line).map_err(|why| refused(path, format!("line {number}: {why}"))))
            }
            Err(error) => Some(Err(refused(path, error.to_string()))),
        }
    }))
}

fn message(line: &[u8]) -> Result<Message, String> {
    let text = line
        .strip_suffix(b"\n")
        .ok_or("it is cut off, or longer than 8 MiB: a line feed is missing at its end")?;
    let message: Message = serde_json::from_slice(text).map_err(|error| {
        // Its own line is always the first.
        let why = error
            .to_string()
            .replace(" at line 1 column ", " at column ");
        format!("it is no exported event: {why}")
    })?;
    message.check()?;
    Ok(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"dead_letter_queue":"dlq","id":"a","message_id":"m","body":"b","attributes":{"blob":{"type":"Binary","value":"AAH/"}},"system_attributes":{}}"#;

    fn wrong(text: &str) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        check(file.path()).map_or_else(|problem| problem.why, |()| String::new())
    }

    #[test]
    fn every_line_of_a_file_is_checked() {
        let good = format!("{LINE}\n");
        let large = LINE.replace(r#""b""#, &format!("\"{}\"", "x".repeat(MESSAGE_BYTES_MAX)));
        for (text, part) in [
            (good.repeat(3), ""),
            (String::new(), "no event"),
            (format!("{good}{LINE}"), "line 2: it is cut off"),
            (format!("{good}\n{good}"), "line 2: it is no exported event"),
            (
                format!("{good}{}\n", &LINE[..40]),
                "line 2: it is no exported event",
            ),
            (good.replace("AAH/", "no base64"), "line 1: attribute blob"),
            (good.replace("Binary", "Blob"), "line 1: attribute blob"),
            (
                good.replace(r#""id""#, r#""forged":1,"id""#),
                "unknown field `forged`",
            ),
            (good.replace(r#""b""#, r#""""#), "empty"),
            (format!("{large}\n"), "more than 1048576 bytes"),
        ] {
            let why = wrong(&text);
            assert!(
                if part.is_empty() {
                    why.is_empty()
                } else {
                    why.contains(part)
                },
                "{part}: {why}"
            );
        }
        assert!(check(Path::new("/nonexistent")).is_err());
    }
}
