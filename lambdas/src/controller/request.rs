//! What the controller is asked: `{"function": …, "correlationId": …}` with the arguments of that function beside it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::envelope::Envelope;
use crate::leed::{About, filled};
use crate::unreadable::{self, Unreadable, short};

/// The functions, by the names that requests use.
pub const FUNCTIONS: [&str; 4] = ["notifyUsers", "sendNotification", "audit", "listTasks"];

/// A function with its arguments. Unknown keys are ignored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "function", rename_all = "camelCase")]
pub enum Call {
    /// Tells every subscriber of a trade of a leed.
    NotifyUsers(NotifyUsers),
    /// Delivers one event: the members of an [`Envelope`].
    SendNotification(Map<String, Value>),
    /// Notes down what happened.
    Audit(Entry),
    /// Asks another function for tasks.
    ListTasks(ListTasks),
}

/// Arguments of `notifyUsers`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NotifyUsers {
    /// The leed; its seller is not told of it.
    #[serde(flatten)]
    pub leed: About,
    /// How often the work was handed on so far.
    #[serde(default)]
    pub part: u32,
    /// Subscribers up to this one are told by earlier parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// Arguments of `audit`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Names the entry: noting it down again changes nothing.
    #[serde(deserialize_with = "filled")]
    pub id: String,
    /// What happened.
    #[serde(deserialize_with = "filled")]
    pub event: String,
    /// To which leed.
    #[serde(deserialize_with = "filled")]
    pub leed: String,
    /// Who did it.
    #[serde(deserialize_with = "filled")]
    pub actor: String,
    /// When.
    pub at: Timestamp,
}

/// Arguments of `listTasks`, which are those of the function that it asks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListTasks {
    /// At most so many; all without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Where an earlier page ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}

/// Why a request is not one.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// It is not a JSON object.
    #[error("The request is not a JSON object: {0}")]
    NotAnObject(Unreadable),
    /// It names no function.
    #[error("The request names no function; there are {}", FUNCTIONS.join(", "))]
    NoFunction,
    /// There is no function of that name.
    #[error("Unknown function request: {0}")]
    UnknownFunction(String),
    /// The arguments are not those of the function.
    #[error("Invalid arguments of {function}: {cause}")]
    InvalidArguments {
        /// The function.
        function: &'static str,
        /// What is wrong.
        cause: Unreadable,
    },
}

impl Call {
    /// Reads a request.
    pub fn read(json: &str) -> Result<Self, RequestError> {
        let request: Map<String, Value> =
            unreadable::object(json.as_bytes()).map_err(RequestError::NotAnObject)?;
        let function = match request.get("function") {
            None | Some(Value::Null | Value::Array(_) | Value::Object(_)) => {
                return Err(RequestError::NoFunction);
            }
            Some(Value::String(name)) => FUNCTIONS
                .into_iter()
                .find(|function| function == name)
                .ok_or_else(|| RequestError::UnknownFunction(short(name)))?,
            Some(other) => return Err(RequestError::UnknownFunction(other.to_string())),
        };
        serde_json::from_value(Value::Object(request)).map_err(|cause| {
            RequestError::InvalidArguments {
                function,
                cause: cause.into(),
            }
        })
    }

    /// The call that delivers `envelope`.
    pub fn sending(envelope: &Envelope) -> Result<Self, serde_json::Error> {
        let arguments = serde_json::from_value(serde_json::to_value(envelope)?)?;
        Ok(Self::SendNotification(arguments))
    }

    /// The function's name.
    #[must_use]
    pub fn function(&self) -> &'static str {
        match self {
            Self::NotifyUsers(_) => "notifyUsers",
            Self::SendNotification(_) => "sendNotification",
            Self::Audit(_) => "audit",
            Self::ListTasks(_) => "listTasks",
        }
    }
}

/// `call` as a request on behalf of what `correlation_id` names.
pub fn request(call: &Call, correlation_id: &str) -> Result<Value, serde_json::Error> {
    let mut request = serde_json::to_value(call)?;
    if let Some(members) = request.as_object_mut() {
        members.insert("correlationId".to_owned(), Value::from(correlation_id));
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    fn read(request: &Value) -> Result<Call, String> {
        Call::read(&request.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn each_function_has_arguments_of_its_own() {
        let told = json!({"function": "notifyUsers", "id": "7", "trade": "Clowns", "seller": "ada", "more": 1});
        let Call::NotifyUsers(told) = read(&told).unwrap() else {
            panic!("another function");
        };
        assert_eq!(
            (told.leed.trade.to_string().as_str(), told.part),
            ("clowns", 0)
        );
        assert_eq!(
            read(&json!({"function": "listTasks"})).unwrap(),
            Call::ListTasks(ListTasks::default())
        );
        let entry = json!({"function": "audit", "id": "e", "event": "leed_sold", "leed": "7", "actor": "bob",
            "at": "1970-01-01T00:00:00Z"});
        assert_eq!(read(&entry).unwrap().function(), "audit");
    }

    #[test]
    fn a_request_that_is_written_can_be_read() {
        let leed = json!({"id": "7", "trade": "clowns", "seller": "ada", "date": "2026-12-31", "place": "Berlin"});
        let call = Call::NotifyUsers(NotifyUsers {
            leed: serde_json::from_value(leed).unwrap(),
            part: 2,
            after: Some("bob".to_owned()),
        });
        let written = request(&call, "c-1").unwrap();
        assert_eq!(written.get("correlationId").unwrap(), "c-1");
        assert_eq!(read(&written).unwrap(), call);
    }

    #[test]
    fn what_is_no_request_is_an_error_that_says_why() {
        for (request, message) in [
            (json!([]), "The request is not a JSON object: "),
            (json!("notifyUsers"), "The request is not a JSON object: "),
            (json!({}), "The request names no function; "),
            (json!({"function": null}), "The request names no function; "),
            (json!({"function": "fly"}), "Unknown function request: fly"),
            (
                json!({"function": "NotifyUsers"}),
                "Unknown function request: NotifyUsers",
            ),
            (
                json!({"function": {"a": 1}}),
                "The request names no function; ",
            ),
            (json!({"function": 5}), "Unknown function request: 5"),
            (
                json!({"function": "notifyUsers", "id": "7", "trade": "clowns"}),
                "Invalid arguments of notifyUsers: missing field `seller`",
            ),
            (
                json!({"function": "notifyUsers", "id": " ", "trade": "clowns", "seller": "ada"}),
                "Invalid arguments of notifyUsers: an id, a name or a word is empty",
            ),
            (
                json!({"function": "notifyUsers", "id": "7", "trade": "", "seller": "ada"}),
                "Invalid arguments of notifyUsers: must have 1 to 50 characters",
            ),
            (
                json!({"function": "audit", "id": 5}),
                "Invalid arguments of audit: invalid type: integer, expected a string",
            ),
            (
                json!({"function": "listTasks", "limit": -1}),
                "Invalid arguments of listTasks: ",
            ),
        ] {
            let error = read(&request).unwrap_err();
            assert!(error.starts_with(message), "{request}: {error}");
        }
    }
}
