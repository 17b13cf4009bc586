//! What a client asks to be sent, and whether that can be done.

use jiff::{SignedDuration, Timestamp};
use patterns_core::task::InvalidField;
use reqwest::Url;
use serde::{Deserialize, Serialize};

use super::{Kind, Notification};
use crate::auth::invalid_email;
use crate::http::Refusal;

/// Nothing is planned for longer than a year ahead.
const LATEST: SignedDuration = SignedDuration::from_hours(366 * 24);

/// Ids that the services make themselves.
const RESERVED: &str = "welcome-email-";

/// What a client sends. What is left out is told apart from what is wrong.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Wanted {
    /// The client's own name for it; sending it again changes nothing.
    pub id: Option<String>,
    to: Option<String>,
    subject: Option<String>,
    body: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    user_id: Option<String>,
    priority: Option<String>,
    scheduled_for: Option<Timestamp>,
}

/// What can be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Whom, what, and how.
    pub notification: Notification,
    /// Whether it overtakes the others.
    pub urgent: bool,
    /// Not before then.
    pub scheduled_for: Option<Timestamp>,
}

impl Wanted {
    /// Checks everything. `at` comes before the names of the fields: `notifications[3].`, or nothing.
    pub fn accept(&self, at: &str, now: Timestamp) -> Result<Accepted, Refusal> {
        let filled = |field: &Option<String>| {
            field
                .as_ref()
                .filter(|text| !text.trim().is_empty())
                .cloned()
        };
        let (Some(to), Some(subject), Some(body), Some(kind)) = (
            filled(&self.to),
            filled(&self.subject),
            filled(&self.body),
            filled(&self.kind),
        ) else {
            let place = match at.strip_suffix('.') {
                Some(place) => format!(" in {place}"),
                None => String::new(),
            };
            return Err(Refusal::BadRequest(format!(
                "to, subject, body, and type are required{place}"
            )));
        };
        let mut invalid = Vec::new();
        let mut wrong = |field: &str, message: &str| {
            invalid.push(InvalidField {
                field: format!("{at}{field}"),
                message: message.to_owned(),
            });
        };
        let kind = match kind.as_str() {
            "email" => Some(Kind::Email),
            "sms" => Some(Kind::Sms),
            "push" => Some(Kind::Push),
            "webhook" => Some(Kind::Webhook),
            _ => {
                wrong("type", "must be email, sms, push or webhook");
                None
            }
        };
        let to = to.trim().to_owned();
        if let Some(expected) = kind.and_then(|kind| wrong_address(kind, &to)) {
            wrong("to", expected);
        }
        if subject.chars().count() > 200 {
            wrong("subject", "must not exceed 200 characters");
        }
        // Kept in a message together with the rest; a message ends at 256 KB.
        if body.len() > 32_000 {
            wrong("body", "must not exceed 32000 bytes");
        }
        if self.id.as_deref().is_some_and(|id| !is_usable(id)) {
            wrong(
                "id",
                "must have 1 to 128 characters of A-Z, a-z, 0-9, '.', '_' and '-', and not begin with welcome-email-",
            );
        }
        let user_id = self.user_id.as_deref().unwrap_or_default();
        if user_id.chars().count() > 128 || user_id.chars().any(char::is_control) {
            wrong("userId", "must not exceed 128 characters");
        }
        let urgent = match self.priority.as_deref() {
            None | Some("normal") => false,
            Some("high") => true,
            Some(_) => {
                wrong("priority", "must be high or normal");
                false
            }
        };
        let latest = now.checked_add(LATEST).unwrap_or(Timestamp::MAX);
        if self.scheduled_for.is_some_and(|time| time > latest) {
            wrong("scheduledFor", "must not be more than a year ahead");
        }
        match kind {
            Some(kind) if invalid.is_empty() => Ok(Accepted {
                notification: Notification {
                    to,
                    subject,
                    body,
                    kind,
                    user_id: self.user_id.clone(),
                },
                urgent,
                scheduled_for: self.scheduled_for.filter(|time| *time > now),
            }),
            _ => Err(Refusal::Invalid(invalid)),
        }
    }
}

/// What `to` must be, where it is not.
fn wrong_address(kind: Kind, to: &str) -> Option<&'static str> {
    let (right, expected) = match kind {
        Kind::Email => (invalid_email(to).is_none(), "must be an e-mail address"),
        // ITU-T E.164: at most 15 digits with the country's.
        Kind::Sms => (
            to.strip_prefix('+').is_some_and(|digits| {
                (8..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
            }),
            "must be a phone number such as +4915112345678",
        ),
        Kind::Push => (
            to.len() <= 256 && to.bytes().all(|byte| byte.is_ascii_graphic()),
            "must be a device's token of at most 256 characters",
        ),
        Kind::Webhook => (
            to.len() <= 2048
                && Url::parse(to).is_ok_and(|url| matches!(url.scheme(), "http" | "https")),
            "must be an http or https URL",
        ),
    };
    (!right).then_some(expected)
}

fn is_usable(id: &str) -> bool {
    (1..=128).contains(&id.len())
        && !id.starts_with(RESERVED)
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn accept(change: &Value) -> Result<Accepted, String> {
        let mut wanted = json!({"to": "a@b.example", "subject": "s", "body": "b", "type": "email"});
        for (name, value) in change.as_object().unwrap() {
            wanted[name] = value.clone();
        }
        let wanted: Wanted = serde_json::from_value(wanted).unwrap();
        wanted
            .accept("", Timestamp::UNIX_EPOCH)
            .map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn what_can_be_sent_is_accepted() {
        for (kind, to) in [
            ("email", "a@b.example"),
            ("sms", "+4915112345678"),
            ("push", "token-1"),
            ("webhook", "https://example.com/hook?x=1"),
        ] {
            let accepted = accept(&json!({"type": kind, "to": to})).unwrap();
            assert_eq!(accepted.notification.to, to);
            assert!(!accepted.urgent);
        }
        let accepted = accept(
            &json!({"priority": "high", "scheduledFor": "1970-01-02T00:00:00Z",
            "id": "order-7", "unknown": 1}),
        )
        .unwrap();
        assert!(accepted.urgent && accepted.scheduled_for.is_some());
        let past = accept(&json!({"scheduledFor": "1969-01-01T00:00:00Z"})).unwrap();
        assert_eq!(past.scheduled_for, None, "at once");
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        for missing in ["to", "subject", "body", "type"] {
            for nothing in [json!(null), json!(""), json!(" ")] {
                assert_eq!(
                    accept(&json!({missing: nothing})).unwrap_err(),
                    "to, subject, body, and type are required"
                );
            }
        }
        for (field, value) in [
            ("type", json!("fax")),
            ("to", json!("nobody")),
            ("subject", json!("x".repeat(201))),
            ("body", json!("x".repeat(32_001))),
            ("id", json!("a b")),
            ("id", json!("welcome-email-7")),
            ("userId", json!("x".repeat(129))),
            ("priority", json!("urgent")),
            ("scheduledFor", json!("1971-06-01T00:00:00Z")),
        ] {
            let error = accept(&json!({field: value})).unwrap_err();
            assert!(error.contains(&format!("{field}: ")), "{error}");
        }
        for (kind, to) in [
            ("sms", "015112345678"),
            ("sms", "+12"),
            ("push", "a b"),
            ("webhook", "javascript:alert(1)"),
            ("webhook", "example.com"),
        ] {
            assert!(accept(&json!({"type": kind, "to": to})).is_err(), "{to}");
        }
    }
}
