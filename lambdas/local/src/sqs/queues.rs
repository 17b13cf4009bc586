//! Operations on queues as a whole: create, find, list, purge, delete.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Hosted, Queues, Sqs, find, life::Life, name_in_arn, operations::queue_name, queue::Queue,
    refusal, refusal::invalid_value, settings::Settings,
};
use crate::{account::ACCOUNT_ID, account::queue_arn, error::AwsError};

/// One purge per queue is allowed in this time ("`PurgeQueue`").
const PURGE_INTERVAL_MS: i64 = 60_000;

/// Most queues that one page lists.
const PAGE: usize = 1000;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CreateQueue {
    queue_name: Option<String>,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    #[serde(default, rename = "tags", alias = "Tags")]
    tags: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GetQueueUrl {
    queue_name: Option<String>,
    #[serde(rename = "QueueOwnerAWSAccountId")]
    queue_owner: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct List {
    queue_name_prefix: Option<String>,
    queue_url: Option<String>,
    next_token: Option<String>,
    max_results: Option<usize>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct OnQueue {
    queue_url: Option<String>,
}

impl Sqs {
    pub(super) fn create(&self, request: CreateQueue) -> Result<Value, AwsError> {
        let name = request
            .queue_name
            .ok_or_else(|| refusal::missing("QueueName"))?;
        let url = self.create_queue(&name, request.attributes, request.tags)?;
        Ok(json!({ "QueueUrl": url }))
    }

    /// Creates a queue, or finds the one of that name if none of `attributes` differs from it. Returns its URL.
    pub fn create_queue(
        &self,
        name: &str,
        attributes: BTreeMap<String, String>,
        tags: BTreeMap<String, String>,
    ) -> Result<String, AwsError> {
        let settings = named(name, &attributes)?;
        let now = self.now();
        let mut queues = self.lock();
        if let Some(existing) = queues.hosted.get(name) {
            let (wanted, present) = (settings.shown(), existing.queue.settings().shown());
            let differing = attributes
                .into_keys()
                .find(|key| wanted.get(key) != present.get(key));
            return match differing {
                Some(attribute) => Err(refusal::queue_name_exists(&attribute)),
                None => Ok(self.url(name)),
            };
        }
        queues.forget_deleted(now);
        if queues.deleted_at.contains_key(name) {
            return Err(refusal::queue_deleted_recently());
        }
        check_target(&queues, name, &settings)?;
        let hosted = self.new_queue(name, settings, tags, now);
        queues.hosted.insert(name.to_owned(), hosted);
        Ok(self.url(name))
    }

    pub(super) fn new_queue(
        &self,
        name: &str,
        settings: Settings,
        tags: BTreeMap<String, String>,
        now: i64,
    ) -> Hosted {
        let life = Life::of(self.shared.witness.clone(), name);
        Hosted::new(Queue::new(settings, life), tags, now / 1000)
    }

    pub(super) fn get_url(&self, request: &GetQueueUrl) -> Result<Value, AwsError> {
        let name = request
            .queue_name
            .as_deref()
            .ok_or_else(|| refusal::missing("QueueName"))?;
        let ours = request
            .queue_owner
            .as_deref()
            .is_none_or(|owner| owner == ACCOUNT_ID);
        if !ours || !self.lock().hosted.contains_key(name) {
            return Err(refusal::queue_does_not_exist());
        }
        Ok(json!({ "QueueUrl": self.url(name) }))
    }

    pub(super) fn list(&self, request: &List) -> Result<Value, AwsError> {
        let prefix = request.queue_name_prefix.clone().unwrap_or_default();
        let names = self
            .lock()
            .hosted
            .keys()
            .filter(|name| name.starts_with(&prefix))
            .cloned()
            .collect();
        self.page(names, request, "QueueUrls")
    }

    /// Queues whose redrive policy names this one.
    pub(super) fn list_sources(&self, request: &List) -> Result<Value, AwsError> {
        let target = queue_name(request.queue_url.as_deref())?.to_owned();
        let target_arn = queue_arn(&target);
        let names = {
            let mut queues = self.lock();
            find(&mut queues, &target)?;
            queues
                .hosted
                .iter()
                .filter(|(_, hosted)| feeds(hosted, &target_arn))
                .map(|(name, _)| name.clone())
                .collect()
        };
        self.page(names, request, "queueUrls")
    }

    /// One page of sorted names as URLs. The token is the last name of the page before.
    fn page(&self, mut names: Vec<String>, request: &List, field: &str) -> Result<Value, AwsError> {
        let most = request.max_results.unwrap_or(PAGE);
        if !(1..=PAGE).contains(&most) {
            return Err(refusal::invalid_value(
                "Value for parameter MaxResults must be between 1 and 1000.",
            ));
        }
        if let Some(token) = &request.next_token {
            let after = STANDARD
                .decode(token)
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok());
            let after =
                after.ok_or_else(|| refusal::invalid_value("Invalid or expired next token."))?;
            names.retain(|name| *name > after);
        }
        let more = names.len() > most;
        names.truncate(most);
        let urls: Vec<_> = names.iter().map(|name| self.url(name)).collect();
        let mut page = serde_json::Map::new();
        page.insert(field.to_owned(), urls.into());
        // Like AWS: a token only for a caller that asked for pages.
        if let (true, true, Some(last)) = (more, request.max_results.is_some(), names.last()) {
            page.insert("NextToken".to_owned(), STANDARD.encode(last).into());
        }
        Ok(page.into())
    }

    pub(super) fn delete_queue(&self, request: &OnQueue) -> Result<Value, AwsError> {
        let name = queue_name(request.queue_url.as_deref())?;
        let now = self.now();
        let mut queues = self.lock();
        let mut gone = queues
            .hosted
            .remove(name)
            .ok_or_else(refusal::queue_does_not_exist)?;
        queues.deleted_at.insert(name.to_owned(), now);
        gone.queue.purge(now);
        gone.changed.notify_waiters();
        Ok(json!({}))
    }

    pub(super) fn purge(&self, request: &OnQueue) -> Result<Value, AwsError> {
        let name = queue_name(request.queue_url.as_deref())?;
        let now = self.now();
        let mut queues = self.lock();
        let hosted = find(&mut queues, name)?;
        if hosted
            .purged_at
            .is_some_and(|last| now - last < PURGE_INTERVAL_MS)
        {
            return Err(refusal::purge_in_progress(name));
        }
        hosted.purged_at = Some(now);
        hosted.queue.purge(now);
        Ok(json!({}))
    }
}

/// The settings of a queue that is created with that name and these attributes.
pub(super) fn named(
    name: &str,
    attributes: &BTreeMap<String, String>,
) -> Result<Settings, AwsError> {
    let fifo = attributes
        .get("FifoQueue")
        .is_some_and(|value| value == "true");
    check_name(name, fifo)?;
    let mut settings = if fifo {
        Settings::fifo()
    } else {
        Settings::default()
    };
    settings.change(attributes)?;
    Ok(settings)
}

/// Whether the queue's redrive policy names the queue `target_arn`.
pub(super) fn feeds(hosted: &Hosted, target_arn: &str) -> bool {
    let redrive = hosted.queue.settings().redrive.as_ref();
    redrive.is_some_and(|redrive| redrive.target_arn == target_arn)
}

fn check_name(name: &str, fifo: bool) -> Result<(), AwsError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let stem = if fifo {
        name.strip_suffix(".fifo").unwrap_or_default()
    } else {
        name
    };
    if !stem.is_empty() && name.len() <= 80 && stem.bytes().all(allowed) {
        return Ok(());
    }
    Err(invalid_value(if fifo {
        "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end with .fifo suffix and be 1 to 80 in length."
    } else {
        "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"
    }))
}

/// A redrive policy must name a queue that exists, is of the same kind and lets itself be named; it may be the queue that is
/// being created.
pub(super) fn check_target(
    queues: &Queues,
    own_name: &str,
    settings: &Settings,
) -> Result<(), AwsError> {
    let Some(redrive) = &settings.redrive else {
        return Ok(());
    };
    let refused = |reason| {
        Err(invalid_value(format!(
            "Value {} for parameter RedrivePolicy is invalid. Reason: {reason}",
            redrive.shown()
        )))
    };
    let target = name_in_arn(&redrive.target_arn).and_then(|target| {
        if target == own_name {
            return Some(settings);
        }
        queues
            .hosted
            .get(target)
            .map(|hosted| hosted.queue.settings())
    });
    let Some(target) = target else {
        return refused("Dead letter target does not exist.");
    };
    if target.fifo.is_some() != settings.fifo.is_some() {
        return refused("Dead-letter queue must be same type of queue as the source.");
    }
    if !target.redrive_allow.permits(&queue_arn(own_name)) {
        return refused(
            "The RedriveAllowPolicy of the dead-letter queue does not permit this source.",
        );
    }
    Ok(())
}
