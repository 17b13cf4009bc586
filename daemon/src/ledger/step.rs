//! One event's steps through an operation.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use super::Ledger;
use super::returned::{Met, sent_as, write_return};
use super::taken::Taken;
use crate::database::DatabaseError;

/// After this many sends without an answer an event is left alone: each may have made a duplicate.
const UNKNOWNS_MAX: u32 = 3;

/// A message that was just received.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrival {
    /// Its id.
    pub message_id: String,
    /// Its newest receipt handle.
    pub receipt_handle: String,
    /// Request id of the invocation that failed, when it names one.
    pub request_id: Option<String>,
    /// What it has in common with others that failed alike.
    pub signature: String,
    /// Why it must not be sent, if so.
    pub refused: Option<Step>,
    /// How long after its intent it may be sent again, when it is not known whether it was sent; without limit when
    /// absent, and then it is in doubt.
    pub repeat_within: Option<Duration>,
}

/// What is to be done with a message that was just received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Send it: the intent is durable.
    Send,
    /// It was sent before, by this operation or another: delete it and do not send it again.
    Delete,
    /// Leave it alone: it is none of this operation's, it was dealt with, or this operation sent it and it came back.
    Hold,
    /// Leave it alone until the operator has decided: it may have been sent.
    Ask,
    /// Leave it alone: it was refused just now, and counts as failed.
    Failed,
    /// Leave it alone: it was refused just now, and counts as skipped.
    Skipped,
}

/// What happened to a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Its id.
    pub message_id: String,
    /// What happened.
    pub step: Step,
}

/// What can happen to a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// It was acknowledged under this new id.
    Sent(String),
    /// Certainly not sent, and to be tried again; with the reason, where something is wrong.
    Postponed(Option<String>),
    /// Whether it was sent is not known.
    Unknown(String),
    /// Certainly not sent; it stays where it is.
    Failed(String),
    /// It belongs elsewhere; it stays where it is.
    Skipped(String),
    /// Its copy in the dead-letter queue is deleted.
    Deleted,
}

/// What the journal keeps of a batch: with it and with what was in the ledger before, the same is written each time. It lies
/// on the disk, so what is in it is only ever added to, with a default.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Entry {
    operation: String,
    /// Milliseconds.
    at: i64,
    outcomes: Vec<Outcome>,
    /// Those outcomes are of what another operation sent.
    taken: Option<Taken>,
    arrivals: Option<Arrivals>,
}

/// What was just received.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Arrivals {
    queue_arn: String,
    /// Whether messages without a row are meant, too.
    everything: bool,
    messages: Vec<Arrival>,
}

impl Ledger {
    /// Decides what to do with messages that were just received, and writes down the intent for those to send.
    /// `outcomes` of earlier messages share the commit. `everything` is whether messages without a row are meant, too.
    pub async fn intend(
        &self,
        operation: &str,
        queue_arn: &str,
        everything: bool,
        arrivals: Vec<Arrival>,
        outcomes: Vec<Outcome>,
    ) -> Result<Vec<Verdict>, DatabaseError> {
        let arrivals = Arrivals {
            queue_arn: queue_arn.to_owned(),
            everything,
            messages: arrivals,
        };
        self.log(Entry {
            arrivals: Some(arrivals),
            ..Entry::of(operation, outcomes)
        })
        .await
    }

    /// Writes down what happened. Durable when it returns.
    pub async fn settle(
        &self,
        operation: &str,
        outcomes: Vec<Outcome>,
    ) -> Result<(), DatabaseError> {
        self.log(Entry::of(operation, outcomes)).await?;
        Ok(())
    }

    /// The same for messages that `operation` takes back: each that was sent is no longer on its way for another one.
    pub async fn settle_taken(
        &self,
        operation: &str,
        outcomes: Vec<Outcome>,
        taken: Taken,
    ) -> Result<(), DatabaseError> {
        self.log(Entry {
            taken: Some(taken),
            ..Entry::of(operation, outcomes)
        })
        .await?;
        Ok(())
    }

