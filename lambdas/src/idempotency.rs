//! One mechanism against doing something twice: a log in DynamoDB with one item for each thing to do, under
//! `pk = <KIND>#<key>`, that says who does it, until when, and what came of it.
//!
//! ```text
//! claim (conditional write) ──> do it ──> complete, with the result
//!        │                        └─ fails ──> fail: the next claim need not wait for the lease
//!        ├─ done already: its result; nothing is done
//!        ├─ done or begun with another content: an error of the caller's
//!        └─ claimed by another whose lease still runs: later
//! ```
//!
//! An environment that ends between doing and recording leaves a lease that runs out; whoever takes it over gets the same
//! token, and so can do it under the same name. Entries are kept for a time that their kind says.

use std::collections::HashMap;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::operation::update_item::{UpdateItemError, UpdateItemOutput};
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

pub mod answer;

/// What a log is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Begins every key.
    pub prefix: &'static str,
    /// The status of what is done.
    pub done: &'static str,
    /// How long an entry is kept from its last change on.
    pub kept: SignedDuration,
}

/// Deliveries of events. Kept as long as a dead-letter queue keeps an event, so that a late redrive is still recognised.
pub const DELIVERY: Kind = Kind {
    prefix: "DELIVERY",
    done: "DELIVERED",
    kept: SignedDuration::from_hours(14 * 24),
};

/// Requests with an `Idempotency-Key`.
pub const REQUEST: Kind = Kind {
    prefix: "REQUEST",
    done: "ANSWERED",
    kept: SignedDuration::from_hours(24),
};

/// Files that were uploaded, by their content or their `Idempotency-Key`.
pub const UPLOAD: Kind = Kind {
    prefix: "UPLOAD",
    done: "ACCEPTED",
    kept: SignedDuration::from_hours(24),
};

/// An error's text in an entry ends here; an item ends at 400 KB.
const CAUSE_MAX: usize = 1000;

/// Why the log could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("DynamoDB did not take the entry")]
pub struct LogError(#[source] Box<aws_sdk_dynamodb::Error>);

impl<E> From<SdkError<E>> for LogError
where
    aws_sdk_dynamodb::Error: From<SdkError<E>>,
{
    fn from(error: SdkError<E>) -> Self {
        Self(Box::new(error.into()))
    }
}

/// Who may do a thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The caller, until its lease ends.
    Mine(Lease),
    /// Another, whose lease has not ended.
    Theirs,
    /// Nobody: it is done, with this result.
    Done(Option<String>),
    /// Nobody: the key stands for another content.
    Different,
}

/// The right to do a thing for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    key: String,
    owner: String,
    /// Names the thing: a UUID that stays the same for whoever tries it next.
    pub token: String,
    /// How often it was tried, with this time.
    pub attempts: u64,
}

/// A log of one kind.
#[derive(Clone, Debug)]
pub struct Log {
    client: aws_sdk_dynamodb::Client,
    table: String,
    kind: Kind,
}

impl Log {
    /// A log in the table called `table`, which may hold several kinds.
    #[must_use]
    pub fn new(config: &SdkConfig, table: String, kind: Kind) -> Self {
        Self {
            client: aws_sdk_dynamodb::Client::new(config),
            table,
            kind,
        }
    }

    /// Takes `key` for `lease`, unless another has it or it is done. `content` tells contents apart that came under one
    /// key, such as a hash; it is empty where a key always stands for the same.
    pub async fn claim(
        &self,
        key: &str,
        content: &str,
        lease: Duration,
    ) -> Result<Claim, LogError> {
        let owner = Uuid::new_v4().to_string();
        let now = Timestamp::now();
        let first = self
            .taking(key, content, &owner, lease, now)
            .update_expression(
                "SET #status = :mine, #owner = :owner, #token = if_not_exists(#token, :owner), content = :content, \
                 startedAt = :started, leaseUntil = :until, expiresAt = :expires ADD attempts :one",
            )
            .condition_expression(
                "attribute_not_exists(pk) OR (content = :content AND \
                 (#status = :failed OR (#status = :mine AND leaseUntil < :now)))",
            )
            .expression_attribute_values(":failed", text("FAILED"))
            .expression_attribute_values(":now", number(now.as_millisecond()))
            .send()
            .await;
        let held = match taken(first)? {
            Taken::Yes(item) => return Ok(mine(key, owner, &item)),
            Taken::No(item) => item,
        };
        let Some(expired) = expired(&held, now) else {
            return Ok(held_by(&held, content, self.kind));
        };
        // DynamoDB removes expired items within days, not at once: until then they are overwritten.
        let renewed = self
            .taking(key, content, &owner, lease, now)
            .update_expression(
                "SET #status = :mine, #owner = :owner, #token = :owner, content = :content, startedAt = :started, \
                 leaseUntil = :until, expiresAt = :expires, attempts = :one REMOVE #result, lastError, finishedAt",
            )
            .condition_expression("expiresAt = :seen")
            .expression_attribute_names("#result", "result")
            .expression_attribute_values(":seen", expired)
            .send()
            .await;
        Ok(match taken(renewed)? {
            Taken::Yes(item) => mine(key, owner, &item),
            Taken::No(item) => held_by(&item, content, self.kind),
        })
    }

