//! Smithy RPC v2 CBOR, as far as `GetMetricData` needs it: times are epoch seconds under CBOR tag 1.

use ciborium::Value;

use super::query::{Answer, Input, Request};
use crate::error::AwsError;

/// CBOR's tag for epoch time (RFC 8949, 3.4.2).
const EPOCH: u64 = 1;

pub(super) fn read(body: &[u8]) -> Result<Request, AwsError> {
    let input: Input<Value> = ciborium::from_reader(body).map_err(|error| {
        AwsError::new(
            400,
            "SerializationException",
            format!("The CBOR body was not understood: {error}"),
        )
    })?;
    input.request(seconds)
}

fn seconds(value: &Value) -> Option<f64> {
    let Value::Tag(EPOCH, inner) = value else {
        return None;
    };
    match inner.as_ref() {
        Value::Float(seconds) => Some(*seconds),
        Value::Integer(seconds) => i64::try_from(*seconds).ok().map(|seconds| {
            // Precision is lost only beyond 2^53 seconds.
            #[allow(clippy::cast_precision_loss)]
            let seconds = seconds as f64;
            seconds
        }),
        _ => None,
    }
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
