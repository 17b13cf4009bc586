//! What an edit makes of an event's payload. Deciding is pure; [`trial`] tries it on what the mirror holds.

pub mod original;
#[cfg(test)]
mod tests;
pub mod trial;

use json_patch::{Patch, PatchOperation, patch};
use patterns_core::failed::OriginKind;
use patterns_core::json::loss;
use patterns_core::operation::{Edit, Plan};
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::aws::functions::INVOKED_MAX;
use crate::letter::Letter;
use crate::mirror::decode::{is_record, original};
use crate::topology::Topology;

/// Operations in one patch.
const OPERATIONS_MAX: usize = 100;

/// No target takes more than 1 MiB. A patch that copies doubles what it copies, so its result is weighed after each step.
const WEIGHT_MAX: usize = 4 << 20;

/// `serde_json` reads no more levels, and neither do most consumers.
const LEVELS_MAX: usize = 127;

/// An edit that was understood.
#[derive(Clone, Debug)]
pub enum Change {
    /// These steps, for payloads that are JSON.
    Patch(Vec<PatchOperation>),
    /// This instead of the payload.
    Payload(String),
}

impl Change {
    /// Understands an edit, or says why that is none.
    pub fn of(edit: &Edit) -> Result<Self, String> {
        let operations = match edit {
            Edit::Payload(payload) => return Ok(Self::Payload(payload.clone())),
            Edit::Patch(patch) => {
                serde_json::from_value::<Patch>(patch.clone())
                    .map_err(|error| format!("it is no JSON Patch (RFC 6902): {error}"))?
                    .0
            }
        };
        if (1..=OPERATIONS_MAX).contains(&operations.len()) {
            return Ok(Self::Patch(operations));
        }
        Err(format!(
            "a patch of {} operations does not have 1 to {OPERATIONS_MAX}",
            operations.len()
        ))
    }

    /// The payload to send instead; `None` where the edit changes nothing, so that every byte stays. Or why the edit does
    /// not fit this payload.
    pub fn apply(&self, payload: &str) -> Result<Option<String>, String> {
        let operations = match self {
            Self::Payload(new) => return Ok((new != payload).then(|| new.clone())),
            Self::Patch(operations) => operations,
        };
        let before: Value = serde_json::from_str(payload)
            .map_err(|error| format!("its payload is not JSON that can be patched: {error}"))?;
        let mut after = before.clone();
        for (index, operation) in operations.iter().enumerate() {
            patch(&mut after, std::slice::from_ref(operation)).map_err(|error| {
                format!(
                    "operation {} of the patch at {:?}: {}",
                    index + 1,
                    operation.path().to_string(),
                    error.kind
                )
            })?;
            if grows(operation) {
                bounded(&after)?;
            }
        }
        if after == before {
            return Ok(None);
        }
        if let Some(loss) = loss(payload) {
            return Err(format!("its payload holds {loss}; edit it as text instead"));
        }
        Ok(Some(after.to_string()))
    }
}

/// A plan's edit for what its target takes.
#[derive(Clone, Debug)]
pub struct Editor {
    change: Change,
    /// Of the target: it decides what of a message the payload is.
    pub kind: OriginKind,
    /// The most bytes that the target takes.
    largest: u64,
}

impl Editor {
    /// The edit of a plan, if it has one; or why that is none.
    pub fn of(plan: &Plan, topology: &Topology) -> Result<Option<Self>, String> {
        let Some(edit) = &plan.edit else {
            return Ok(None);
        };
        let kind = plan.target.kind;
        let to_queue = topology
            .queues
            .get(&plan.target.name)
            .filter(|_| kind == OriginKind::Queue);
        Ok(Some(Self {
            change: Change::of(edit)?,
            kind,
            largest: to_queue.map_or(INVOKED_MAX, |queue| queue.message_bytes_max),
        }))
    }

    /// What to send instead of a message's payload; `None` where that stays as it is. Or why it must not be sent.
    pub fn edit(&self, letter: &Letter) -> Result<Option<String>, String> {
        if self.kind == OriginKind::Queue && is_record(letter) {
            return Err(
                "it is the record of a failed invocation, and its payload is the event inside: to a queue the whole record goes, as it is"
                    .to_owned(),
            );
        }
        let Some(after) = self.change.apply(original(letter, self.kind)?)? else {
            return Ok(None);
        };
        let beside = match self.kind {
            OriginKind::Queue => letter.size() - letter.body.len(),
            OriginKind::Function => 0,
        };
        let bytes = beside + after.len();
        if u64::try_from(bytes).unwrap_or(u64::MAX) > self.largest {
            return Err(format!(
                "edited it has {bytes} bytes, and the target takes at most {}",
                self.largest
            ));
        }
        match self.kind {
            OriginKind::Queue if after.is_empty() => {
                Err("edited its body is empty, and SQS takes none that is".to_owned())
            }
            OriginKind::Function if serde_json::from_str::<IgnoredAny>(&after).is_err() => {
                Err("edited its payload is not JSON, and Lambda takes nothing else".to_owned())
            }
            _ => Ok(Some(after)),
        }
    }
}

