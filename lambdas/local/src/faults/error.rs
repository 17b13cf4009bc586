//! The errors that a call can be refused with, as each service words them.

use serde::{Deserialize, Serialize};

use super::Service;
use crate::error::AwsError;

/// How a call, or an entry of a batch, is refused ("Common errors" of each service's API reference).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// Too many calls.
    Throttling,
    /// The service failed.
    Internal,
    /// The service cannot answer now.
    Unavailable,
    /// The caller lacks a permission.
    AccessDenied,
    /// The caller's credentials have expired.
    ExpiredToken,
    /// The receipt handle has expired; of SQS only.
    ReceiptExpired,
}

impl Failure {
    /// The error as `service` gives it.
    pub(crate) fn of(self, service: Service, operation: &str) -> AwsError {
        match (self, service) {
            (Self::Throttling, Service::Lambda) => {
                AwsError::new(429, "TooManyRequestsException", "Rate Exceeded.")
            }
            (Self::Throttling, _) => AwsError::new(400, "ThrottlingException", "Rate exceeded")
                .with_query_code("Throttling"),
            (Self::Internal, Service::Lambda) => AwsError::new(
                500,
                "ServiceException",
                "The service encountered an internal error.",
            ),
            (Self::Internal, Service::DynamoDb) => AwsError::new(
                500,
                "InternalServerError",
                "The service encountered an internal error.",
            ),
            (Self::Internal, _) => AwsError::new(
                500,
                "InternalFailure",
                "The request processing has failed because of an unknown error.",
            ),
            (Self::Unavailable, _) => AwsError::new(
                503,
                "ServiceUnavailable",
                "The request has failed due to a temporary failure of the server.",
            ),
            (Self::AccessDenied, _) => AwsError::new(
                403,
                "AccessDeniedException",
                format!("User is not authorized to perform: {operation}"),
            )
            .with_query_code("AccessDenied"),
            (Self::ExpiredToken, _) => AwsError::new(
                403,
                "ExpiredTokenException",
                "The security token included in the request is expired",
            )
            .with_query_code("ExpiredToken"),
            (Self::ReceiptExpired, _) => AwsError::new(
                400,
                "InvalidParameterValue",
                "Value for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired.",
            ),
        }
    }
}
