//! Fan-out: a CSV file with a task in each row becomes one message for each row, in two steps, and each message a task.
//!
//! ```text
//! upload-tasks ──(chunks of at most 500 rows)──> chunk queue ──> expand-batch
//!                                                                    │ rows, by tens
//!                                  create-task-subscriber <── row queue
//! ```
//!
//! Every message may arrive twice, at each step, and nothing happens twice: a row's task has an id that follows from its batch
//! and its number, and is stored only if there is none of that id; what is counted is numbers of rows, in sets.

use std::collections::BTreeSet;

use patterns_core::task::NewTask;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub mod create;
pub mod expand;
pub mod get;
pub mod progress;
pub mod rows;
pub mod send;
pub mod upload;

/// The header is row 1, as a spreadsheet numbers them.
const FIRST_ROW: u32 = 2;

/// Rows that are sent together: as many as one `SendMessageBatch` takes.
const GROUP: u32 = 10;

/// Rows in one chunk at most. An expansion takes a second or two then, far from the 15 minutes that a function has.
const CHUNK_ROWS: usize = 500;

/// Bytes of JSON in one chunk's rows at most: 1 MiB is SQS's limit now, and 256 KiB was it until 2025.
const CHUNK_BYTES: usize = 200_000;

/// A task to be made, and the row that it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Its number in the file.
    pub row: u32,
    /// The task.
    pub task: NewTask,
}

/// The message that an upload sends: some rows of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Chunk {
    /// The upload.
    pub batch_id: String,
    /// Which part of it, from 1.
    pub chunk: u32,
    /// From the request that uploaded it.
    pub correlation_id: String,
    /// How often the rest of it was handed on.
    #[serde(default)]
    pub hops: u32,
    /// Its rows, in order.
    pub rows: Vec<Row>,
}

/// The message of one row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RowMessage {
    /// The upload.
    pub batch_id: String,
    /// The chunk that it came in.
    pub chunk: u32,
    /// From the request that uploaded it.
    pub correlation_id: String,
    /// The row's number and its task.
    #[serde(flatten)]
    pub row: Row,
}

impl RowMessage {
    /// The id of the row's task: always the same for the same row of the same batch.
    #[must_use]
    pub fn task_id(&self) -> String {
        let name = format!("{}-{}", self.batch_id, self.row.row);
        Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()).to_string()
    }
}

/// The group of ten that a row belongs to, whatever chunk it is in.
fn group_of(row: u32) -> u32 {
    row.saturating_sub(FIRST_ROW) / GROUP
}

/// How many of a batch's rows are in these groups. All groups are full but the last.
fn rows_in(groups: &BTreeSet<u32>, total: u32) -> u32 {
    groups
        .iter()
        .map(|group| total.saturating_sub(group * GROUP).min(GROUP))
        .sum()
}

/// Whole groups of rows, as many to a chunk as it may hold.
fn chunks(
    batch_id: &str,
    correlation_id: &str,
    rows: &[Row],
) -> Result<Vec<Chunk>, serde_json::Error> {
    let mut chunks: Vec<Chunk> = Vec::new();
    let mut bytes = 0;
    for group in rows.chunk_by(|a, b| group_of(a.row) == group_of(b.row)) {
        let size = serde_json::to_vec(group)?.len();
        match chunks.last_mut() {
            Some(last)
                if bytes + size <= CHUNK_BYTES && last.rows.len() + group.len() <= CHUNK_ROWS =>
            {
                bytes += size;
                last.rows.extend_from_slice(group);
            }
            last => {
                bytes = size;
                let chunk = Chunk {
                    batch_id: batch_id.to_owned(),
                    chunk: last.map_or(1, |last| last.chunk + 1),
                    correlation_id: correlation_id.to_owned(),
                    hops: 0,
                    rows: group.to_vec(),
                };
                chunks.push(chunk);
            }
        }
    }
    Ok(chunks)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;

    fn rows(count: u32, detail: &str) -> Vec<Row> {
        (FIRST_ROW..FIRST_ROW + count)
            .map(|row| Row {
                row,
                task: NewTask {
                    title: format!("task {row}"),
                    detail: Some(detail.to_owned()),
                    ..NewTask::default()
                },
            })
            .collect()
    }

    #[test]
    fn chunks_hold_all_rows_once_and_fit_into_messages() {
        // The widest text that a row may hold: each character takes six bytes in JSON.
        let widest = "\u{1}".repeat(1000);
        for (count, detail) in [
            (0, "x"),
            (1, "x"),
            (10_000, "x"),
            (10_003, "x"),
            (999, &widest),
        ] {
            let all = rows(count, detail);
            let chunks = chunks("b", "c", &all).unwrap();
            for chunk in &chunks {
                let message = serde_json::to_string(chunk).unwrap();
                assert!(message.len() <= 256 * 1024, "{}", message.len());
                assert!(chunk.rows.len() <= CHUNK_ROWS);
                assert_eq!(
                    group_of(chunk.rows[0].row) * GROUP + FIRST_ROW,
                    chunk.rows[0].row
                );
            }
            let numbers: Vec<_> = chunks.iter().map(|chunk| chunk.chunk).collect();
            let expected: Vec<_> = (1..).take(chunks.len()).collect();
            assert_eq!(numbers, expected);
            let together: Vec<_> = chunks.into_iter().flat_map(|chunk| chunk.rows).collect();
            assert_eq!(together, all);
        }
        assert_eq!(chunks("b", "c", &rows(10_000, "x")).unwrap().len(), 20);
    }

    #[test]
    fn groups_are_tens_and_the_last_may_be_smaller() {
        assert_eq!([2, 11, 12, 10_001].map(group_of), [0, 0, 1, 999]);
        assert_eq!(rows_in(&BTreeSet::from([0, 1, 2]), 23), 23);
        assert_eq!(rows_in(&BTreeSet::from([2]), 23), 3);
        assert_eq!(rows_in(&BTreeSet::from([0, 1]), 20), 20);
    }

    #[test]
    fn d3_a_rows_task_has_one_id() {
        let message = |batch_id: &str, row: u32| RowMessage {
            batch_id: batch_id.to_owned(),
            chunk: 1,
            correlation_id: "c".to_owned(),
            row: rows(row - 1, "x").pop().unwrap(),
        };
        let (one, other) = ("b-1", "b-2");
        assert_eq!(message(one, 7).task_id(), message(one, 7).task_id());
        assert_ne!(message(one, 7).task_id(), message(one, 8).task_id());
        assert_ne!(message(one, 7).task_id(), message(other, 7).task_id());
        let json = serde_json::to_value(message(one, 7)).unwrap();
        assert_eq!(json["row"], 7);
        assert_eq!(
            serde_json::from_value::<RowMessage>(json).unwrap(),
            message(one, 7)
        );
    }
}
