//! The audit: who changed what, why, and how it ended.
//!
//! An entry is written in the transaction of what it tells, so neither is there without the other. Entries are only ever
//! added, and each carries the digest of the one before: whoever changes one with other means must change all later ones.

use jiff::Timestamp;
use patterns_core::audit::Entry;
use patterns_core::operation::{Plan, Selection};
use patterns_core::protocol::PAGE;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Ledger, Standing};
use crate::database::DatabaseError;
use crate::letter::hex;

/// A step of the schema.
pub(super) const TABLE: &str = "
CREATE TABLE audit (
    number INTEGER PRIMARY KEY,  -- from 1, without a gap
    at INTEGER NOT NULL,         -- milliseconds
    uid INTEGER,                 -- of who asked for it; none when the daemon did it by itself
    verb TEXT NOT NULL,
    operation TEXT,
    plan_hash TEXT,
    reason TEXT,
    detail TEXT NOT NULL,        -- JSON
    hash TEXT NOT NULL
);
CREATE INDEX audit_by_operation ON audit (operation, number) WHERE operation IS NOT NULL;
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit is never changed'); END;
CREATE TRIGGER audit_is_not_shortened BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit is never shortened'); END;
";

const COLUMNS: &str = "number, at, uid, verb, operation, plan_hash, reason, detail, hash";

/// What an entry is to say.
#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    /// User id of who asks for it; none when the daemon does it by itself.
    pub uid: Option<u32>,
    /// `start`, `pause`, `resume`, `cancel`, `import`, `break`, `heal` or `ended`.
    pub verb: &'static str,
    /// The operation.
    pub operation_id: Option<String>,
    /// Of the plan as the ledger keeps it.
    pub plan_hash: Option<String>,
    /// Why, in the words of who asks.
    pub reason: Option<String>,
    /// What else is to be known.
    pub detail: Value,
}

impl Note {
    /// Of something that is no operation's.
    pub fn of(verb: &'static str, uid: Option<u32>, detail: Value) -> Self {
        Self {
            uid,
            verb,
            operation_id: None,
            plan_hash: None,
            reason: None,
            detail,
        }
    }

    /// Of an operation.
    pub(super) fn about(operation_id: &str, note: Self) -> Self {
        Self {
            operation_id: Some(operation_id.to_owned()),
            ..note
        }
    }

    /// Of a plan's start; `json` is the plan as the ledger keeps it.
    pub(super) fn start(
        operation_id: &str,
        plan: &Plan,
        json: &str,
        uid: Option<u32>,
        reason: Option<String>,
    ) -> Self {
        let selection = match &plan.selection {
            Selection::Everything => "everything",
            Selection::Chosen(_) => "chosen",
            Selection::Matching(_) => "matching",
        };
        let detail = json!({
            "dead_letter_queue": plan.dead_letter_queue,
            "target": plan.target,
            "planned": plan.planned,
            "selection": selection,
            "edited": plan.edit.is_some(),
            "takes_back": plan.takes_back,
            "native": plan.manner.native,
            "account_id": plan.account_id,
            "region": plan.region,
        });
        Self {
            plan_hash: Some(hex(&Sha256::digest(json))),
            reason,
            ..Self::about(operation_id, Self::of("start", uid, detail))
        }
    }

    /// Of a change of where an operation stands.
    pub(super) fn stand(
        operation_id: &str,
        standing: Standing,
        uid: Option<u32>,
        why: Option<&str>,
    ) -> Self {
        let verb = match standing {
            Standing::Paused => "pause",
            Standing::Running => "resume",
            Standing::Cancelling | Standing::Ended(_) => "cancel",
        };
        let detail = why.map_or_else(|| json!({}), |why| json!({ "why": why }));
        Self::about(operation_id, Self::of(verb, uid, detail))
    }
}

impl Ledger {
    /// Writes down what somebody asks for, before it has any effect. Durable when it returns.
    pub async fn note(&self, note: Note) -> Result<(), DatabaseError> {
        self.database
            .write(move |connection| append(connection, &note))
            .await
    }

    /// The entries after that number, all or of that operation, the oldest first: a page of them.
    pub async fn audit(
        &self,
        operation_id: Option<String>,
        after: u64,
    ) -> Result<Vec<Entry>, DatabaseError> {
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        self.database
            .read(move |connection| {
                let mut select = connection.prepare_cached(&format!(
                    "SELECT {COLUMNS} FROM audit WHERE number > ?1 AND (?2 IS NULL OR operation = ?2)
                     ORDER BY number LIMIT {PAGE}"
                ))?;
                let mut rows = select.query(params![after, operation_id])?;
                let mut entries = Vec::new();
                while let Some(row) = rows.next()? {
                    entries.push(Written::of(row)?.entry()?);
                }
                Ok(entries)
            })
            .await
    }