    /// Records that it is done, with `result` for whoever asks again. What another has recorded meanwhile stays.
    pub async fn complete(&self, lease: &Lease, result: Option<&str>) -> Result<(), LogError> {
        let now = Timestamp::now();
        let mut set = "SET #status = :done, finishedAt = :now, expiresAt = :expires".to_owned();
        let mut entry = self.entry(&lease.key);
        if let Some(result) = result {
            set.push_str(", #result = :result");
            entry = entry
                .expression_attribute_names("#result", "result")
                .expression_attribute_values(":result", text(result));
        }
        let completed = entry
            .update_expression(format!("{set} REMOVE leaseUntil, lastError"))
            .condition_expression("attribute_exists(pk) AND NOT #status = :done")
            .expression_attribute_values(":done", text(self.kind.done))
            .expression_attribute_values(":now", text(&now.to_string()))
            .expression_attribute_values(":expires", self.expires(now))
            .send()
            .await;
        taken(completed).map(drop)
    }

    /// Records that it failed and lets go of it. Does nothing if another has taken it over meanwhile.
    pub async fn fail(&self, lease: &Lease, cause: &str) -> Result<(), LogError> {
        let cause: String = cause.chars().take(CAUSE_MAX).collect();
        let failed = self
            .entry(&lease.key)
            .update_expression("SET #status = :failed, lastError = :cause REMOVE leaseUntil")
            .condition_expression("#status = :mine AND #owner = :owner")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_values(":failed", text("FAILED"))
            .expression_attribute_values(":mine", text("IN_PROGRESS"))
            .expression_attribute_values(":owner", text(&lease.owner))
            .expression_attribute_values(":cause", text(&cause))
            .send()
            .await;
        taken(failed).map(drop)
    }

    /// What both ways of taking an entry have in common.
    fn taking(
        &self,
        key: &str,
        content: &str,
        owner: &str,
        lease: Duration,
        now: Timestamp,
    ) -> UpdateItemFluentBuilder {
        let lease = i64::try_from(lease.as_millis()).unwrap_or(i64::MAX);
        let until = now.as_millisecond().saturating_add(lease);
        self.entry(key)
            .return_values(ReturnValue::AllNew)
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_names("#token", "token")
            .expression_attribute_values(":mine", text("IN_PROGRESS"))
            .expression_attribute_values(":owner", text(owner))
            .expression_attribute_values(":content", text(content))
            .expression_attribute_values(":started", number(now.as_millisecond()))
            .expression_attribute_values(":until", number(until))
            .expression_attribute_values(":expires", self.expires(now))
            .expression_attribute_values(":one", number(1))
    }

    fn entry(&self, key: &str) -> UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.table)
            .key("pk", text(&format!("{}#{key}", self.kind.prefix)))
            .expression_attribute_names("#status", "status")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
    }

    fn expires(&self, now: Timestamp) -> AttributeValue {
        number(
            now.saturating_add(self.kind.kept)
                .unwrap_or(now)
                .as_second(),
        )
    }
}

type Item = HashMap<String, AttributeValue>;

/// Whether a conditional write was made: the item as it is then, or as it was.
enum Taken {
    Yes(Item),
    No(Item),
}

fn taken(written: Result<UpdateItemOutput, SdkError<UpdateItemError>>) -> Result<Taken, LogError> {
    match written {
        Ok(output) => Ok(Taken::Yes(output.attributes.unwrap_or_default())),
        Err(error) => match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                Ok(Taken::No(failed.item().cloned().unwrap_or_default()))
            }
            _ => Err(error.into()),
        },
    }
}

fn mine(key: &str, owner: String, item: &Item) -> Claim {
    Claim::Mine(Lease {
        key: key.to_owned(),
        token: read(item, "token").unwrap_or(&owner).to_owned(),
        attempts: item
            .get("attempts")
            .and_then(|count| count.as_n().ok()?.parse().ok())
            .unwrap_or(1),
        owner,
    })
}

/// The time at which an entry ran out, if that is past.
fn expired(item: &Item, now: Timestamp) -> Option<AttributeValue> {
    let expires = item.get("expiresAt")?;
    let seconds: i64 = expires.as_n().ok()?.parse().ok()?;
    (seconds < now.as_second()).then(|| expires.clone())
}

fn held_by(item: &Item, content: &str, kind: Kind) -> Claim {
    if read(item, "content").is_some_and(|held| held != content) {
        return Claim::Different;
    }
    match read(item, "status") {
        Some(status) if status == kind.done => Claim::Done(read(item, "result").map(str::to_owned)),
        _ => Claim::Theirs,
    }
}

fn read<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

fn number(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(status: &str, content: &str) -> Item {
        HashMap::from([
            ("status".to_owned(), text(status)),
            ("content".to_owned(), text(content)),
            ("result".to_owned(), text("{}")),
        ])
    }

    #[test]
    fn only_what_is_done_with_the_same_content_has_a_result() {
        let held = |item: &Item, content| held_by(item, content, REQUEST);
        assert_eq!(
            held(&entry("ANSWERED", "a"), "a"),
            Claim::Done(Some("{}".to_owned()))
        );
        assert_eq!(held(&entry("ANSWERED", "a"), "b"), Claim::Different);
        assert_eq!(held(&entry("IN_PROGRESS", "a"), "b"), Claim::Different);
        assert_eq!(held(&entry("IN_PROGRESS", "a"), "a"), Claim::Theirs);
        assert_eq!(held(&HashMap::new(), "a"), Claim::Theirs);
    }

    #[test]
    fn an_entry_that_dynamodb_has_not_removed_yet_is_over_all_the_same() {
        let at = |seconds| HashMap::from([("expiresAt".to_owned(), number(seconds))]);
        let now = Timestamp::from_second(100).unwrap_or_default();
        assert_eq!(expired(&at(99), now), Some(number(99)));
        assert_eq!(expired(&at(100), now), None);
        assert_eq!(expired(&HashMap::new(), now), None);
    }
}