/// Whether a step may make the payload much larger or deeper.
fn grows(operation: &PatchOperation) -> bool {
    let nested = |value: &Value| value.is_array() || value.is_object();
    match operation {
        PatchOperation::Add(add) => nested(&add.value),
        PatchOperation::Replace(replace) => nested(&replace.value),
        PatchOperation::Move(_) | PatchOperation::Copy(_) => true,
        PatchOperation::Remove(_) | PatchOperation::Test(_) => false,
    }
}

/// Refuses what is too heavy or too deep. It does not go deep itself, for what it looks at may.
fn bounded(value: &Value) -> Result<(), String> {
    let mut weight = 0;
    let mut open = vec![(value, 0)];
    while let Some((value, levels)) = open.pop() {
        weight += match value {
            Value::String(text) => text.len() + 2,
            Value::Array(items) => {
                open.extend(items.iter().map(|item| (item, levels + 1)));
                items.len() + 1
            }
            Value::Object(members) => {
                open.extend(members.values().map(|member| (member, levels + 1)));
                members.keys().map(|key| key.len() + 4).sum::<usize>() + 1
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => 1,
        };
        if levels > LEVELS_MAX {
            return Err(format!(
                "the patch nests its payload deeper than {LEVELS_MAX} levels"
            ));
        }
        if weight > WEIGHT_MAX {
            return Err(format!(
                "the patch makes its payload larger than {WEIGHT_MAX} bytes"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod changes {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn change(patch: Value) -> Change {
        Change::of(&Edit::Patch(patch)).unwrap()
    }

    #[test]
    fn a_patch_changes_what_it_names_and_nothing_else() {
        let change = change(json!([
            {"op": "test", "path": "/channel", "value": "fax"},
            {"op": "replace", "path": "/channel", "value": "mail"},
            {"op": "remove", "path": "/retries"},
        ]));
        let after = change.apply(r#"{"z": 1.50, "channel": "fax", "retries": 3, "a": "\u00e4"}"#);
        assert_eq!(
            after.unwrap().as_deref(),
            Some(r#"{"z":1.5,"channel":"mail","a":"ä"}"#)
        );
    }

    #[test]
    fn an_edit_that_changes_nothing_leaves_every_byte() {
        let same = change(json!([{"op": "replace", "path": "/n", "value": 1}]));
        assert!(same.apply(r#"{ "n" :1, "m": 1e400 }"#).is_err());
        assert_eq!(
            same.apply(r#"{ "n" :1, "m": 12345678901234567890123 }"#),
            Ok(None)
        );
        let payload = Change::of(&Edit::Payload("{}".to_owned())).unwrap();
        assert_eq!(payload.apply("{}"), Ok(None));
        assert_eq!(payload.apply("{ }"), Ok(Some("{}".to_owned())));
    }

    #[test]
    fn what_is_no_patch_is_refused() {
        let patches = [
            json!(null),
            json!({}),
            json!([]),
            json!([{"op": "replace"}]),
            json!([{"op": "increase", "path": "/n", "value": 1}]),
            json!([{"op": "remove", "path": "n"}]),
            json!(vec![
                json!({"op": "remove", "path": "/n"});
                OPERATIONS_MAX + 1
            ]),
        ];
        for patch in patches {
            assert!(Change::of(&Edit::Patch(patch.clone())).is_err(), "{patch}");
        }
    }

    #[test]
    fn a_patch_that_does_not_fit_says_why() {
        let change = change(json!([
            {"op": "add", "path": "/new", "value": 1},
            {"op": "replace", "path": "/gone", "value": 1},
        ]));
        let why = change.apply("{}").unwrap_err();
        assert!(
            why.contains("operation 2") && why.contains("/gone"),
            "{why}"
        );
        assert!(change.apply("not json").unwrap_err().contains("not JSON"));
        assert!(change.apply("").is_err());
    }

    #[test]
    fn what_would_not_stay_as_it_is_keeps_a_payload_from_being_patched() {
        let change = change(json!([{"op": "add", "path": "/new", "value": 1}]));
        for (payload, part) in [
            (
                r#"{"t": "-1", "n": 12345678901234567890123}"#,
                "12345678901234567890123",
            ),
            (r#"{"t": {"twice": 1, "twice": 2}}"#, "\"twice\""),
        ] {
            let why = change.apply(payload).unwrap_err();
            assert!(why.contains(part), "{why}");
        }
        assert!(change.apply(r#"{"n": 1.10, "t": {"n": 1}}"#).is_ok());
    }

    #[test]
    fn a_patch_cannot_grow_a_payload_without_bounds() {
        let copies = vec![json!({"op": "copy", "from": "", "path": "/-"}); OPERATIONS_MAX];
        let why = change(json!(copies)).apply(r#"["xxxxxxxx"]"#).unwrap_err();
        assert!(why.contains("larger"), "{why}");
        let steps = |count| vec![json!({"op": "copy", "from": "", "path": "/a"}); count];
        let deep = format!(
            "{}{}",
            r#"{"a":"#.repeat(100),
            "1".to_owned() + &"}".repeat(100)
        );
        let why = change(json!(steps(30))).apply(&deep).unwrap_err();
        assert!(why.contains("deeper"), "{why}");
        assert!(change(json!(steps(3))).apply(&deep).is_ok());
    }

    proptest! {
        #[test]
        fn nothing_makes_it_fail(payload in any::<String>()) {
            let change = change(json!([{"op": "add", "path": "/new", "value": 1}]));
            let _ = change.apply(&payload);
        }
    }
}
