//! The table of batches. One item says what was uploaded, and one for each chunk which of its rows were sent, created, or given
//! up: as sets of numbers, because adding to a set twice changes nothing. Progress is their sizes.

use std::collections::BTreeSet;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::rows_in;
use crate::table::{self, Item, TableError};

/// Longer than a row can wait: 4 days in its queue and 14 more as a dead letter.
const KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);

/// The sort key of what was uploaded.
const UPLOAD: &str = "UPLOAD";

/// Why the table could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ProgressError {
    /// DynamoDB refused or did not answer.
    #[error(transparent)]
    Table(#[from] TableError),
    /// An item is not what it should be.
    #[error("an item of the table is not a batch: {0} is missing or wrong")]
    Item(&'static str),
}

impl<E> From<SdkError<E>> for ProgressError
where
    aws_sdk_dynamodb::Error: From<SdkError<E>>,
{
    fn from(error: SdkError<E>) -> Self {
        Self::Table(error.into())
    }
}

/// How far a batch is. Each row counts once, however often it was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// The batch.
    pub batch_id: String,
    /// Rows of the file.
    pub total: u32,
    /// Rows whose message is in the row queue, or was.
    pub sent: u32,
    /// Rows whose task is stored.
    pub created: u32,
    /// Rows that were given up after their last attempt, and not created by a redrive since.
    pub failed: u32,
    /// When the upload was accepted.
    pub accepted_at: Timestamp,
}

/// What is known of a chunk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChunkProgress {
    /// Groups of ten rows that were sent.
    pub sent: BTreeSet<u32>,
    /// Rows whose task was stored.
    pub created: BTreeSet<u32>,
    failed: BTreeSet<u32>,
}

impl ChunkProgress {
    fn of(item: &Item) -> Self {
        Self {
            sent: numbers(item, "sent"),
            created: numbers(item, "created"),
            failed: numbers(item, "failed"),
        }
    }
}

/// The table of batches.
#[derive(Clone, Debug)]
pub struct Batches {
    client: aws_sdk_dynamodb::Client,
    table: String,
}

impl Batches {
    /// The table called `table`.
    #[must_use]
    pub fn new(config: &SdkConfig, table: String) -> Self {
        Self {
            client: aws_sdk_dynamodb::Client::new(config),
            table,
        }
    }

    /// Writes down a batch of `total` rows; one that is known already stays as it is.
    pub async fn open(&self, batch_id: &str, total: usize) -> Result<(), ProgressError> {
        let now = Timestamp::now();
        let item = [
            ("pk", key(batch_id)),
            ("sk", AttributeValue::S(UPLOAD.to_owned())),
            ("total", AttributeValue::N(total.to_string())),
            ("acceptedAt", AttributeValue::S(now.to_string())),
            ("expiresAt", expires()),
        ];
        let item = item.map(|(name, value)| (name.to_owned(), value));
        table::put_new(&self.client, &self.table, Item::from(item)).await?;
        Ok(())
    }

    /// Groups that were sent.
    pub async fn sent(
        &self,
        batch_id: &str,
        chunk: u32,
        groups: &BTreeSet<u32>,
    ) -> Result<(), ProgressError> {
        self.change(batch_id, chunk, "ADD sent :numbers", groups)
            .await
    }

    /// Rows whose task is stored; they are not given up any more.
    pub async fn created(
        &self,
        batch_id: &str,
        chunk: u32,
        rows: &BTreeSet<u32>,
    ) -> Result<(), ProgressError> {
        self.change(
            batch_id,
            chunk,
            "ADD created :numbers DELETE failed :numbers",
            rows,
        )
        .await
    }

    /// Rows that are given up.
    pub async fn failed(
        &self,
        batch_id: &str,
        chunk: u32,
        rows: &BTreeSet<u32>,
    ) -> Result<(), ProgressError> {
        self.change(batch_id, chunk, "ADD failed :numbers", rows)
            .await
    }

