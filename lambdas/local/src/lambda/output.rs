//! What a function writes: its lines go to CloudWatch Logs between the lines that mark an invocation, the last of them to the caller.

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::function::Configuration;
use crate::clock::Clock;
use crate::logs::Logs;

/// One log event has at most 256 KB (CloudWatch Logs user guide, "Quotas"): longer lines are split.
const MAX_LINE_BYTES: usize = 256 * 1024;

/// `LogType=Tail` answers the last 4 KB (AWS Lambda API reference, `Invoke`).
const TAIL_BYTES: usize = 4096;

/// How long the end of an invocation waits for lines that are written but not yet read.
const DRAIN_LIMIT: Duration = Duration::from_millis(20);

/// Takes the lines of one environment. Cheap to clone.
#[derive(Clone)]
pub struct Output {
    logs: Logs,
    clock: Clock,
    group: String,
    stream: String,
    json: bool,
    tail: Arc<Mutex<VecDeque<u8>>>,
}

impl Output {
    /// A new log stream, named as AWS does: `2026/11/21/[$LATEST]0123…`.
    pub fn new(logs: Logs, clock: Clock, configuration: &Configuration) -> Self {
        let day = clock.now().strftime("%Y/%m/%d").to_string();
        Self {
            logs,
            clock,
            group: configuration.log_group.clone(),
            stream: format!("{day}/[$LATEST]{}", uuid::Uuid::new_v4().simple()),
            json: configuration.log_format == "JSON",
            tail: Arc::default(),
        }
    }

    /// Name of the log stream.
    pub fn stream(&self) -> &str {
        &self.stream
    }

    /// One line, without its end.
    pub fn line(&self, line: &str) {
        self.logs.append(&self.group, &self.stream, line);
        let mut tail = self.tail();
        tail.extend(line.as_bytes());
        tail.push_back(b'\n');
        let surplus = tail.len().saturating_sub(TAIL_BYTES);
        tail.drain(..surplus);
    }

    /// The invocation begins; the tail is its own.
    pub fn start(&self, request_id: &str) {
        self.tail().clear();
        if self.json {
            let record = json!({"requestId": request_id, "version": "$LATEST"});
            self.platform("platform.start", &record);
        } else {
            self.line(&format!("START RequestId: {request_id} Version: $LATEST"));
        }
    }

    /// The invocation ended after `duration`, `init` of it before the function was ready if this was its first.
    pub fn end(
        &self,
        request_id: &str,
        status: &str,
        duration: Duration,
        init: Option<Duration>,
        memory_mb: u32,
    ) {
        let milliseconds =
            |duration: Duration| (duration.as_secs_f64() * 100_000.0).round() / 100.0;
        // AWS bills whole milliseconds. What the process used is not measured here.
        let billed = duration.as_micros().div_ceil(1000);
        if self.json {
            let mut record = json!({
                "requestId": request_id,
                "status": status,
                "metrics": {
                    "durationMs": milliseconds(duration),
                    "billedDurationMs": billed,
                    "memorySizeMB": memory_mb,
                },
            });
            if let (Some(init), Some(metrics)) = (
                init,
                record.get_mut("metrics").and_then(Value::as_object_mut),
            ) {
                metrics.insert("initDurationMs".to_owned(), json!(milliseconds(init)));
            }
            self.platform("platform.report", &record);
            return;
        }
        self.line(&format!("END RequestId: {request_id}"));
        let init = init.map_or_else(String::new, |init| {
            format!("Init Duration: {:.2} ms\t", milliseconds(init))
        });
        self.line(&format!(
            "REPORT RequestId: {request_id}\tDuration: {:.2} ms\tBilled Duration: {billed} ms\tMemory Size: {memory_mb} MB\t{init}",
            milliseconds(duration)
        ));
    }

    /// The last lines of this invocation.
    pub fn last_lines(&self) -> Vec<u8> {
        self.tail().iter().copied().collect()
    }

    /// Reads `pipe` to its end, line by line.
    pub async fn read(self, mut pipe: impl AsyncRead + Unpin) {
        let mut buffer = BytesMut::with_capacity(8192);
        loop {
            let read = pipe.read_buf(&mut buffer).await;
            while let Some(line) = take_line(&mut buffer) {
                self.line(&line);
            }
            if !matches!(read, Ok(1..)) {
                break;
            }
        }
        if !buffer.is_empty() {
            self.line(&String::from_utf8_lossy(&buffer));
        }
    }

    /// An event of Lambda itself in the JSON format (AWS Lambda developer guide, "Lambda Telemetry API Event schema reference").
    fn platform(&self, kind: &str, record: &Value) {
        let time = format!("{:.3}", self.clock.now());
        self.line(&json!({"time": time, "type": kind, "record": record}).to_string());
    }

    fn tail(&self) -> std::sync::MutexGuard<'_, VecDeque<u8>> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The next whole line of `buffer`, or as much of it as one log event holds.
fn take_line(buffer: &mut BytesMut) -> Option<String> {
    let window = buffer.get(..buffer.len().min(MAX_LINE_BYTES))?;
    let (length, end) = match window.iter().position(|byte| *byte == b'\n') {
        Some(position) => (position, 1),
        None if window.len() == MAX_LINE_BYTES => (MAX_LINE_BYTES, 0),
        None => return None,
    };
    let line = buffer.split_to(length);
    buffer.advance(end);
    let line = line.strip_suffix(b"\r").unwrap_or(&line);
    Some(String::from_utf8_lossy(line).into_owned())
}

/// The reading ends of an environment's pipes, to ask whether something is unread.
#[derive(Default)]
pub struct Pipes(Vec<OwnedFd>);

impl Pipes {
    /// Also looks at `pipe`, which is read elsewhere.
    pub fn watch(&mut self, pipe: &impl AsFd) -> std::io::Result<()> {
        self.0.push(pipe.as_fd().try_clone_to_owned()?);
        Ok(())
    }

    /// Waits until what the function has written is read, but not for long: it may be writing still.
    pub async fn drain(&self) {
        let unread = || {
            self.0
                .iter()
                .any(|pipe| rustix::io::ioctl_fionread(pipe).is_ok_and(|bytes| bytes > 0))
        };
        let drained = async {
            while unread() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let _ = tokio::time::timeout(DRAIN_LIMIT, drained).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_at_their_ends_and_at_the_limit() {
        let mut buffer = BytesMut::from(&b"one\r\ntwo\nrest"[..]);
        assert_eq!(take_line(&mut buffer).as_deref(), Some("one"));
        assert_eq!(take_line(&mut buffer).as_deref(), Some("two"));
        assert_eq!(take_line(&mut buffer), None);
        assert_eq!(&buffer[..], b"rest");

        let mut buffer = BytesMut::from(&vec![b'x'; MAX_LINE_BYTES + 3][..]);
        assert_eq!(
            take_line(&mut buffer).map(|line| line.len()),
            Some(MAX_LINE_BYTES)
        );
        assert_eq!(buffer.len(), 3);
    }
}