    async fn log(&self, entry: Entry) -> Result<Vec<Verdict>, DatabaseError> {
        let bytes = serde_json::to_vec(&entry)?;
        self.database
            .write_with_entry(bytes, move |connection| entry.write(connection))
            .await
    }
}

impl Entry {
    fn of(operation: &str, outcomes: Vec<Outcome>) -> Self {
        Self {
            operation: operation.to_owned(),
            at: Timestamp::now().as_millisecond(),
            outcomes,
            taken: None,
            arrivals: None,
        }
    }

    /// Does again what an entry says.
    pub(super) fn replay(connection: &Connection, entry: &[u8]) -> Result<(), DatabaseError> {
        let entry: Self = serde_json::from_slice(entry)?;
        entry.write(connection)?;
        Ok(())
    }

    fn write(&self, connection: &Connection) -> Result<Vec<Verdict>, DatabaseError> {
        record(connection, &self.operation, &self.outcomes, self.at)?;
        if let Some(taken) = &self.taken {
            taken.write(connection, &self.outcomes, self.at)?;
        }
        let Some(arrivals) = &self.arrivals else {
            return Ok(Vec::new());
        };
        let world = connection
            .prepare_cached("SELECT world FROM operations WHERE id = ?1")?
            .query_row([&self.operation], |row| row.get(0))?;
        let now = Now {
            operation: &self.operation,
            world,
            queue_arn: &arrivals.queue_arn,
            at: self.at,
        };
        arrivals
            .messages
            .iter()
            .map(|arrival| judge(connection, now, arrivals.everything, arrival))
            .collect()
    }
}

/// Who received messages, where and when.
#[derive(Clone, Copy)]
struct Now<'a> {
    operation: &'a str,
    world: i64,
    queue_arn: &'a str,
    at: i64,
}

/// What an operation knows of a message.
struct Row {
    state: String,
    unknowns: u32,
    intent_at: Option<i64>,
    rowid: i64,
}

fn judge(
    connection: &Connection,
    Now {
        operation,
        world,
        queue_arn,
        at,
    }: Now<'_>,
    everything: bool,
    arrival: &Arrival,
) -> Result<Verdict, DatabaseError> {
    let mut row: Option<Row> = None;
    let mut select = connection.prepare_cached(
        "SELECT operation, state, unknowns, intent_at, rowid,
         queue_arn = ?2 AND (SELECT world FROM operations WHERE id = operation) = ?3
         FROM events INDEXED BY events_by_message WHERE substr(message_id, 1, 8) = substr(?1, 1, 8) AND +message_id = ?1",
    )?;
    let mut rows = select.query(params![arrival.message_id, queue_arn, world])?;
    while let Some(known) = rows.next()? {
        let state: String = known.get(1)?;
        // Message ids are unique in one queue, and a redriven message gets a new one: whoever sent this id, it was this copy.
        if known.get(5)? && (state == "sent" || state == "deleted") {
            return Ok(Verdict::Delete);
        }
        if known.get::<_, String>(0)? == operation {
            row = Some(Row {
                state,
                unknowns: known.get(2)?,
                intent_at: known.get(3)?,
                rowid: known.get(4)?,
            });
        }
    }
    // What was sent and failed again arrives as another message, under the id that the send got.
    let met = Met {
        message_id: arrival.message_id.clone(),
        request_id: arrival.request_id.clone(),
        signature: arrival.signature.clone(),
    };
    if let Some(sent) = sent_as(connection, world, queue_arn, &met)? {
        write_return(connection, &sent, queue_arn, &met, at)?;
        if sent.operation == operation {
            return Ok(Verdict::Hold);
        }
    }
    let unknowns = match &row {
        None if !everything => return Ok(Verdict::Hold),
        Some(row) if row.state == "failed" || row.state == "skipped" => return Ok(Verdict::Hold),
        None => 0,
        Some(row) => row.unknowns,
    };
    if let (Some(row), Some(within)) = (&row, arrival.repeat_within)
        && row.state == "intent"
        && u128::from(at.abs_diff(row.intent_at.unwrap_or(0))) >= within.as_millis()
    {
        connection
            .prepare_cached("UPDATE events SET in_doubt = 1 WHERE rowid = ?1")?
            .execute([row.rowid])?;
        return Ok(Verdict::Ask);
    }
    match &row {
        None => connection
            .prepare_cached(
                "INSERT INTO events (operation, message_id, queue_arn, state, receipt_handle, intent_at, signature)
                 VALUES (?1, ?2, ?3, 'intent', ?4, ?5, ?6)",
            )?
            .execute(params![
                operation,
                arrival.message_id,
                queue_arn,
                arrival.receipt_handle,
                at,
                arrival.signature
            ])?,
        // An intent that is met again may have been sent by a run that ended before it could say so; where that is recognised
        // for a while only, the while began then.
        Some(row) => connection
            .prepare_cached(
                "UPDATE events SET in_doubt = max(in_doubt, ?5 AND state = 'intent'), state = 'intent',
                 receipt_handle = ?2, signature = ?3, intent_at = iif(?5 OR state <> 'intent', ?4, intent_at)
                 WHERE rowid = ?1",
            )?
            .execute(params![
                row.rowid,
                arrival.receipt_handle,
                arrival.signature,
                at,
                arrival.repeat_within.is_none(),
            ])?,
    };
    let refused = arrival.refused.clone().or_else(|| {
        (unknowns >= UNKNOWNS_MAX).then(|| {
            Step::Failed(format!(
                "sending it had no answer {unknowns} times; each may have made a copy"
            ))
        })
    });
    let Some(step) = refused else {
        return Ok(Verdict::Send);
    };
    let verdict = match step {
        Step::Skipped(_) => Verdict::Skipped,
        _ => Verdict::Failed,
    };
    let outcome = Outcome {
        message_id: arrival.message_id.clone(),
        step,
    };
    record(connection, operation, &[outcome], at)?;
    Ok(verdict)
}

