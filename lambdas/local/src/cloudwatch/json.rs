//! AWS JSON 1.0, the protocol of boto3 and the AWS CLI here: times are epoch seconds as numbers.

use serde_json::{Value, json};

use super::query::{Answer, Input, Request};
use crate::error::AwsError;

pub(super) fn read(input: Value) -> Result<Request, AwsError> {
    let input: Input<f64> = serde_json::from_value(input)
        .map_err(|error| AwsError::new(400, "SerializationException", error.to_string()))?;
    input.request(|seconds| Some(*seconds))
}

pub(super) fn write(answers: &[Answer]) -> Value {
    let results: Vec<_> = answers
        .iter()
        .map(|answer| {
            let (times, values): (Vec<_>, Vec<_>) = answer.points.iter().copied().unzip();
            json!({ "Id": answer.id, "Label": answer.label, "Timestamps": times, "Values": values, "StatusCode": "Complete" })
        })
        .collect();
    json!({ "MetricDataResults": results, "Messages": [] })
}
