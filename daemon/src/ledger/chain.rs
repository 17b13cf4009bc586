//! One event through all its redrives: every time it comes back it is another message.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use patterns_core::failed::HistoryEntry;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::Ledger;
use super::account::steps_of;
use super::schema::RETURNED;
use crate::database::DatabaseError;
use crate::letter::event_id;

/// An event that came back this often with the same error, while nothing changed, would come back again.
pub const ALIKE_MAX: u32 = 3;

/// Redrives of one event that are followed.
const LONGEST: usize = 100;

/// How a message came into a dead-letter queue: from a redrive of another.
struct Link {
    operation: String,
    /// The other message, and the queue it was in.
    message_id: String,
    queue_arn: String,
    back_as: String,
    back_in: String,
    taken: bool,
    signature: Option<String>,
    alike: bool,
    at: i64,
}

/// Events without a recorded error are not said to have failed alike, but here they have to count as such: a loop of them
/// would go on for ever.
const LINK: &str = "SELECT returns.operation, returns.message_id, queue_arn, back_as, back_in, taken, returns.signature,
     coalesce(returns.signature = events.signature, 0), at FROM";

fn link(row: &Row<'_>) -> rusqlite::Result<Link> {
    Ok(Link {
        operation: row.get(0)?,
        message_id: row.get(1)?,
        queue_arn: row.get(2)?,
        back_as: row.get(3)?,
        back_in: row.get(4)?,
        taken: row.get(5)?,
        signature: row.get(6)?,
        alike: row.get(7)?,
        at: row.get(8)?,
    })
}

impl Ledger {
    /// How often each of these messages, by queue ARN and id, was redriven and came back.
    pub async fn redriven(
        &self,
        messages: Vec<(String, String)>,
    ) -> Result<Vec<u32>, DatabaseError> {
        self.database
            .read(move |connection| {
                messages
                    .iter()
                    .map(|(queue_arn, message_id)| {
                        let chain = chain(connection, queue_arn, message_id)?;
                        let returned = chain.iter().filter(|link| !link.taken).count();
                        Ok(u32::try_from(returned).unwrap_or(u32::MAX))
                    })
                    .collect()
            })
            .await
    }

    /// What operations did to one message and to those it was before, oldest first.
    pub async fn history(
        &self,
        queue_arn: &str,
        message_id: &str,
    ) -> Result<Vec<HistoryEntry>, DatabaseError> {
        let (queue_arn, message_id) = (queue_arn.to_owned(), message_id.to_owned());
        self.database
            .read(move |connection| {
                let chain = chain(connection, &queue_arn, &message_id)?;
                let mut history = Vec::new();
                for link in chain.iter().rev() {
                    history.extend(steps_of(connection, &link.queue_arn, &link.message_id)?);
                    history.extend(entry(link));
                }
                history.extend(steps_of(connection, &queue_arn, &message_id)?);
                history.extend(after(connection, &queue_arn, &message_id)?);
                history.sort_by_key(|entry| entry.at);
                Ok(history)
            })
            .await
    }

    /// Messages of that queue that came back [`ALIKE_MAX`] times or more with the same error or without one, unedited and from
    /// functions of these revisions: message id and signature.
    pub async fn loops(
        &self,
        queue_arn: &str,
        revisions: BTreeMap<String, String>,
    ) -> Result<Vec<(String, String)>, DatabaseError> {
        let queue_arn = queue_arn.to_owned();
        self.database
            .read(move |connection| {
                let mut unchanged = HashMap::new();
                let mut found = Vec::new();
                let mut select = connection.prepare_cached(&format!(
                    "{LINK} {RETURNED} WHERE back_in = ?1 AND returns.signature = events.signature AND taken = 0"
                ))?;
                let mut rows = select.query([queue_arn])?;
                while let Some(row) = rows.next()? {
                    let last = link(row)?;
                    let (back_as, signature) = (last.back_as.clone(), last.signature.clone());
                    if alike(connection, last, &revisions, &mut unchanged)? {
                        found.push((back_as, signature.unwrap_or_default()));
                    }
                }
                Ok(found)
            })
            .await
    }
}