/// Writes down what happened.
fn record(
    connection: &Connection,
    operation: &str,
    outcomes: &[Outcome],
    at: i64,
) -> Result<(), DatabaseError> {
    for Outcome { message_id, step } in outcomes {
        let (sql, text) = match step {
            Step::Sent(new_id) => (
                "UPDATE events INDEXED BY events_by_message SET state = 'sent', new_id = ?4, reason = NULL, sent_at = ?3
                 WHERE substr(message_id, 1, 8) = substr(?2, 1, 8) AND +message_id = ?2 AND operation = ?1",
                Some(new_id),
            ),
            Step::Postponed(why) => (
                "UPDATE events INDEXED BY events_by_message SET state = 'planned', reason = ?4, intent_at = ?3
                 WHERE substr(message_id, 1, 8) = substr(?2, 1, 8) AND +message_id = ?2 AND operation = ?1 AND state = 'intent'",
                why.as_ref(),
            ),
            Step::Unknown(why) => (
                "UPDATE events INDEXED BY events_by_message SET in_doubt = 1, unknowns = unknowns + 1, reason = ?4
                 WHERE substr(message_id, 1, 8) = substr(?2, 1, 8) AND +message_id = ?2 AND operation = ?1 AND state = 'intent'",
                Some(why),
            ),
            Step::Failed(why) => (
                "UPDATE events INDEXED BY events_by_message SET state = 'failed', reason = ?4, ended_at = ?3
                 WHERE substr(message_id, 1, 8) = substr(?2, 1, 8) AND +message_id = ?2 AND operation = ?1 AND state = 'intent'",
                Some(why),
            ),
            Step::Skipped(why) => (
                "UPDATE events INDEXED BY events_by_message SET state = 'skipped', reason = ?4, ended_at = ?3
                 WHERE substr(message_id, 1, 8) = substr(?2, 1, 8) AND +message_id = ?2 AND operation = ?1 AND state = 'intent'",
                Some(why),
            ),
            Step::Deleted => (
                "UPDATE events INDEXED BY events_by_message SET state = 'deleted', ended_at = ?3, receipt_handle = ?4
                 WHERE substr(message_id, 1, 8) = substr(?2, 1, 8) AND +message_id = ?2 AND operation = ?1 AND state = 'sent'",
                None,
            ),
        };
        connection
            .prepare_cached(sql)?
            .execute(params![operation, message_id, at, text])?;
    }
    Ok(())
}
