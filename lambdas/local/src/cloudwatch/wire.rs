//! Smithy RPC v2 CBOR, as far as `GetMetricData` needs it: times are epoch seconds under CBOR tag 1.

use ciborium::Value;
use serde::Deserialize;

use super::query::{Answer, Query, Request, invalid};
use crate::error::AwsError;

/// CBOR's tag for epoch time (RFC 8949, 3.4.2).
const EPOCH: u64 = 1;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    #[serde(default)]
    metric_data_queries: Vec<Query>,
    start_time: Option<Value>,
    end_time: Option<Value>,
    scan_by: Option<String>,
    next_token: Option<String>,
}

pub(super) fn read(body: &[u8]) -> Result<Request, AwsError> {
    let input: Input = ciborium::from_reader(body).map_err(|error| {
        AwsError::new(
            400,
            "SerializationException",
            format!("The CBOR body was not understood: {error}"),
        )
    })?;
    if input.next_token.is_some() {
        return Err(AwsError::new(
            400,
            "InvalidNextToken",
            "patterns-local answers in one page and gives no tokens out.",
        ));
    }
    let newest_first = match input.scan_by.as_deref() {
        None | Some("TimestampDescending") => true,
        Some("TimestampAscending") => false,
        Some(other) => {
            return Err(invalid(format!(
                "ScanBy must be TimestampDescending or TimestampAscending, not {other}."
            )));
        }
    };
    Ok(Request {
        queries: input.metric_data_queries,
        start: seconds(input.start_time.as_ref(), "StartTime")?,
        end: seconds(input.end_time.as_ref(), "EndTime")?,
        newest_first,
    })
}

fn seconds(value: Option<&Value>, name: &str) -> Result<f64, AwsError> {
    let Some(Value::Tag(EPOCH, inner)) = value else {
        return Err(invalid(format!(
            "The parameter {name} must be a timestamp."
        )));
    };
    let seconds = match inner.as_ref() {
        Value::Float(seconds) => Some(*seconds),
        Value::Integer(seconds) => i64::try_from(*seconds).ok().map(|seconds| {
            // Precision is lost only beyond 2^53 seconds.
            #[allow(clippy::cast_precision_loss)]
            let seconds = seconds as f64;
            seconds
        }),
        _ => None,
    };
    seconds
        .filter(|seconds| seconds.is_finite())
        .ok_or_else(|| invalid(format!("The parameter {name} must be a timestamp.")))
}

pub(super) fn write(answers: &[Answer]) -> Result<Vec<u8>, AwsError> {
    let results = answers.iter().map(|answer| {
        let times = answer
            .points
            .iter()
            .map(|(at, _)| Value::Tag(EPOCH, Box::new(Value::Integer((*at).into()))));
        let values = answer.points.iter().map(|(_, value)| Value::Float(*value));
        map([
            ("Id", Value::Text(answer.id.clone())),
            ("Label", Value::Text(answer.label.clone())),
            ("Timestamps", Value::Array(times.collect())),
            ("Values", Value::Array(values.collect())),
            ("StatusCode", Value::Text("Complete".to_owned())),
        ])
    });
    encode(&map([
        ("MetricDataResults", Value::Array(results.collect())),
        ("Messages", Value::Array(Vec::new())),
    ]))
}

fn map<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Map(
        fields
            .map(|(name, value)| (Value::Text(name.to_owned()), value))
            .into(),
    )
}

fn encode(value: &Value) -> Result<Vec<u8>, AwsError> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes)
        .map_err(|error| AwsError::new(500, "InternalServiceFault", error.to_string()))?;
    Ok(bytes)
}

/// An error's body in this protocol.
pub(crate) fn error_body(error: &AwsError) -> Vec<u8> {
    let body = map([
        (
            "__type",
            Value::Text(format!("com.amazonaws.cloudwatch#{}", error.code)),
        ),
        ("message", Value::Text(error.message.clone())),
    ]);
    encode(&body).unwrap_or_default()
}
