//! What all readings share: finding a group, bounding a page, handing out a token.

use serde_json::Value;

use super::{
    invalid,
    store::{Group, Store},
};
use crate::{
    account::{ACCOUNT_ID, REGION},
    error::AwsError,
};

/// A group by name or by ARN.
pub(super) fn group<'a>(
    store: &'a Store,
    name: Option<&str>,
    identifier: Option<&str>,
) -> Result<(&'a str, &'a Group), AwsError> {
    let ((Some(asked), None) | (None, Some(asked))) = (name, identifier) else {
        return Err(invalid(
            "The request must contain either logGroupName or logGroupIdentifier, and not both.",
        ));
    };
    let name = match asked.strip_prefix(&group_arn("")) {
        Some(rest) => rest.trim_end_matches(":*"),
        None => asked,
    };
    store
        .groups
        .get_key_value(name)
        .map(|(name, group)| (name.as_str(), group))
        .ok_or_else(|| not_found("The specified log group does not exist."))
}

pub(super) fn group_arn(name: &str) -> String {
    format!("arn:aws:logs:{REGION}:{ACCOUNT_ID}:log-group:{name}")
}

pub(super) fn not_found(message: &str) -> AwsError {
    AwsError::new(400, "ResourceNotFoundException", message)
}

pub(super) fn limit(asked: Option<usize>, most: usize) -> Result<usize, AwsError> {
    match asked {
        None => Ok(most),
        Some(asked) if (1..=most).contains(&asked) => Ok(asked),
        Some(asked) => Err(invalid(format!(
            "The limit must be 1 to {most}, not {asked}."
        ))),
    }
}

pub(super) fn with_token(mut answer: Value, token: Option<String>) -> Value {
    if let (Some(fields), Some(token)) = (answer.as_object_mut(), token) {
        fields.insert("nextToken".to_owned(), token.into());
    }
    answer
}
