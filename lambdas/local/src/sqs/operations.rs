//! Which operation a request asks for, and the parts of its input that operations share.

use std::collections::HashSet;

use serde::{Serialize, de::DeserializeOwned};

use super::{Sqs, refusal};
use crate::{account::ACCOUNT_ID, error::AwsError};

impl Sqs {
    /// Carries out one operation of the AWS JSON 1.0 protocol, from the request's body to the answer's.
    pub async fn handle(&self, operation: &str, input: &[u8]) -> Result<Vec<u8>, AwsError> {
        match operation {
            "CreateQueue" => written(self.create(parsed(input)?)),
            "GetQueueUrl" => written(self.get_url(&parsed(input)?)),
            "ListQueues" => written(self.list(&parsed(input)?)),
            "DeleteQueue" => written(self.delete_queue(&parsed(input)?)),
            "PurgeQueue" => written(self.purge(&parsed(input)?)),
            "ListDeadLetterSourceQueues" => written(self.list_sources(&parsed(input)?)),
            "GetQueueAttributes" => written(self.get_attributes(parsed(input)?)),
            "SetQueueAttributes" => written(self.set_attributes(parsed(input)?)),
            "TagQueue" => written(self.tag(parsed(input)?)),
            "UntagQueue" => written(self.untag(&parsed(input)?)),
            "ListQueueTags" => written(self.list_tags(&parsed(input)?)),
            "SendMessage" => written(self.send_one(parsed(input)?)),
            "SendMessageBatch" => written(self.send_batch(parsed(input)?)),
            "ReceiveMessage" => written(self.receive_messages(parsed(input)?).await),
            "DeleteMessage" => written(self.delete_one(&parsed(input)?)),
            "DeleteMessageBatch" => written(self.delete_batch(parsed(input)?)),
            "ChangeMessageVisibility" => written(self.change_one(&parsed(input)?)),
            "ChangeMessageVisibilityBatch" => written(self.change_batch(parsed(input)?)),
            "StartMessageMoveTask" => written(self.start_move(parsed(input)?)),
            "ListMessageMoveTasks" => written(self.list_moves(&parsed(input)?)),
            "CancelMessageMoveTask" => written(self.cancel_move(&parsed(input)?)),
            _ => Err(AwsError::new(
                400,
                "UnknownOperationException",
                format!("patterns-local does not offer the SQS operation {operation}."),
            )
            .with_query_code("InvalidAction")),
        }
    }
}

fn parsed<T: DeserializeOwned>(input: &[u8]) -> Result<T, AwsError> {
    let input = if input.is_empty() { b"{}" } else { input };
    serde_json::from_slice(input).map_err(|error| {
        let message = format!("The body is not what the operation takes: {error}");
        AwsError::new(400, "SerializationException", message)
    })
}

fn written(outcome: Result<impl Serialize, AwsError>) -> Result<Vec<u8>, AwsError> {
    serde_json::to_vec(&outcome?)
        .map_err(|error| AwsError::new(500, "InternalFailure", error.to_string()))
}

/// The answer, or the part of one, that says nothing but that it was done.
#[derive(Serialize)]
pub(super) struct Done {}

/// The queue's name in a queue URL. The host is not looked at: a client may know this emulator by several names.
pub(super) fn queue_name(url: Option<&str>) -> Result<&str, AwsError> {
    let url = url
        .filter(|url| !url.is_empty())
        .ok_or_else(|| refusal::missing("QueueUrl"))?;
    let mut segments = url.rsplit('/');
    match (segments.next(), segments.next()) {
        (Some(name), Some(ACCOUNT_ID)) => Ok(name),
        (Some(_), Some(account))
            if !account.is_empty() && account.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            Err(refusal::queue_does_not_exist())
        }
        _ => Err(refusal::invalid_address(url)),
    }
}

/// An entry of a batch request.
pub(super) trait Entry {
    fn id(&self) -> &str;
}

/// What holds for the entries of every batch: one to ten, with ids that are well formed and distinct.
pub(super) fn check_batch<E: Entry>(entries: &[E]) -> Result<(), AwsError> {
    let refused = |code, query_code, message: String| {
        Err(AwsError::new(400, code, message).with_query_code(query_code))
    };
    if entries.is_empty() {
        return refused(
            "EmptyBatchRequest",
            "AWS.SimpleQueueService.EmptyBatchRequest",
            "There should be at least one entry in the request.".to_owned(),
        );
    }
    if entries.len() > 10 {
        return refused(
            "TooManyEntriesInBatchRequest",
            "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
            format!(
                "Maximum number of entries per request are 10. You have sent {}.",
                entries.len()
            ),
        );
    }
    let mut seen = HashSet::new();
    for entry in entries {
        let id = entry.id();
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if id.is_empty() || id.len() > 80 || !id.bytes().all(allowed) {
            return refused(
                "InvalidBatchEntryId",
                "AWS.SimpleQueueService.InvalidBatchEntryId",
                "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.".to_owned(),
            );
        }
        if !seen.insert(id) {
            return refused(
                "BatchEntryIdsNotDistinct",
                "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
                format!("Id {id} repeated."),
            );
        }
    }
    Ok(())
}

/// What became of the entries of a batch.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Outcomes<T> {
    successful: Vec<Success<T>>,
    failed: Vec<Failure>,
}

#[derive(Serialize)]
struct Success<T> {
    #[serde(rename = "Id")]
    id: String,
    #[serde(flatten)]
    result: T,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Failure {
    id: String,
    sender_fault: bool,
    code: &'static str,
    message: String,
}

impl<T> Outcomes<T> {
    /// How many entries succeeded.
    pub fn successful(&self) -> usize {
        self.successful.len()
    }
}

/// Carries out each entry and sorts the answers; the request as a whole succeeds although entries fail.
pub(super) fn each<E: Entry, T>(
    entries: Vec<E>,
    mut carry_out: impl FnMut(E) -> Result<T, AwsError>,
) -> Outcomes<T> {
    let mut outcomes = Outcomes {
        successful: Vec::with_capacity(entries.len()),
        failed: Vec::new(),
    };
    for entry in entries {
        let id = entry.id().to_owned();
        match carry_out(entry) {
            Ok(result) => outcomes.successful.push(Success { id, result }),
            Err(error) => outcomes.failed.push(Failure {
                id,
                sender_fault: error.status < 500,
                code: error.query_code.unwrap_or(error.code),
                message: error.message,
            }),
        }
    }
    outcomes
}
