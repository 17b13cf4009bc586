//! Requests as they are written, in each protocol's way, and what all operations read alike.

use std::fmt;

use ciborium::Value as Cbor;
use jiff::Timestamp;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error, Visitor},
};
use serde_json::{Number, Value};

use super::{
    refusal::{invalid, missing, not_understood},
    store::Series,
};
use crate::error::AwsError;

/// Deepest nesting of a form: `MetricDataQueries.member.1.MetricStat.Metric.Dimensions.member.1.Name` has six steps below its first.
const MAX_DEPTH: usize = 8;

/// Dimensions of one metric ("`Metric`").
const MAX_DIMENSIONS: usize = 30;

/// A request that is not typed yet.
pub(super) enum Input<'a> {
    /// JSON, or CBOR without what JSON lacks.
    Tree(Value),
    /// `application/x-www-form-urlencoded`
    Form(&'a str),
}

impl Input<'_> {
    pub fn parsed<T: DeserializeOwned>(self) -> Result<T, AwsError> {
        match self {
            Self::Tree(value) => {
                serde_json::from_value(value).map_err(|error| not_understood("request", error))
            }
            Self::Form(form) => serde_qs::Config::new()
                .max_depth(MAX_DEPTH)
                .use_form_encoding(true)
                .deserialize_str(&bracketed(form))
                .map_err(|error| not_understood("form", error)),
        }
    }
}

/// Numbers that JSON lacks become text, so that they are refused where a number is asked for.
pub(super) fn from_cbor(body: &[u8]) -> Result<Value, AwsError> {
    if body.is_empty() {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    ciborium::from_reader(body)
        .map(plain)
        .map_err(|error| not_understood("CBOR body", error))
}

/// Times lose their tag: which fields are times is known by their names.
fn plain(value: Cbor) -> Value {
    match value {
        Cbor::Bool(flag) => flag.into(),
        Cbor::Text(text) => text.into(),
        Cbor::Integer(number) => i64::try_from(number)
            .map_or_else(|_| i128::from(number).to_string().into(), Value::from),
        Cbor::Float(number) => {
            Number::from_f64(number).map_or_else(|| number.to_string().into(), Value::Number)
        }
        Cbor::Array(items) => items.into_iter().map(plain).collect(),
        Cbor::Map(fields) => fields
            .into_iter()
            .filter_map(|(name, value)| Some((name.into_text().ok()?, plain(value))))
            .collect(),
        Cbor::Tag(_, inner) => plain(*inner),
        _ => Value::Null,
    }
}

/// `A.member.1.B=x` as `A[0][B]=x`.
fn bracketed(form: &str) -> String {
    let mut pairs = Vec::new();
    for pair in form.split('&') {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let mut steps = key.split('.');
        let mut path = steps.next().unwrap_or_default().to_owned();
        let mut after_member = false;
        for step in steps {
            let index = step
                .parse::<u32>()
                .ok()
                .and_then(|step| step.checked_sub(1));
            let place = index
                .filter(|_| after_member)
                .map(|index| index.to_string());
            after_member = step == "member";
            if !after_member {
                path.extend(["[", place.as_deref().unwrap_or(step), "]"]);
            }
        }
        pairs.push(format!("{path}={value}"));
    }
    pairs.join("&")
}

/// A time in epoch seconds: a number in JSON and CBOR, ISO 8601 in a form.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment(pub f64);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MomentVisitor)
    }
}

struct MomentVisitor;

// Whole seconds stay exact up to 2^53.
#[allow(clippy::cast_precision_loss)]
impl Visitor<'_> for MomentVisitor {
    type Value = Moment;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a time, as epoch seconds or such as 2026-11-21T10:00:00Z")
    }

    fn visit_f64<E: Error>(self, seconds: f64) -> Result<Moment, E> {
        Ok(Moment(seconds))
    }

    fn visit_i64<E: Error>(self, seconds: i64) -> Result<Moment, E> {
        Ok(Moment(seconds as f64))
    }

    fn visit_u64<E: Error>(self, seconds: u64) -> Result<Moment, E> {
        Ok(Moment(seconds as f64))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Moment, E> {
        let time: Timestamp = text.parse().map_err(E::custom)?;
        Ok(Moment(time.as_duration().as_secs_f64()))
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Dimension {
    pub name: Option<String>,
    pub value: Option<String>,
}

/// The series that a request names; `place` is where, in words of the query protocol.
pub(super) fn series(
    place: &str,
    namespace: Option<String>,
    metric: Option<String>,
    dimensions: Option<Vec<Dimension>>,
) -> Result<Series, AwsError> {
    let namespace = text(&format!("{place}Namespace"), namespace, 255)?;
    if namespace.starts_with(':') {
        return Err(invalid(format!(
            "The value {namespace} for parameter {place}Namespace is invalid: it must not begin with a colon."
        )));
    }
    let metric = text(&format!("{place}MetricName"), metric, 255)?;
    let dimensions = dimensions.unwrap_or_default();
    if dimensions.len() > MAX_DIMENSIONS {
        return Err(invalid(format!(
            "The collection {place}Dimensions must not have a size greater than {MAX_DIMENSIONS}."
        )));
    }
    let dimensions: Vec<_> = dimensions
        .into_iter()
        .map(|dimension| {
            let name = text(&format!("{place}Dimensions.Name"), dimension.name, 255)?;
            let value = text(&format!("{place}Dimensions.Value"), dimension.value, 1024)?;
            Ok((name, value))
        })
        .collect::<Result<_, AwsError>>()?;
    Ok(Series::new(namespace, metric, dimensions))
}

/// Text of 1 to `most` bytes.
fn text(parameter: &str, value: Option<String>, most: usize) -> Result<String, AwsError> {
    let value = value.ok_or_else(|| missing(parameter))?;
    if value.is_empty() || value.len() > most {
        return Err(invalid(format!(
            "The parameter {parameter} must have 1 to {most} characters, not {}.",
            value.len()
        )));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_of_a_form_become_places_in_a_list() {
        for (form, expected) in [
            ("A=1&B.C=2", "A=1&B[C]=2"),
            ("A.member.1.B.member.12=x", "A[0][B][11]=x"),
            ("A.member.0=x&A.member.y=z&=&", "A[0]=x&A[y]=z&=&="),
        ] {
            assert_eq!(bracketed(form), expected);
        }
    }
}
