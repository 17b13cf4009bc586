//! `Invoke` (AWS Lambda API reference).

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Call, named};
use crate::error::AwsError;
use crate::lambda::environment::Invocation;
use crate::lambda::error::{invalid_parameter, too_large};
use crate::lambda::event::MAX_EVENT_BYTES;
use crate::lambda::{Lambda, invoke};

/// Payload of a synchronous invocation (AWS Lambda developer guide, "Lambda quotas": 6 MB).
const MAX_SYNCHRONOUS_BYTES: usize = 6_291_456;

impl Lambda {
    pub(super) async fn invocation(
        &self,
        given: &str,
        call: Call<'_>,
    ) -> Result<Response, AwsError> {
        let name = named(given, &call)?;
        let kind = call
            .header("x-amz-invocation-type")
            .unwrap_or("RequestResponse");
        let limit = if kind == "Event" {
            MAX_EVENT_BYTES
        } else {
            MAX_SYNCHRONOUS_BYTES
        };
        if call.body.len() > limit {
            return Err(too_large(call.body.len(), limit, kind));
        }
        let wants_tail = call.header("x-amz-log-type") == Some("Tail");
        let invocation = Invocation {
            request_id: uuid::Uuid::new_v4().to_string(),
            trace_id: call.header("x-amzn-trace-id").map_or_else(
                || invoke::trace_id(self.inner.parts.clock.now().as_second()),
                str::to_owned,
            ),
            client_context: call.header("x-amz-client-context").map(str::to_owned),
            payload: invoke::payload(call.body)?,
        };
        let request_id = ("x-amzn-requestid", invocation.request_id.clone());
        match kind {
            "Event" => {
                self.accept(&name, invocation)?;
                Ok((StatusCode::ACCEPTED, [request_id]).into_response())
            }
            "DryRun" => {
                self.state().function(&name)?;
                Ok((StatusCode::NO_CONTENT, [request_id]).into_response())
            }
            "RequestResponse" => {
                let reply = self.invoke(&name, invocation).await?;
                let mut headers = vec![
                    request_id,
                    ("content-type", "application/json".to_owned()),
                    ("x-amz-executed-version", "$LATEST".to_owned()),
                ];
                if reply.failed {
                    headers.push(("x-amz-function-error", "Unhandled".to_owned()));
                }
                if wants_tail {
                    headers.push(("x-amz-log-result", STANDARD.encode(&reply.tail)));
                }
                let mut response = reply.payload.into_response();
                for (name, value) in headers {
                    if let Ok(value) = value.parse() {
                        response.headers_mut().insert(name, value);
                    }
                }
                Ok(response)
            }
            other => Err(invalid_parameter(format!(
                "X-Amz-Invocation-Type is {other}; it is RequestResponse, Event or DryRun"
            ))),
        }
    }
}
