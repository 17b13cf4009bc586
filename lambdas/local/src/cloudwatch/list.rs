//! `ListMetrics`: what there are figures of, in pages of 500.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Deserialize;

use super::{
    answer::Field,
    input::Dimension,
    refusal::{invalid, missing},
    store::{Series, Store},
};
use crate::error::AwsError;

/// Metrics of one page.
const PAGE: usize = 500;

/// Most dimensions to filter by.
const MAX_FILTERS: usize = 10;

/// A metric without figures for two weeks is not listed.
const LISTED_MINUTES: i64 = 14 * 24 * 60;

/// What `RecentlyActive` asks for.
const RECENT_MINUTES: i64 = 3 * 60;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListMetrics {
    namespace: Option<String>,
    metric_name: Option<String>,
    dimensions: Option<Vec<Dimension>>,
    next_token: Option<String>,
    recently_active: Option<String>,
}

/// `now` is in epoch seconds.
pub(super) fn answer(store: &Store, now: i64, request: &ListMetrics) -> Result<Field, AwsError> {
    let listed = match request.recently_active.as_deref() {
        None => LISTED_MINUTES,
        Some("PT3H") => RECENT_MINUTES,
        Some(other) => {
            return Err(invalid(format!(
                "The value {other} for parameter RecentlyActive is invalid: it must be PT3H."
            )));
        }
    };
    let first = now.div_euclid(60) - listed;
    let filters = request.dimensions.as_deref().unwrap_or_default();
    if filters.len() > MAX_FILTERS {
        return Err(invalid(format!(
            "The collection Dimensions must not have a size greater than {MAX_FILTERS}."
        )));
    }
    if filters.iter().any(|filter| filter.name.is_none()) {
        return Err(missing("Dimensions.Name"));
    }
    let last = match &request.next_token {
        Some(token) => {
            Some(parse(token).ok_or_else(|| invalid("Request parameter NextToken is invalid"))?)
        }
        None => None,
    };
    let mut found = store
        .after(last.as_ref())
        .filter(|(series, newest)| *newest >= first && request.asks_for(series))
        .map(|(series, _)| series);
    let page: Vec<&Series> = found.by_ref().take(PAGE).collect();
    let token = page
        .last()
        .filter(|_| found.next().is_some())
        .and_then(|last| token(last));
    let metrics = page.into_iter().map(shown).collect();
    let mut fields = vec![("Metrics", Field::List(metrics))];
    fields.extend(token.map(|token| ("NextToken", Field::Text(token))));
    Ok(Field::Record(fields))
}

impl ListMetrics {
    /// A metric may have more dimensions than are asked for.
    fn asks_for(&self, series: &Series) -> bool {
        let same =
            |asked: &Option<String>, is: &str| asked.as_ref().is_none_or(|asked| asked == is);
        same(&self.namespace, &series.namespace)
            && same(&self.metric_name, &series.metric)
            && self.dimensions.iter().flatten().all(|filter| {
                let mut dimensions = series.dimensions.iter();
                dimensions
                    .any(|(name, value)| same(&filter.name, name) && same(&filter.value, value))
            })
    }
}

fn shown(series: &Series) -> Field {
    let dimensions = series.dimensions.iter().map(|(name, value)| {
        Field::Record(vec![
            ("Name", Field::Text(name.clone())),
            ("Value", Field::Text(value.clone())),
        ])
    });
    Field::Record(vec![
        (
            "Namespace",
            Field::Text(series.namespace.clone().into_owned()),
        ),
        (
            "MetricName",
            Field::Text(series.metric.clone().into_owned()),
        ),
        ("Dimensions", Field::List(dimensions.collect())),
    ])
}

/// The last metric of a page, so that metrics may come and go between pages.
fn token(last: &Series) -> Option<String> {
    let bytes = serde_json::to_vec(last).ok()?;
    Some(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

fn parse(token: &str) -> Option<Series> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?;
    serde_json::from_slice(&bytes).ok()
}
