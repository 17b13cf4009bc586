//! Lambda's own errors, with the names and wording of the AWS Lambda API reference.

use crate::error::AwsError;

/// A parameter that AWS refuses, or that is not offered here.
pub fn invalid_parameter(message: impl Into<String>) -> AwsError {
    AwsError::new(400, "InvalidParameterValueException", message)
}

/// Nothing has this name.
pub fn not_found(message: &str) -> AwsError {
    AwsError::new(404, "ResourceNotFoundException", message)
}

/// No function has this name.
pub fn function_not_found(name: &str) -> AwsError {
    not_found(&format!(
        "Function not found: {}",
        crate::account::function_arn(name)
    ))
}

/// Something has this name already.
pub fn conflict(message: impl Into<String>) -> AwsError {
    AwsError::new(409, "ResourceConflictException", message)
}

/// The body cannot be read as JSON.
pub fn not_json(error: &serde_json::Error) -> AwsError {
    AwsError::new(
        400,
        "InvalidRequestContentException",
        format!("Could not parse request body into json: {error}"),
    )
}

/// More than AWS accepts in one request.
pub fn too_large(actual: usize, limit: usize, what: &str) -> AwsError {
    AwsError::new(
        413,
        "RequestTooLargeException",
        format!(
            "{actual} byte payload is too large for the {what} invocation type (limit {limit} bytes)"
        ),
    )
}

/// No environment is free, and no more may start.
pub fn throttled() -> AwsError {
    AwsError::new(429, THROTTLED, "Rate Exceeded.")
}

/// The name of a throttle, by which an invocation that never began is told from one that failed.
pub const THROTTLED: &str = "TooManyRequestsException";

/// The program itself could not be started.
pub fn cannot_start(what: &str, error: &std::io::Error) -> AwsError {
    AwsError::new(
        502,
        "InvalidRuntimeException",
        format!("cannot start {what}: {error}"),
    )
}
