//! The way back from an event to what it was before it was edited.

use patterns_core::failed::HistoryEntry;
use patterns_core::problem::Problem;
use serde_json::Value;

use crate::ledger::{self, Ledger};
use crate::mirror;
use crate::mirror::decode::payload;
use crate::mirror::store::{Mirrored, Original, Store};

/// An event that was redriven more often than this before it came back is not followed further.
const REDRIVES: usize = 10;

/// The payload that an event had before it was edited and redriven, if it came back from that.
pub async fn before(
    store: &Store,
    ledger: &Ledger,
    row: &Mirrored,
) -> Result<Option<Value>, Problem> {
    // A redrive policy keeps the id that a send got; Lambda tells that of the invocation.
    let mut new_id = row
        .decoded
        .request_id
        .as_ref()
        .unwrap_or(&row.message_id)
        .clone();
    for _ in 0..REDRIVES {
        let sent = ledger.sent_as(&new_id).await.map_err(ledger::disk)?;
        let Some((queue_arn, message_id)) = sent else {
            return Ok(None);
        };
        let kept = store.original(&queue_arn, &message_id).await;
        if let Some(original) = kept.map_err(mirror::disk)? {
            return Ok(Some(payload(&original.letter)));
        }
        new_id = message_id;
    }
    Ok(None)
}

/// Adds to an event's history that it was edited: just before it was sent.
pub fn tell(history: &mut Vec<HistoryEntry>, original: &Original) {
    let sent = history
        .iter()
        .position(|entry| entry.operation_id == original.operation_id && entry.state == "sent");
    if let Some(index) = sent {
        let edited = HistoryEntry {
            at: original.kept_at,
            operation_id: original.operation_id.clone(),
            state: "edited".to_owned(),
            note: None,
        };
        history.insert(index, edited);
    }
}
