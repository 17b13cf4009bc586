//! CloudWatch's errors, by their names in JSON and CBOR and in the query protocol ("Common Error Types").

use crate::error::AwsError;

pub(super) fn invalid(message: impl Into<String>) -> AwsError {
    AwsError::new(400, "InvalidParameterValueException", message)
        .with_query_code("InvalidParameterValue")
}

pub(super) fn combined(message: impl Into<String>) -> AwsError {
    AwsError::new(400, "InvalidParameterCombinationException", message)
        .with_query_code("InvalidParameterCombination")
}

pub(super) fn missing(parameter: &str) -> AwsError {
    let message = format!("The parameter {parameter} is required.");
    AwsError::new(400, "MissingRequiredParameterException", message)
        .with_query_code("MissingParameter")
}

pub(super) fn not_understood(what: &str, error: impl std::fmt::Display) -> AwsError {
    let message = format!("The {what} was not understood: {error}");
    AwsError::new(400, "SerializationException", message).with_query_code("MalformedInput")
}
