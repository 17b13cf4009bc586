//! `create-task-subscriber`: makes a task of each row's message, once. A message that cannot be one fails alone and ends as a dead
//! letter.
//!
//! A row that is known to be created is not created again, even if its task was deleted meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_lambda_events::sqs::{SqsEvent, SqsMessage};
use futures::FutureExt;
use futures::future::join_all;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use patterns_core::task::{InvalidField, Task, invalid_fields};

use super::RowMessage;
use super::progress::Batches;
use crate::aws;
use crate::deadline;
use crate::delivery::provider::{Provider, ProviderError};
use crate::function::Function;
use crate::queue::{self, make_visible_soon, receives, response};
use crate::settings::Settings;
use crate::table::TableError;
use crate::task::now;
use crate::task::store::TaskStore;
use crate::unreadable::{self, Unreadable};

/// Kept free at the end of the function's time for counting, and for reporting what failed.
const RESERVE: Duration = Duration::from_secs(4);

/// Why a row has no task.
#[derive(Debug, thiserror::Error)]
enum RowError {
    #[error("the message is not a row: {0}")]
    Unreadable(#[from] Unreadable),
    #[error("the row is not a task: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    Invalid(Vec<InvalidField>),
    #[error("the task was not stored")]
    Store(#[from] TableError),
    #[error("the batch's progress could not be read")]
    Progress,
    #[error("{0}")]
    Rehearsed(#[from] ProviderError),
    #[error("the function's time is used up")]
    OutOfTime,
    #[error("creating the task panicked")]
    Panicked,
}

struct Subscriber {
    store: TaskStore,
    batches: Batches,
    provider: Provider,
    max_receives: u32,
}

/// Rows of one chunk.
type Rows = BTreeMap<(String, u32), BTreeSet<u32>>;

/// The correlation id of the upload that each chunk came from.
type Uploads<'a> = BTreeMap<(String, u32), &'a str>;

/// Takes messages until the environment ends.
pub async fn run() -> Result<(), Error> {
    lambda_runtime::run(function(&aws::config())?).await
}

/// What takes them.
pub fn function(config: &SdkConfig) -> Result<impl Function<SqsEvent> + use<>, Error> {
    let mut settings = Settings::default();
    let tasks = settings.required("TASKS_TABLE");
    let batches = settings.required("BATCHES_TABLE");
    let queue_url = settings.required("ROW_QUEUE_URL");
    let max_receives = settings.optional(
        "ROW_MAX_RECEIVES",
        3,
        "the row queue's maxReceiveCount, from 1 to 1000",
        |count| (1..=1000).contains(count),
    );
    let provider = Provider::read(&mut settings);
    let (tasks, batches, queue_url) = settings.finish((tasks, batches, queue_url))?;
    let subscriber = Subscriber {
        store: TaskStore::new(config, tasks),
        batches: Batches::new(config, batches),
        provider,
        max_receives,
    };
    let shared = Arc::new((subscriber, aws_sdk_sqs::Client::new(config), queue_url));
    Ok(service_fn(move |event: LambdaEvent<SqsEvent>| {
        let shared = Arc::clone(&shared);
        async move {
            let (subscriber, sqs, queue_url) = &*shared;
            let time = deadline::time_left(&event.context).saturating_sub(RESERVE);
            let failed = create_all(subscriber, &event.payload.records, time).await;
            make_visible_soon(sqs, queue_url, &failed).await;
            Ok::<_, Error>(response(failed.into_iter()))
        }
    }))
}

/// Creates the tasks of all records, and answers with those that failed.
async fn create_all<'a>(
    subscriber: &Subscriber,
    records: &'a [SqsMessage],
    time: Duration,
) -> Vec<&'a SqsMessage> {
    let mut failed = Vec::new();
    let mut messages = Vec::new();
    for record in records {
        match unreadable::object::<RowMessage>(body(record)) {
            Ok(message) => messages.push((record, message)),
            Err(error) => {
                tell(record, None, &error.into());
                failed.push(record);
            }
        }
    }
    let uploads: Uploads = messages
        .iter()
        .map(|(_, message)| (place(message), message.correlation_id.as_str()))
        .collect();
    let known = &known(subscriber, &uploads).await;
    let outcomes = messages
        .iter()
        .map(|(_, message)| guarded(create(subscriber, message, known), time));
    let outcomes = join_all(outcomes).await;
    let (mut created, mut given_up) = (Rows::new(), Rows::new());
    for ((record, message), outcome) in messages.iter().zip(outcomes) {
        let rows = match outcome {
            Ok(()) => &mut created,
            Err(error) => {
                tell(record, Some(message), &error);
                failed.push(*record);
                if receives(record) < subscriber.max_receives {
                    continue;
                }
                &mut given_up
            }
        };
        let rows = rows.entry(place(message)).or_default();
        rows.insert(message.row.row);
    }
    for uncounted in count(subscriber, &uploads, &created, &given_up).await {
        // Their messages come again: the tasks are there then, and are counted.
        let rows = created.get(&uncounted);
        let again = messages.iter().filter(|(_, message)| {
            place(message) == uncounted && rows.is_some_and(|rows| rows.contains(&message.row.row))
        });
        failed.extend(again.map(|(record, _)| *record));
    }
    failed
}

/// The rows of these chunks that were created before. Chunks that cannot be read are missing: their rows are tried later.
async fn known(subscriber: &Subscriber, uploads: &Uploads<'_>) -> Rows {
    let reads = uploads.iter().map(async |(place, correlation_id)| {
        let (batch_id, chunk) = place;
        match subscriber.batches.done(batch_id, *chunk).await {
            Ok(done) => Some((place.clone(), done.created)),
            Err(error) => {
                tracing::error!(
                    correlationId = correlation_id,
                    batchId = batch_id,
                    cause = format!("{error:?}"),
                    "a batch's progress cannot be read"
                );
                None
            }
        }
    });
    join_all(reads).await.into_iter().flatten().collect()
}

/// One row fails by itself, even where the code panics, and in time for the others to be counted.
async fn guarded(
    created: impl Future<Output = Result<(), RowError>>,
    time: Duration,
) -> Result<(), RowError> {
    let created = tokio::time::timeout(time, created);
    match AssertUnwindSafe(created).catch_unwind().await {
        Ok(Ok(created)) => created,
        Ok(Err(_)) => Err(RowError::OutOfTime),
        Err(_) => Err(RowError::Panicked),
    }
}

async fn create(
    subscriber: &Subscriber,
    message: &RowMessage,
    known: &Rows,
) -> Result<(), RowError> {
    let row = &message.row;
    let new = &row.task;
    let invalid = invalid_fields(&new.title, new.detail.as_deref());
    if !invalid.is_empty() {
        return Err(RowError::Invalid(invalid));
    }
    subscriber.provider.rehearse(message).await?;
    let known = known.get(&place(message));
    if known.ok_or(RowError::Progress)?.contains(&row.row) {
        return Ok(());
    }
    let now = now();
    let task = Task {
        id: message.task_id(),
        title: new.title.clone(),
        detail: new.detail.clone(),
        due_at: new.due_at,
        is_complete: new.is_complete,
        created_at: now,
        updated_at: now,
    };
    // `false` means that an earlier delivery of the row stored it.
    subscriber.store.add(&task).await?;
    Ok(())
}

/// Counts, and answers with the chunks whose created rows could not be counted.
async fn count(
    subscriber: &Subscriber,
    uploads: &Uploads<'_>,
    created: &Rows,
    given_up: &Rows,
) -> Vec<(String, u32)> {
    for (place, rows) in given_up {
        let (batch_id, chunk) = place;
        if let Err(error) = subscriber.batches.failed(batch_id, *chunk, rows).await {
            // The messages themselves are in the dead-letter queue, whose depth tells of them.
            tracing::warn!(
                correlationId = uploads.get(place),
                batchId = batch_id,
                rows = rows.len(),
                cause = format!("{error:?}"),
                "rows that were given up are not counted"
            );
        }
    }
    let mut uncounted = Vec::new();
    for (place, rows) in created {
        let (batch_id, chunk) = place;
        if let Err(error) = subscriber.batches.created(batch_id, *chunk, rows).await {
            tracing::error!(
                correlationId = uploads.get(place),
                batchId = batch_id,
                rows = rows.len(),
                cause = format!("{error:?}"),
                "created rows are not counted; their messages come again"
            );
            uncounted.push(place.clone());
        }
    }
    uncounted
}

/// The chunk that a row came in.
fn place(message: &RowMessage) -> (String, u32) {
    (message.batch_id.clone(), message.chunk)
}

fn body(record: &SqsMessage) -> &[u8] {
    record.body.as_deref().unwrap_or_default().as_bytes()
}

fn tell(record: &SqsMessage, message: Option<&RowMessage>, error: &RowError) {
    let attribute = queue::correlation_id(record);
    tracing::error!(
        messageId = record.message_id,
        correlationId = message.map_or(attribute, |message| Some(message.correlation_id.as_str())),
        batchId = message.map(|message| message.batch_id.as_str()),
        row = message.map(|message| message.row.row),
        cause = format!("{error:?}"),
        "{error}"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_row_that_panics_or_hangs_fails_alone() {
        const LONG: Duration = Duration::from_mins(1);
        let panics = async {
            tokio::task::yield_now().await;
            panic!("a defect");
        };
        let outcomes = futures::join!(
            guarded(panics, LONG),
            guarded(std::future::pending(), Duration::from_millis(1)),
            guarded(async { Ok(()) }, LONG),
        );
        assert!(
            matches!(
                outcomes,
                (Err(RowError::Panicked), Err(RowError::OutOfTime), Ok(()))
            ),
            "{outcomes:?}"
        );
    }
}
