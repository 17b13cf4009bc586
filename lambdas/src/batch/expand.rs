//! `expand-batch`: sends one message for each row of a chunk, ten in a call and several calls at the same time. A chunk that
//! arrives again goes on where it was: groups that are known to be sent are left out, and others may be sent twice.
//!
//! What there is no time for is handed on as a chunk of its own. Lambda stops a loop of a queue and a function after about 16
//! rounds (AWS Lambda developer guide, "Use Lambda recursive loop detection"), so a chunk is handed on only so often, and then
//! given back to its queue: a message that is received again is no new round.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use aws_lambda_events::sqs::SqsMessage;
use futures::{StreamExt, stream};
use lambda_runtime::Error;
use tracing::Instrument;

use super::progress::{Batches, ProgressError};
use super::send::{SendError, Sender};
use super::{Chunk, Row, RowMessage, group_of};
use crate::aws;
use crate::queue::{self, Failed};
use crate::settings::Settings;
use crate::unreadable::{self, Unreadable};

/// With less time left than this the rest is handed on.
const RESERVE: Duration = Duration::from_secs(10);

/// Calls at the same time.
const AT_ONCE: usize = 8;

/// How often the rest of a chunk is handed on: with the upload and the rows' own round well below 16.
const HOPS_MAX: u32 = 8;

/// Why a chunk was not expanded, or not as a whole.
#[derive(Debug, thiserror::Error)]
enum ExpandError {
    #[error("the message is not a chunk of rows: {0}")]
    Unreadable(#[from] Unreadable),
    #[error("rows were not sent")]
    Send(#[from] SendError),
    #[error("the batch's progress could not be read or written")]
    Progress(#[from] ProgressError),
    #[error("the function's time is used up, after the rest was handed on {HOPS_MAX} times")]
    OutOfTime,
}

struct Expander {
    batches: Batches,
    chunks: Sender,
    rows: Sender,
}

/// Takes chunks until the environment ends.
pub async fn run() -> Result<(), Error> {
    let mut settings = Settings::default();
    let batches = settings.required("BATCHES_TABLE");
    let chunks = settings.required("CHUNK_QUEUE_URL");
    let rows = settings.required("ROW_QUEUE_URL");
    let (batches, chunks, rows) = settings.finish((batches, chunks, rows))?;
    let config = aws::config();
    let queue_url = chunks.clone();
    let expander = Expander {
        batches: Batches::new(&config, batches),
        chunks: Sender::new(&config, chunks),
        rows: Sender::new(&config, rows),
    };
    let handle = async move |record: &SqsMessage, time_left| {
        let until = Instant::now() + time_left;
        let sent = expand(&expander, record, until).await;
        sent.map_err(|error| Failed::new("RowsNotSent", error))
    };
    lambda_runtime::run(queue::function(&config, queue_url, handle)).await
}

async fn expand(
    expander: &Expander,
    record: &SqsMessage,
    until: Instant,
) -> Result<(), ExpandError> {
    let body = record.body.as_deref().unwrap_or_default();
    let chunk: Chunk = unreadable::object(body.as_bytes())?;
    let span = tracing::info_span!(
        "chunk",
        correlationId = chunk.correlation_id,
        batchId = chunk.batch_id,
        chunk = chunk.chunk
    );
    send_rows(expander, chunk, until).instrument(span).await
}

async fn send_rows(expander: &Expander, chunk: Chunk, until: Instant) -> Result<(), ExpandError> {
    let (batch_id, number) = (&chunk.batch_id, chunk.chunk);
    let done = expander.batches.done(batch_id, number).await?.sent;
    let groups = chunk
        .rows
        .chunk_by(|a, b| group_of(a.row) == group_of(b.row))
        .filter_map(|rows| Some((group_of(rows.first()?.row), rows)))
        .filter(|(group, _)| !done.contains(group));
    let mut outcomes = stream::iter(groups)
        .map(|(group, rows)| {
            let chunk = &chunk;
            async move {
                if until.saturating_duration_since(Instant::now()) < RESERVE {
                    return (group, Ok(false));
                }
                let sent = send_group(expander, chunk, rows).await;
                (group, sent.map(|()| true))
            }
        })
        .buffer_unordered(AT_ONCE);
    let (mut sent, mut left, mut failure) = (BTreeSet::new(), BTreeSet::new(), None);
    while let Some((group, outcome)) = outcomes.next().await {
        match outcome {
            Ok(true) => {
                sent.insert(group);
            }
            Ok(false) => {
                left.insert(group);
            }
            Err(error) => failure = Some(error),
        }
    }
    drop(outcomes);
    // Also when others failed: these need not be sent again.
    if !sent.is_empty() {
        expander.batches.sent(batch_id, number, &sent).await?;
    }
    if let Some(error) = failure {
        return Err(error.into());
    }
    match rest(chunk, &left) {
        Rest::Nothing => Ok(()),
        Rest::HandOn(rest) => {
            tracing::info!(rows = rest.rows.len(), "the rest of a chunk is handed on");
            Ok(expander
                .chunks
                .send(std::slice::from_ref(&rest), &rest.correlation_id)
                .await?)
        }
        Rest::GiveBack => Err(ExpandError::OutOfTime),
    }
}

async fn send_group(expander: &Expander, chunk: &Chunk, rows: &[Row]) -> Result<(), SendError> {
    let messages: Vec<_> = rows
        .iter()
        .map(|row| RowMessage {
            batch_id: chunk.batch_id.clone(),
            chunk: chunk.chunk,
            correlation_id: chunk.correlation_id.clone(),
            row: row.clone(),
        })
        .collect();
    expander.rows.send(&messages, &chunk.correlation_id).await
}

/// What is to become of the groups that there was no time for.
#[derive(Debug, PartialEq, Eq)]
enum Rest {
    Nothing,
    HandOn(Chunk),
    GiveBack,
}

fn rest(mut chunk: Chunk, left: &BTreeSet<u32>) -> Rest {
    if left.is_empty() {
        return Rest::Nothing;
    }
    if chunk.hops >= HOPS_MAX {
        return Rest::GiveBack;
    }
    chunk.rows.retain(|row| left.contains(&group_of(row.row)));
    chunk.hops += 1;
    Rest::HandOn(chunk)
}

#[cfg(test)]
mod tests {
    use patterns_core::task::NewTask;

    use super::*;

    #[test]
    fn the_rest_is_handed_on_a_limited_number_of_times() {
        let chunk = |hops, rows: std::ops::Range<u32>| Chunk {
            batch_id: "b".to_owned(),
            chunk: 3,
            correlation_id: "c".to_owned(),
            hops,
            rows: rows
                .map(|row| Row {
                    row,
                    task: NewTask::default(),
                })
                .collect(),
        };
        let all = || chunk(0, 2..35);
        assert_eq!(rest(all(), &BTreeSet::new()), Rest::Nothing);
        let left = BTreeSet::from([2, 3]);
        assert_eq!(rest(all(), &left), Rest::HandOn(chunk(1, 22..35)));
        assert_eq!(
            rest(chunk(HOPS_MAX - 1, 2..12), &BTreeSet::from([0])),
            Rest::HandOn(chunk(HOPS_MAX, 2..12))
        );
        assert_eq!(
            rest(chunk(HOPS_MAX, 2..12), &BTreeSet::from([0])),
            Rest::GiveBack
        );
    }
}
