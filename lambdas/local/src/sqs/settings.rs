//! A queue's attributes that can be set, with their ranges and defaults ("Amazon SQS API Reference: `CreateQueue`").

mod fifo;
mod redrive;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(super) use self::redrive::RedriveAllow;
use self::{fifo::Fifo, redrive::Redrive};
use super::refusal::{invalid_attribute_name, invalid_attribute_value};
use crate::error::AwsError;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Settings {
    pub visibility_seconds: u32,
    pub retention_seconds: u32,
    pub delay_seconds: u32,
    pub max_message_bytes: u32,
    pub wait_seconds: u32,
    pub redrive: Option<Redrive>,
    pub redrive_allow: RedriveAllow,
    /// Absent in standard queues. Decided when the queue is created.
    pub fifo: Option<Fifo>,
    /// Kept as they were given, to be shown: policies, and encryption, which has no effect here.
    inert: BTreeMap<String, String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            visibility_seconds: 30,
            retention_seconds: 345_600,
            delay_seconds: 0,
            max_message_bytes: 1_048_576,
            wait_seconds: 0,
            redrive: None,
            redrive_allow: RedriveAllow::All,
            fifo: None,
            inert: BTreeMap::from([("SqsManagedSseEnabled".to_owned(), "true".to_owned())]),
        }
    }
}

impl Settings {
    /// The defaults of a FIFO queue.
    pub fn fifo() -> Self {
        Self {
            fifo: Some(Fifo::default()),
            ..Self::default()
        }
    }

    /// Applies `attributes`; either all of them or, with an error, none.
    pub fn change(&mut self, attributes: &BTreeMap<String, String>) -> Result<(), AwsError> {
        let mut changed = self.clone();
        for (name, value) in attributes {
            changed.set(name, value)?;
        }
        if let Some(fifo) = &changed.fifo {
            fifo.check()?;
        }
        *self = changed;
        Ok(())
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), AwsError> {
        match name {
            "VisibilityTimeout" => self.visibility_seconds = number(name, value, 0, 43_200)?,
            "MessageRetentionPeriod" => {
                self.retention_seconds = number(name, value, 60, 1_209_600)?;
            }
            "DelaySeconds" => self.delay_seconds = number(name, value, 0, 900)?,
            "MaximumMessageSize" => self.max_message_bytes = number(name, value, 1024, 1_048_576)?,
            "ReceiveMessageWaitTimeSeconds" => self.wait_seconds = number(name, value, 0, 20)?,
            "RedrivePolicy" => self.redrive = Redrive::read(value)?,
            "RedriveAllowPolicy" => {
                self.redrive_allow = RedriveAllow::read(value)?;
                self.keep(name, value);
            }
            "Policy" => {
                if !value.is_empty()
                    && !serde_json::from_str::<Value>(value).is_ok_and(|json| json.is_object())
                {
                    return Err(invalid_attribute_value(name, "It must be a JSON object."));
                }
                self.keep(name, value);
            }
            "KmsMasterKeyId" | "KmsDataKeyReusePeriodSeconds" | "SqsManagedSseEnabled" => {
                self.keep(name, value);
            }
            "FifoQueue"
            | "ContentBasedDeduplication"
            | "DeduplicationScope"
            | "FifoThroughputLimit" => match &mut self.fifo {
                Some(fifo) => fifo.set(name, value)?,
                None => return Err(invalid_attribute_name(name)),
            },
            _ => return Err(invalid_attribute_name(name)),
        }
        Ok(())
    }

    /// An empty value takes the attribute away.
    fn keep(&mut self, name: &str, value: &str) {
        if value.is_empty() {
            self.inert.remove(name);
        } else {
            self.inert.insert(name.to_owned(), value.to_owned());
        }
    }

    /// All attributes as SQS shows them.
    pub fn shown(&self) -> BTreeMap<String, String> {
        let mut shown = self.inert.clone();
        let numbers = [
            ("VisibilityTimeout", self.visibility_seconds),
            ("MessageRetentionPeriod", self.retention_seconds),
            ("DelaySeconds", self.delay_seconds),
            ("MaximumMessageSize", self.max_message_bytes),
            ("ReceiveMessageWaitTimeSeconds", self.wait_seconds),
        ];
        for (name, value) in numbers {
            shown.insert(name.to_owned(), value.to_string());
        }
        if let Some(redrive) = &self.redrive {
            shown.insert("RedrivePolicy".to_owned(), redrive.shown());
        }
        if let Some(fifo) = &self.fifo {
            let fifo = fifo.shown();
            shown.extend(fifo.map(|(name, value)| (name.to_owned(), value.to_owned())));
        }
        shown
    }
}

