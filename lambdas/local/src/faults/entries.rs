//! Batches of which some entries fail: these are taken out of the request, and their failures put into the answer.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::Service;
use crate::{error::AwsError, faults::Failure};

/// Entries that were taken out of a request, as their failures in the answer, and what is left of the request.
#[derive(Debug)]
pub(crate) struct Held {
    /// The request without them; nothing where no entry is left.
    pub rest: Option<Vec<u8>>,
    pub failures: Vec<Value>,
}

/// Takes the entries with `fails` out of an SQS batch. Nothing where the body is not one that SQS takes, or none fails.
pub(crate) fn hold_back(
    body: &[u8],
    operation: &str,
    error: Failure,
    fails: &[bool],
) -> Option<Held> {
    let mut request: Value = serde_json::from_slice(body).ok()?;
    let entries = request.get_mut("Entries")?.as_array_mut()?;
    let ids: BTreeSet<_> = entries
        .iter()
        .filter_map(|entry| entry.get("Id")?.as_str())
        .collect();
    // SQS refuses such a batch as a whole.
    if entries.len() > fails.len() || ids.len() < entries.len() {
        return None;
    }
    let error = error.of(Service::Sqs, operation);
    let mut failures = Vec::new();
    let mut fails = fails.iter();
    entries.retain(|entry| {
        let fails = fails.next().is_some_and(|fails| *fails);
        if fails {
            failures.push(failure(entry, &error));
        }
        !fails
    });
    let left = !entries.is_empty();
    let rest = left.then(|| request.to_string().into_bytes());
    (!failures.is_empty()).then_some(Held { rest, failures })
}

fn failure(entry: &Value, error: &AwsError) -> Value {
    json!({
        "Id": entry.get("Id"),
        "SenderFault": error.status < 500,
        "Code": error.query_code.unwrap_or(error.code),
        "Message": error.message,
    })
}

/// The answer to the whole batch: `answer` to what was left of it, and the failures. An answer that is an error stays as it is.
pub(crate) fn add(answer: &[u8], failures: Vec<Value>) -> Option<String> {
    let mut answer: Value = serde_json::from_slice(answer).ok()?;
    answer.get_mut("Failed")?.as_array_mut()?.extend(failures);
    Some(answer.to_string())
}
