//! Where dead letters go, and which queues may send theirs here ("Amazon SQS API Reference: `CreateQueue`", attributes of
//! dead-letter queues).

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::refusal::invalid_attribute_value;
use crate::error::AwsError;

/// Most queues that `sourceQueueArns` names.
const MAX_SOURCES: usize = 10;

/// When the redrive policy moves a message away, and to where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Redrive {
    pub target_arn: String,
    pub max_receive_count: u32,
}

impl Redrive {
    /// Reads a `RedrivePolicy`; an empty one is none.
    pub fn read(value: &str) -> Result<Option<Self>, AwsError> {
        if value.is_empty() {
            return Ok(None);
        }
        let invalid = |reason| invalid_attribute_value("RedrivePolicy", reason);
        let policy: Value = serde_json::from_str(value)
            .map_err(|_| invalid("Redrive policy is not a valid JSON map."))?;
        let target_arn = policy
            .get("deadLetterTargetArn")
            .and_then(Value::as_str)
            .ok_or_else(|| {
                invalid("Redrive policy does not contain mandatory attribute: deadLetterTargetArn.")
            })?;
        let count = policy.get("maxReceiveCount").ok_or_else(|| {
            invalid("Redrive policy does not contain mandatory attribute: maxReceiveCount.")
        })?;
        // Clients write the count as a number or as a string; AWS takes both.
        let max_receive_count = count
            .as_u64()
            .or_else(|| count.as_str().and_then(|text| text.parse().ok()))
            .and_then(|count| u32::try_from(count).ok())
            .filter(|count| (1..=1000).contains(count))
            .ok_or_else(|| invalid("maxReceiveCount must be a whole number from 1 to 1000."))?;
        Ok(Some(Self {
            target_arn: target_arn.to_owned(),
            max_receive_count,
        }))
    }

    pub fn shown(&self) -> String {
        serde_json::json!({
            "deadLetterTargetArn": self.target_arn,
            "maxReceiveCount": self.max_receive_count,
        })
        .to_string()
    }
}

/// Which queues may name this one as their dead-letter queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) enum RedriveAllow {
    All,
    Nobody,
    Sources(Vec<String>),
}

impl RedriveAllow {
    /// Reads a `RedriveAllowPolicy`; an empty one allows all.
    pub fn read(value: &str) -> Result<Self, AwsError> {
        if value.is_empty() {
            return Ok(Self::All);
        }
        let invalid = |reason| invalid_attribute_value("RedriveAllowPolicy", reason);
        let policy: Value = serde_json::from_str(value)
            .map_err(|_| invalid("Redrive allow policy is not a valid JSON map."))?;
        let sources = match policy.get("sourceQueueArns") {
            None => None,
            Some(Value::Array(arns)) if (1..=MAX_SOURCES).contains(&arns.len()) => {
                let arns = arns.iter().map(|arn| arn.as_str().map(str::to_owned));
                let arns: Option<Vec<_>> = arns.collect();
                Some(arns.ok_or_else(|| invalid("sourceQueueArns must be queue ARNs."))?)
            }
            Some(_) => return Err(invalid("sourceQueueArns must be 1 to 10 queue ARNs.")),
        };
        match (
            policy.get("redrivePermission").and_then(Value::as_str),
            sources,
        ) {
            (Some("allowAll"), None) => Ok(Self::All),
            (Some("denyAll"), None) => Ok(Self::Nobody),
            (Some("byQueue"), Some(sources)) => Ok(Self::Sources(sources)),
            (Some("byQueue"), None) => Err(invalid("byQueue needs sourceQueueArns.")),
            (Some("allowAll" | "denyAll"), Some(_)) => Err(invalid(
                "sourceQueueArns is allowed only when redrivePermission is byQueue.",
            )),
            _ => Err(invalid(
                "redrivePermission must be allowAll, denyAll or byQueue.",
            )),
        }
    }

    pub fn permits(&self, source_arn: &str) -> bool {
        match self {
            Self::All => true,
            Self::Nobody => false,
            Self::Sources(sources) => sources.iter().any(|source| source == source_arn),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_allow_policy_names_all_nobody_or_some() {
        let of = |value: &str| RedriveAllow::read(value).unwrap();
        assert!(of("").permits("a"));
        assert!(of(r#"{"redrivePermission":"allowAll"}"#).permits("a"));
        assert!(!of(r#"{"redrivePermission":"denyAll"}"#).permits("a"));
        let some = of(r#"{"redrivePermission":"byQueue","sourceQueueArns":["a"]}"#);
        assert!(some.permits("a") && !some.permits("b"));
        let eleven: Vec<_> = (0..11).map(|number| number.to_string()).collect();
        let eleven =
            serde_json::json!({ "redrivePermission": "byQueue", "sourceQueueArns": eleven });
        for bad in [
            "text",
            "[]",
            "{}",
            r#"{"redrivePermission":"some"}"#,
            r#"{"redrivePermission":"byQueue"}"#,
            r#"{"redrivePermission":"byQueue","sourceQueueArns":[]}"#,
            r#"{"redrivePermission":"byQueue","sourceQueueArns":[1]}"#,
            r#"{"redrivePermission":"denyAll","sourceQueueArns":["a"]}"#,
            &eleven.to_string(),
        ] {
            assert_eq!(
                RedriveAllow::read(bad).unwrap_err().code,
                "InvalidAttributeValue",
                "{bad}"
            );
        }
    }
}
