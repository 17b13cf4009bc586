//! Which operation a request asks for, and the parts of its input that operations share.

use std::collections::HashSet;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Sqs, refusal};
use crate::{account::ACCOUNT_ID, error::AwsError};

impl Sqs {
    /// Carries out one operation of the AWS JSON 1.0 protocol.
    pub async fn handle(&self, operation: &str, input: Value) -> Result<Value, AwsError> {
        match operation {
            "CreateQueue" => self.create(parsed(input)?),
            "GetQueueUrl" => self.get_url(&parsed(input)?),
            "ListQueues" => self.list(&parsed(input)?),
            "DeleteQueue" => self.delete_queue(&parsed(input)?),
            "PurgeQueue" => self.purge(&parsed(input)?),
            "ListDeadLetterSourceQueues" => self.list_sources(&parsed(input)?),
            "GetQueueAttributes" => self.get_attributes(parsed(input)?),
            "SetQueueAttributes" => self.set_attributes(parsed(input)?),
            "TagQueue" => self.tag(parsed(input)?),
            "UntagQueue" => self.untag(&parsed(input)?),
            "ListQueueTags" => self.list_tags(&parsed(input)?),
            "SendMessage" => self.send_one(parsed(input)?),
            "SendMessageBatch" => self.send_batch(parsed(input)?),
            "ReceiveMessage" => self.receive_messages(parsed(input)?).await,
            "DeleteMessage" => self.delete_one(&parsed(input)?),
            "DeleteMessageBatch" => self.delete_batch(parsed(input)?),
            "ChangeMessageVisibility" => self.change_one(&parsed(input)?),
            "ChangeMessageVisibilityBatch" => self.change_batch(parsed(input)?),
            "StartMessageMoveTask" => self.start_move(parsed(input)?),
            "ListMessageMoveTasks" => self.list_moves(&parsed(input)?),
            "CancelMessageMoveTask" => self.cancel_move(&parsed(input)?),
            _ => Err(AwsError::new(
                400,
                "UnknownOperationException",
                format!("patterns-local does not offer the SQS operation {operation}."),
            )
            .with_query_code("InvalidAction")),
        }
    }
}

fn parsed<T: DeserializeOwned>(input: Value) -> Result<T, AwsError> {
    serde_json::from_value(input)
        .map_err(|error| AwsError::new(400, "SerializationException", error.to_string()))
}

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

/// Carries out each entry and sorts the answers; the request as a whole succeeds although entries fail.
pub(super) fn each<E: Entry>(
    entries: Vec<E>,
    mut carry_out: impl FnMut(E) -> Result<Value, AwsError>,
) -> Value {
    let mut successful = Vec::new();
    let mut failed = Vec::new();
    for entry in entries {
        let id = entry.id().to_owned();
        match carry_out(entry) {
            Ok(mut result) => {
                if let Some(fields) = result.as_object_mut() {
                    fields.insert("Id".to_owned(), id.into());
                }
                successful.push(result);
            }
            Err(error) => failed.push(json!({
                "Id": id,
                "SenderFault": error.status < 500,
                "Code": error.query_code.unwrap_or(error.code),
                "Message": error.message,
            })),
        }
    }
    json!({ "Successful": successful, "Failed": failed })
}
