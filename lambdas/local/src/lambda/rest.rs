//! Lambda's REST API: which operation a request asks for, and how answers and errors look
//! (AWS Lambda API reference; the dates in the paths are the operations' versions).

mod account_settings;
mod event_configs;
mod functions;
mod invocations;
mod mappings;
mod tags;

use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Lambda, concurrency::Limit, error, name};
use crate::error::AwsError;
use crate::percent;

/// What an operation answers: a status and a JSON document, or none.
type Answer = Result<(StatusCode, Option<Value>), AwsError>;

/// The parts of a request that operations read.
struct Call<'a> {
    query: Vec<(String, String)>,
    headers: &'a HeaderMap,
    body: Bytes,
}

impl<'a> Call<'a> {
    fn query(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    fn json<T: DeserializeOwned>(&self) -> Result<T, AwsError> {
        serde_json::from_slice(&self.body).map_err(|error| error::not_json(&error))
    }
}

#[allow(
    clippy::unnecessary_wraps,
    reason = "every operation ends in an `Answer`"
)]
fn ok(document: Value) -> Answer {
    Ok((StatusCode::OK, Some(document)))
}

impl Lambda {
    /// Answers one request of the REST API.
    pub async fn handle(
        &self,
        method: &Method,
        path: &str,
        query: Option<&str>,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Response {
        let call = Call {
            query: percent::query_pairs(query.unwrap_or_default()),
            headers,
            body,
        };
        let segments: Vec<String> = path
            .split('/')
            .filter(|segment| !segment.is_empty())
            .map(percent::decode)
            .collect();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let result = match (method.as_str(), segments.as_slice()) {
            ("POST", [_, "functions", given, "invocations"]) => self.invocation(given, call).await,
            (method, segments) => self.operation(method, segments, call).await.map(
                |(status, document)| match document {
                    Some(document) => (status, axum::Json(document)).into_response(),
                    None => status.into_response(),
                },
            ),
        };
        let mut response = match result {
            Ok(response) => response,
            Err(error) => self.refusal(&error, segments.get(2).copied()),
        };
        if !response.headers().contains_key("x-amzn-requestid")
            && let Ok(id) = uuid::Uuid::new_v4().to_string().parse()
        {
            response.headers_mut().insert("x-amzn-requestid", id);
        }
        response
    }

    async fn operation(&self, method: &str, segments: &[&str], call: Call<'_>) -> Answer {
        match (method, segments) {
            ("POST", [_, "functions"]) => self.create_function(call).await,
            ("GET", [_, "functions"]) => self.list_functions(&call),
            ("GET", [_, "functions", given]) => self.get_function(&named(given, &call)?),
            ("DELETE", [_, "functions", given]) => self.delete_function(&named(given, &call)?),
            ("GET", [_, "functions", given, "configuration"]) => {
                self.get_configuration(&named(given, &call)?)
            }
            ("PUT", [_, "functions", given, "configuration"]) => {
                self.update_configuration(&named(given, &call)?, &call)
            }
            ("PUT", [_, "functions", given, "code"]) => {
                self.update_code(&named(given, &call)?, call).await
            }
            ("GET", [_, "functions", given, "concurrency"]) => {
                self.get_concurrency(&named(given, &call)?)
            }
            ("PUT", [_, "functions", given, "concurrency"]) => {
                self.put_concurrency(&named(given, &call)?, &call)
            }
            ("DELETE", [_, "functions", given, "concurrency"]) => {
                self.delete_concurrency(&named(given, &call)?)
            }
            ("GET", [_, "functions", given, "event-invoke-config", "list"]) => {
                self.list_event_configs(&named(given, &call)?)
            }
            (method, [_, "functions", given, "event-invoke-config"]) => {
                self.event_config(method, &named(given, &call)?, &call)
            }
            ("GET", [_, "account-settings"]) => self.account_settings(),
            ("POST", [_, "event-source-mappings"]) => self.create_mapping(&call),
            ("GET", [_, "event-source-mappings"]) => self.list_mappings(&call),
            ("GET", [_, "event-source-mappings", uuid]) => self.get_mapping(uuid),
            ("PUT", [_, "event-source-mappings", uuid]) => self.update_mapping(uuid, &call),
            ("DELETE", [_, "event-source-mappings", uuid]) => self.delete_mapping(uuid),
            (method @ ("GET" | "POST" | "DELETE"), [_, "tags", arn]) => {
                self.tags(method, arn, &call)
            }
            (method, segments) => Err(AwsError::new(
                404,
                "UnknownOperationException",
                format!(
                    "Lambda's operation {method} /{} is not offered here",
                    segments.join("/")
                ),
            )),
        }
    }

    /// `given` names the function that was asked for, from which a throttle tells which limit it met.
    fn refusal(&self, error: &AwsError, given: Option<&str>) -> Response {
        let status =
            StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let kind = if error.status < 500 {
            "User"
        } else {
            "Service"
        };
        // The service model spells this one field in two ways.
        let field = match error.code {
            "ResourceNotFoundException" | "ServiceException" | "InvalidRuntimeException" => {
                "Message"
            }
            _ => "message",
        };
        let mut body = json!({"Type": kind, field: error.message});
        if error.code == error::THROTTLED
            && let Some(fields) = body.as_object_mut()
        {
            let limit = given
                .and_then(|given| name::parse(given).ok())
                .map_or(Limit::Account, |name| self.throttling_limit(&name));
            fields.insert("Reason".to_owned(), json!(limit.reason()));
        }
        let headers = [
            ("x-amzn-errortype", error.code),
            (header::CONTENT_TYPE.as_str(), "application/json"),
        ];
        (status, headers, axum::Json(body)).into_response()
    }
}

/// The function named in the path, whose version in the query may only be `$LATEST`.
fn named(given: &str, call: &Call<'_>) -> Result<String, AwsError> {
    let name = name::parse(given)?;
    name::check_qualifier(&name, call.query("Qualifier"))?;
    Ok(name)
}

/// One page of `items`: as many as `MaxItems` allows, from the one that `Marker` names.
fn page<T>(
    items: impl Iterator<Item = (String, T)>,
    call: &Call<'_>,
    default: usize,
) -> Result<(Vec<T>, Option<String>), AwsError> {
    let most = match call.query("MaxItems") {
        None => default,
        Some(text) => match text.parse() {
            Ok(most @ 1..=10_000) => most,
            _ => {
                return Err(error::invalid_parameter(format!(
                    "MaxItems is {text}; it must be between 1 and 10000"
                )));
            }
        },
    };
    let marker = call.query("Marker").unwrap_or_default();
    let mut items = items.skip_while(|(key, _)| key.as_str() < marker);
    let page = items.by_ref().take(most).map(|(_, item)| item).collect();
    Ok((page, items.next().map(|(key, _)| key)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn call<'a>(query: &str, headers: &'a HeaderMap) -> Call<'a> {
        Call {
            query: percent::query_pairs(query),
            headers,
            body: Bytes::new(),
        }
    }

    #[test]
    fn pages_follow_each_other_without_gap_or_repeat() {
        let headers = HeaderMap::new();
        let items = || ["a", "b", "c"].into_iter().map(|key| (key.to_owned(), key));
        let (first, marker) = page(items(), &call("MaxItems=2", &headers), 50).unwrap();
        assert_eq!(first, ["a", "b"]);
        let query = format!("MaxItems=2&Marker={}", marker.unwrap());
        let (second, marker) = page(items(), &call(&query, &headers), 50).unwrap();
        assert_eq!((second, marker), (vec!["c"], None));
        assert!(page(items(), &call("MaxItems=0", &headers), 50).is_err());
    }
}
