//! All queues as one text that outlives a run: a line for each queue, followed by a line for each of its messages.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, Write},
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::{
    Hosted, Sqs,
    life::Life,
    moves::Tasks,
    queue::{Deduplicated, Kept, Message, Queue, Shape},
};
use crate::witness::Witness;

/// Raised when a line means something else than before.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
enum Line {
    /// First, so that it is known what the others mean.
    Queues {
        version: u32,
        clock_ahead: Duration,
    },
    Queue(Box<About>),
    /// Of the queue above, as all that follow.
    Deduplicated(Box<Deduplicated>),
    Message(Box<Message>),
    /// Last, so that it is known that nothing is missing.
    End,
}

#[derive(Serialize, Deserialize)]
struct About {
    name: String,
    incarnation: String,
    tags: BTreeMap<String, String>,
    created_at: i64,
    modified_at: i64,
    purged_at: Option<i64>,
    shape: Shape,
}

/// All queues as they were at one moment.
pub(crate) struct Snapshot {
    clock_ahead: Duration,
    queues: Vec<(About, Kept)>,
}

impl Snapshot {
    pub(crate) fn write(self, out: &mut impl Write) -> io::Result<()> {
        let mut line = |line: Line| -> io::Result<()> {
            serde_json::to_writer(&mut *out, &line)?;
            out.write_all(b"\n")
        };
        line(Line::Queues {
            version: VERSION,
            clock_ahead: self.clock_ahead,
        })?;
        for (about, kept) in self.queues {
            line(Line::Queue(Box::new(about)))?;
            for known in &kept.deduplicated {
                line(Line::Deduplicated(Box::new(known.clone())))?;
            }
            for message in kept.messages() {
                line(Line::Message(Box::new(message)))?;
            }
        }
        line(Line::End)
    }
}

impl Sqs {
    /// What tells one state of the queues from another, without walking their messages.
    pub(crate) fn changes(&self) -> Vec<(String, String, u64, BTreeMap<String, String>)> {
        self.lock()
            .hosted
            .iter()
            .map(|(name, hosted)| {
                let incarnation = hosted.incarnation.clone();
                let changes = hosted.queue.changes();
                (name.clone(), incarnation, changes, hosted.tags.clone())
            })
            .collect()
    }

    /// All queues as they are now, to be written without holding them.
    pub(crate) fn copy(&self) -> Snapshot {
        let queues = self.lock();
        let about = |(name, hosted): (&String, &Hosted)| {
            let kept = hosted.queue.kept();
            let about = About {
                name: name.clone(),
                incarnation: hosted.incarnation.clone(),
                tags: hosted.tags.clone(),
                created_at: hosted.created_at,
                modified_at: hosted.modified_at,
                purged_at: hosted.purged_at,
                shape: kept.shape.clone(),
            };
            (about, kept)
        };
        Snapshot {
            clock_ahead: self.shared.clock.ahead(),
            queues: queues.hosted.iter().map(about).collect(),
        }
    }

    /// Puts the queues of an earlier run in place, and the clock where it was. On a problem, which is returned in words, nothing is.
    pub(crate) fn restore(&self, from: impl BufRead) -> Result<(), String> {
        let mut hosted: BTreeMap<String, Hosted> = BTreeMap::new();
        let mut current: Option<(String, Hosted)> = None;
        let mut ahead = None;
        let mut ended = false;
        for (index, text) in from.lines().enumerate() {
            let number = index + 1;
            let text = text.map_err(|error| error.to_string())?;
            let wrong = |error: serde_json::Error| format!("line {number}: {error}");
            let line: Line = serde_json::from_str(&text).map_err(wrong)?;
            let no_id = |error: uuid::Error| format!("line {number}: {error}");
            let stray = || format!("line {number} belongs to no queue");
            match line {
                Line::Queues { version, .. } if version != VERSION => {
                    return Err(format!("it has the version {version}, not {VERSION}"));
                }
                Line::Queues { clock_ahead, .. } => ahead = Some(clock_ahead),
                Line::Queue(about) => {
                    let witness = self.shared.witness.clone();
                    hosted.extend(current.replace((about.name.clone(), about.hosted(witness))));
                }
                Line::Deduplicated(known) => {
                    let (_, hosted) = current.as_mut().ok_or_else(stray)?;
                    hosted.queue.know_again(*known).map_err(no_id)?;
                }
                Line::Message(message) => {
                    let (_, hosted) = current.as_mut().ok_or_else(stray)?;
                    hosted.queue.put_back(*message).map_err(no_id)?;
                }
                Line::End => ended = true,
            }
        }
        let (Some(ahead), true) = (ahead, ended) else {
            return Err("it is not complete".to_owned());
        };
        hosted.extend(current);
        let moved = self.shared.clock.advance(ahead);
        moved.map_err(|error| error.to_string())?;
        self.lock().hosted = hosted;
        Ok(())
    }
}

impl About {
    fn hosted(self, witness: Witness) -> Hosted {
        Hosted {
            queue: Queue::again(self.shape, Life::of(witness, &self.name)),
            changed: Arc::new(Notify::new()),
            incarnation: self.incarnation,
            tags: self.tags,
            created_at: self.created_at,
            modified_at: self.modified_at,
            purged_at: self.purged_at,
            moves: Tasks::new(),
        }
    }
}