fn number(name: &str, value: &str, least: u32, most: u32) -> Result<u32, AwsError> {
    value
        .parse()
        .ok()
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| {
            invalid_attribute_value(
                name,
                &format!("It must be a whole number from {least} to {most}."),
            )
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn changed(name: &str, value: &str) -> Result<Settings, AwsError> {
        let mut settings = Settings::default();
        settings.change(&BTreeMap::from([(name.to_owned(), value.to_owned())]))?;
        Ok(settings)
    }

    #[test]
    fn ranges_hold_at_both_ends() {
        assert_eq!(
            changed("VisibilityTimeout", "43200")
                .unwrap()
                .visibility_seconds,
            43_200
        );
        assert_eq!(
            changed("MessageRetentionPeriod", "60")
                .unwrap()
                .retention_seconds,
            60
        );
        for (name, value) in [
            ("VisibilityTimeout", "43201"),
            ("VisibilityTimeout", "-1"),
            ("MessageRetentionPeriod", "59"),
            ("DelaySeconds", "901"),
            ("MaximumMessageSize", "1023"),
            ("ReceiveMessageWaitTimeSeconds", "21"),
            ("RedrivePolicy", "[]"),
            (
                "RedrivePolicy",
                r#"{"deadLetterTargetArn":"a","maxReceiveCount":0}"#,
            ),
            ("Policy", "text"),
        ] {
            assert_eq!(
                changed(name, value).unwrap_err().code,
                "InvalidAttributeValue",
                "{name}={value}"
            );
        }
        assert_eq!(
            changed("Nonsense", "1").unwrap_err().code,
            "InvalidAttributeName"
        );
        assert_eq!(
            changed("FifoQueue", "true").unwrap_err().code,
            "InvalidAttributeName"
        );
    }

    #[test]
    fn fifo_attributes_are_of_fifo_queues_and_fit_together() {
        let changed = |attributes: &[(&str, &str)]| {
            let mut settings = Settings::fifo();
            let attributes = attributes
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            settings.change(&attributes.collect())?;
            Ok::<_, AwsError>(settings.shown())
        };
        let shown = changed(&[
            ("FifoQueue", "true"),
            ("FifoThroughputLimit", "perMessageGroupId"),
            ("DeduplicationScope", "messageGroup"),
        ])
        .unwrap();
        assert_eq!(shown["FifoThroughputLimit"], "perMessageGroupId");
        assert_eq!(shown["ContentBasedDeduplication"], "false");
        for bad in [
            ("FifoQueue", "false"),
            ("ContentBasedDeduplication", "yes"),
            ("FifoThroughputLimit", "perMessageGroupId"),
        ] {
            assert_eq!(
                changed(&[bad]).unwrap_err().code,
                "InvalidAttributeValue",
                "{bad:?}"
            );
        }
    }

    #[test]
    fn one_bad_attribute_leaves_all_as_they_were() {
        let mut settings = Settings::default();
        let attributes = [("DelaySeconds", "5"), ("VisibilityTimeout", "x")];
        let attributes = attributes.map(|(name, value)| (name.to_owned(), value.to_owned()));
        settings.change(&BTreeMap::from(attributes)).unwrap_err();
        assert_eq!(settings, Settings::default());
    }

    #[test]
    fn the_redrive_count_may_be_text_and_an_empty_policy_ends_it() {
        let mut settings = changed(
            "RedrivePolicy",
            r#"{"deadLetterTargetArn":"arn:x","maxReceiveCount":"3"}"#,
        )
        .unwrap();
        assert_eq!(settings.redrive.as_ref().unwrap().max_receive_count, 3);
        assert_eq!(
            settings.shown()["RedrivePolicy"],
            r#"{"deadLetterTargetArn":"arn:x","maxReceiveCount":3}"#
        );
        settings
            .change(&BTreeMap::from([(
                "RedrivePolicy".to_owned(),
                String::new(),
            )]))
            .unwrap();
        assert_eq!(settings.redrive, None);
    }
}
