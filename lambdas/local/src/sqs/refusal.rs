//! The errors SQS answers with, in its words and with both of its names for them ("Amazon SQS API Reference: Common Errors").

use crate::error::AwsError;

pub(super) fn queue_does_not_exist() -> AwsError {
    AwsError::new(
        400,
        "QueueDoesNotExist",
        "The specified queue does not exist.",
    )
    .with_query_code("AWS.SimpleQueueService.NonExistentQueue")
}

pub(super) fn queue_name_exists(attribute: &str) -> AwsError {
    AwsError::new(
        400,
        "QueueNameExists",
        format!("A queue already exists with the same name and a different value for attribute {attribute}"),
    )
    .with_query_code("QueueAlreadyExists")
}

pub(super) fn invalid_value(message: impl Into<String>) -> AwsError {
    AwsError::new(400, "InvalidParameterValueException", message)
        .with_query_code("InvalidParameterValue")
}

pub(super) fn missing(parameter: &str) -> AwsError {
    AwsError::new(
        400,
        "MissingRequiredParameterException",
        format!("The request must contain the parameter {parameter}."),
    )
    .with_query_code("MissingParameter")
}

pub(super) fn invalid_attribute_name(name: &str) -> AwsError {
    AwsError::new(
        400,
        "InvalidAttributeName",
        format!("Unknown Attribute {name}."),
    )
}

pub(super) fn invalid_attribute_value(name: &str, reason: &str) -> AwsError {
    AwsError::new(
        400,
        "InvalidAttributeValue",
        format!("Invalid value for the parameter {name}. Reason: {reason}"),
    )
}

pub(super) fn unsupported(message: impl Into<String>) -> AwsError {
    AwsError::new(400, "UnsupportedOperation", message)
        .with_query_code("AWS.SimpleQueueService.UnsupportedOperation")
}

pub(super) fn invalid_address(address: &str) -> AwsError {
    AwsError::new(
        404,
        "InvalidAddress",
        format!("The address {address} is not valid for this endpoint."),
    )
}

pub(super) fn invalid_receipt(handle: &str) -> AwsError {
    AwsError::new(
        404,
        "ReceiptHandleIsInvalid",
        format!("The input receipt handle \"{handle}\" is not a valid receipt handle."),
    )
}

pub(super) fn over_limit() -> AwsError {
    AwsError::new(
        403,
        "OverLimit",
        "Too many messages are in flight (120000). Delete messages, or wait until their visibility timeouts end.",
    )
}

pub(super) fn purge_in_progress(queue: &str) -> AwsError {
    AwsError::new(
        403,
        "PurgeQueueInProgress",
        format!("Only one PurgeQueue operation on {queue} is allowed every 60 seconds."),
    )
    .with_query_code("AWS.SimpleQueueService.PurgeQueueInProgress")
}

pub(super) fn not_in_flight() -> AwsError {
    AwsError::new(
        400,
        "MessageNotInflight",
        "The message is not in flight: its visibility timeout has ended.",
    )
    .with_query_code("AWS.SimpleQueueService.MessageNotInflight")
}

pub(super) fn queue_deleted_recently() -> AwsError {
    AwsError::new(
        400,
        "QueueDeletedRecently",
        "You must wait 60 seconds after deleting a queue before you can create another with the same name.",
    )
    .with_query_code("AWS.SimpleQueueService.QueueDeletedRecently")
}

pub(super) fn receipt_expired(handle: &str) -> AwsError {
    invalid_value(format!(
        "Value {handle} for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired."
    ))
}

/// A parameter that queues of the other kind have.
pub(super) fn wrong_queue_type(parameter: &str, value: &str) -> AwsError {
    invalid_value(format!(
        "Value {value} for parameter {parameter} is invalid. Reason: The request include parameter that is not valid for this queue type"
    ))
}

pub(super) fn no_such_resource(parameter: &str) -> AwsError {
    AwsError::new(
        404,
        "ResourceNotFoundException",
        format!("The resource that you specified for the {parameter} parameter doesn't exist."),
    )
}