/// How a message came into that queue.
fn before(
    connection: &Connection,
    queue_arn: &str,
    message_id: &str,
) -> Result<Option<Link>, DatabaseError> {
    Ok(connection
        .prepare_cached(&format!(
            "{LINK} {RETURNED} WHERE back_in = ?1 AND back_as = ?2"
        ))?
        .query_row([queue_arn, message_id], link)
        .optional()?)
}

/// How a message came into that queue, and the one it was before into its, the newest first.
fn chain(
    connection: &Connection,
    queue_arn: &str,
    message_id: &str,
) -> Result<Vec<Link>, DatabaseError> {
    let mut chain: Vec<Link> = Vec::new();
    let mut next = before(connection, queue_arn, message_id)?;
    while let Some(link) = next.take().filter(|_| chain.len() < LONGEST) {
        next = before(connection, &link.queue_arn, &link.message_id)?;
        chain.push(link);
    }
    Ok(chain)
}

/// Whether an event that came back like this did so [`ALIKE_MAX`] times in a row, while nothing changed.
fn alike(
    connection: &Connection,
    last: Link,
    revisions: &BTreeMap<String, String>,
    unchanged: &mut HashMap<String, bool>,
) -> Result<bool, DatabaseError> {
    let (mut times, mut next) = (0, Some(last));
    while let Some(link) = next.take() {
        // What was taken back was not tried.
        if !link.taken {
            let same = match unchanged.get(&link.operation) {
                Some(same) => *same,
                None => is_unchanged(connection, &link.operation, revisions)?,
            };
            unchanged.insert(link.operation.clone(), same);
            if !(link.alike && same) {
                return Ok(false);
            }
            times += 1;
            if times == ALIKE_MAX {
                return Ok(true);
            }
        }
        next = before(connection, &link.queue_arn, &link.message_id)?;
    }
    Ok(false)
}

/// Whether an operation sent its events unedited to functions of these revisions.
fn is_unchanged(
    connection: &Connection,
    operation: &str,
    revisions: &BTreeMap<String, String>,
) -> Result<bool, DatabaseError> {
    let (edited, then): (bool, Option<String>) = connection
        .prepare_cached(
            "SELECT plan -> '$.edit' IS NOT NULL, plan -> '$.revisions' FROM operations WHERE id = ?1",
        )?
        .query_row([operation], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let then: BTreeMap<String, String> = then
        .map(|text| serde_json::from_str(&text))
        .transpose()?
        .unwrap_or_default();
    Ok(!edited && then == *revisions)
}

/// What became of a message after it was sent, where it is another now.
fn after(
    connection: &Connection,
    queue_arn: &str,
    message_id: &str,
) -> Result<Vec<HistoryEntry>, DatabaseError> {
    let mut select = connection.prepare_cached(&format!(
        "{LINK} events INDEXED BY events_by_message CROSS JOIN returns USING (operation, message_id)
         WHERE substr(events.message_id, 1, 8) = substr(?2, 1, 8) AND +events.message_id = ?2 AND queue_arn = ?1"
    ))?;
    let links = select
        .query_map(params![queue_arn, message_id], link)?
        .collect::<Result<Vec<_>, _>>()?;
    Ok(links.iter().filter_map(entry).collect())
}

fn entry(link: &Link) -> Option<HistoryEntry> {
    let was = event_id(&link.queue_arn, &link.message_id);
    let is = event_id(&link.back_in, &link.back_as);
    let (state, note) = match &link.signature {
        _ if link.taken => ("taken_back", format!("{was} is {is} now")),
        Some(signature) => ("returned", format!("{was} is back as {is}: {signature}")),
        None => ("returned", format!("{was} is back as {is}")),
    };
    Some(HistoryEntry {
        at: Timestamp::from_millisecond(link.at).ok()?,
        operation_id: link.operation.clone(),
        state: state.to_owned(),
        note: Some(note),
    })
}