    /// What was done of a chunk so far.
    pub async fn done(&self, batch_id: &str, chunk: u32) -> Result<ChunkProgress, ProgressError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("pk", key(batch_id))
            .key("sk", chunk_key(chunk))
            .consistent_read(true)
            .send()
            .await?;
        Ok(answer
            .item
            .as_ref()
            .map(ChunkProgress::of)
            .unwrap_or_default())
    }

    /// How far a batch is, if there is one of that id.
    pub async fn progress(&self, batch_id: &str) -> Result<Option<Progress>, ProgressError> {
        let items = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", key(batch_id))
            .consistent_read(true)
            .into_paginator()
            .items()
            .send()
            .collect::<Result<Vec<_>, _>>()
            .await?;
        let is_upload = |item: &&Item| {
            let sort = item.get("sk").and_then(|sort| sort.as_s().ok());
            sort.is_some_and(|sort| sort == UPLOAD)
        };
        let Some(upload) = items.iter().find(is_upload) else {
            return Ok(None);
        };
        let chunks = items.iter().filter(|item| !is_upload(item));
        let chunks = chunks.map(ChunkProgress::of).collect();
        sum(batch_id, upload, chunks).map(Some)
    }

    /// Changes sets of a chunk by `numbers`.
    async fn change(
        &self,
        batch_id: &str,
        chunk: u32,
        change: &str,
        numbers: &BTreeSet<u32>,
    ) -> Result<(), ProgressError> {
        self.client
            .update_item()
            .table_name(&self.table)
            .key("pk", key(batch_id))
            .key("sk", chunk_key(chunk))
            .update_expression(format!("SET expiresAt = :expires {change}"))
            .expression_attribute_values(":expires", expires())
            .expression_attribute_values(":numbers", set(numbers))
            .send()
            .await?;
        Ok(())
    }
}

fn sum(
    batch_id: &str,
    upload: &Item,
    chunks: Vec<ChunkProgress>,
) -> Result<Progress, ProgressError> {
    let total = upload
        .get("total")
        .and_then(|total| total.as_n().ok()?.parse().ok())
        .ok_or(ProgressError::Item("total"))?;
    let accepted_at = upload
        .get("acceptedAt")
        .and_then(|time| time.as_s().ok()?.parse().ok())
        .ok_or(ProgressError::Item("acceptedAt"))?;
    let mut all = ChunkProgress::default();
    for chunk in chunks {
        all.sent.extend(chunk.sent);
        all.created.extend(chunk.created);
        all.failed.extend(chunk.failed);
    }
    let count = |rows: usize| u32::try_from(rows).unwrap_or(u32::MAX);
    Ok(Progress {
        batch_id: batch_id.to_owned(),
        total,
        sent: rows_in(&all.sent, total),
        created: count(all.created.len()),
        // One copy of a message may be given up after another created the task.
        failed: count(all.failed.difference(&all.created).count()),
        accepted_at,
    })
}

fn key(batch_id: &str) -> AttributeValue {
    AttributeValue::S(format!("BATCH#{batch_id}"))
}

fn chunk_key(chunk: u32) -> AttributeValue {
    AttributeValue::S(format!("CHUNK#{chunk:06}"))
}

fn expires() -> AttributeValue {
    let now = Timestamp::now();
    let at = now.saturating_add(KEPT).unwrap_or(now);
    AttributeValue::N(at.as_second().to_string())
}

fn set(numbers: &BTreeSet<u32>) -> AttributeValue {
    AttributeValue::Ns(numbers.iter().map(u32::to_string).collect())
}

fn numbers(item: &Item, name: &str) -> BTreeSet<u32> {
    let numbers = item.get(name).and_then(|value| value.as_ns().ok());
    numbers
        .into_iter()
        .flatten()
        .filter_map(|number| number.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn each_row_counts_once_and_a_created_one_did_not_fail() {
        let upload = Item::from([
            ("total".to_owned(), AttributeValue::N("13".to_owned())),
            (
                "acceptedAt".to_owned(),
                AttributeValue::S("2026-01-01T00:00:00Z".to_owned()),
            ),
        ]);
        let chunk = |sent: &[u32], created: &[u32], failed: &[u32]| {
            let all = |numbers: &[u32]| set(&numbers.iter().copied().collect());
            ChunkProgress::of(&Item::from([
                ("sent".to_owned(), all(sent)),
                ("created".to_owned(), all(created)),
                ("failed".to_owned(), all(failed)),
            ]))
        };
        let chunks = vec![chunk(&[0], &[2, 3, 4], &[4, 5]), chunk(&[1], &[12], &[])];
        let progress = sum("b", &upload, chunks).unwrap();
        assert_eq!(
            (
                progress.total,
                progress.sent,
                progress.created,
                progress.failed
            ),
            (13, 13, 4, 1)
        );
        assert!(sum("b", &Item::new(), Vec::new()).is_err());
    }
}