    /// The number of the first entry that does not follow from the one before it, or that is missing: somebody changed
    /// the file.
    pub async fn forged(&self) -> Result<Option<u64>, DatabaseError> {
        self.database
            .read(|connection| {
                let mut select = connection
                    .prepare_cached(&format!("SELECT {COLUMNS} FROM audit ORDER BY number"))?;
                let mut rows = select.query([])?;
                let (mut number, mut before) = (0, String::new());
                while let Some(row) = rows.next()? {
                    let written = Written::of(row)?;
                    number += 1;
                    if written.number != number || written.digest(&before) != written.hash {
                        return Ok(Some(number.unsigned_abs()));
                    }
                    before = written.hash;
                }
                Ok(None)
            })
            .await
    }
}

/// Adds an entry. To be called in the transaction of what it tells.
pub(super) fn append(connection: &Connection, note: &Note) -> Result<(), DatabaseError> {
    let last: Option<(i64, String)> = connection
        .prepare_cached("SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (last, before) = last.unwrap_or_default();
    let mut written = Written {
        number: last + 1,
        at: Timestamp::now().as_millisecond(),
        uid: note.uid,
        verb: note.verb.to_owned(),
        operation_id: note.operation_id.clone(),
        plan_hash: note.plan_hash.clone(),
        reason: note.reason.clone(),
        detail: note.detail.to_string(),
        hash: String::new(),
    };
    written.hash = written.digest(&before);
    connection
        .prepare_cached("INSERT INTO audit VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?
        .execute(params![
            written.number,
            written.at,
            written.uid,
            written.verb,
            written.operation_id,
            written.plan_hash,
            written.reason,
            written.detail,
            written.hash,
        ])?;
    Ok(())
}

/// Adds how an operation ended: counts, and a digest over what became of each event.
pub(super) fn append_end(
    connection: &Connection,
    operation_id: &str,
    state: &str,
    error: Option<&str>,
) -> Result<(), DatabaseError> {
    let mut counts = serde_json::Map::new();
    let mut select = connection
        .prepare_cached("SELECT state, count(*) FROM events WHERE operation = ?1 GROUP BY state")?;
    let mut rows = select.query([operation_id])?;
    while let Some(row) = rows.next()? {
        counts.insert(row.get(0)?, row.get::<_, i64>(1)?.into());
    }
    let mut digest = Sha256::new();
    let mut select = connection.prepare_cached(
        "SELECT message_id, state, in_doubt, new_id, reason FROM events WHERE operation = ?1 ORDER BY message_id",
    )?;
    let mut rows = select.query([operation_id])?;
    while let Some(row) = rows.next()? {
        type Event = (String, String, i64, Option<String>, Option<String>);
        let event: Event = (
            row.get(0)?,
            row.get(1)?,
            row.get(2)?,
            row.get(3)?,
            row.get(4)?,
        );
        digest.update(serde_json::to_string(&event)?);
        digest.update("\n");
    }
    let moved: Option<i64> = connection
        .prepare_cached("SELECT moved FROM operations WHERE id = ?1")?
        .query_row([operation_id], |row| row.get(0))?;
    counts.extend(moved.map(|moved| ("moved".to_owned(), moved.into())));
    let detail = json!({
        "state": state,
        "error": error,
        "events": counts,
        "outcomes_sha256": hex(&digest.finalize()),
    });
    append(
        connection,
        &Note::about(operation_id, Note::of("ended", None, detail)),
    )
}

/// Why an operation was started, in the words of who did.
pub(super) fn reason(
    connection: &Connection,
    operation_id: &str,
) -> Result<Option<String>, DatabaseError> {
    Ok(connection
        .prepare_cached("SELECT reason FROM audit WHERE operation = ?1 AND verb = 'start'")?
        .query_row([operation_id], |row| row.get(0))
        .optional()?
        .flatten())
}

/// A row.
struct Written {
    number: i64,
    at: i64,
    uid: Option<u32>,
    verb: String,
    operation_id: Option<String>,
    plan_hash: Option<String>,
    reason: Option<String>,
    detail: String,
    hash: String,
}

impl Written {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            number: row.get(0)?,
            at: row.get(1)?,
            uid: row.get(2)?,
            verb: row.get(3)?,
            operation_id: row.get(4)?,
            plan_hash: row.get(5)?,
            reason: row.get(6)?,
            detail: row.get(7)?,
            hash: row.get(8)?,
        })
    }

    /// Over the digest of the entry before and everything that this one says, as a JSON array: no two contents look alike.
    fn digest(&self, before: &str) -> String {
        let said = json!([
            before,
            self.number,
            self.at,
            self.uid,
            self.verb,
            self.operation_id,
            self.plan_hash,
            self.reason,
            self.detail,
        ]);
        hex(&Sha256::digest(said.to_string()))
    }

    fn entry(self) -> Result<Entry, DatabaseError> {
        Ok(Entry {
            number: self.number.unsigned_abs(),
            at: Timestamp::from_millisecond(self.at).unwrap_or(Timestamp::UNIX_EPOCH),
            uid: self.uid,
            verb: self.verb,
            operation_id: self.operation_id,
            plan_hash: self.plan_hash,
            reason: self.reason,
            detail: serde_json::from_str(&self.detail)?,
            hash: self.hash,
        })
    }
}
