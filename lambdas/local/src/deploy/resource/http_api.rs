//! `AWS::Serverless::HttpApi` (AWS SAM developer guide).

use std::collections::BTreeSet;

use super::Resource;
use crate::deploy::error::Problem;
use crate::deploy::property::Properties;
use crate::http_api::Throttle;

/// The only stage whose name is not part of the path.
const STAGE: &str = "$default";

/// Reads an API's properties.
pub fn read(given: &mut Properties<'_>, notes: &mut BTreeSet<String>) -> Result<Resource, Problem> {
    let unread = "nothing here shows it";
    let ignored = [
        (
            "CorsConfiguration",
            "requests of web pages are refused, whatever their origin",
        ),
        ("AccessLogSettings", "requests are not logged"),
        ("FailOnWarnings", unread),
        ("Name", unread),
        ("Description", unread),
        ("Tags", unread),
    ];
    given.ignored(&ignored, notes);
    let line = given.line();
    if given.text("StageName")?.is_some_and(|name| name != STAGE) {
        return Err(given.wrong(line, "StageName", STAGE));
    }
    let throttle = match given.nested("DefaultRouteSettings")? {
        None => None,
        Some(settings) => throttle(settings, notes)?,
    };
    Ok(Resource::HttpApi(throttle))
}

fn throttle(
    mut settings: Properties<'_>,
    notes: &mut BTreeSet<String>,
) -> Result<Option<Throttle>, Problem> {
    let ignored = [("DetailedMetricsEnabled", "an API has no metrics here")];
    settings.ignored(&ignored, notes);
    let rate = settings.parsed::<f64>("ThrottlingRateLimit", "a number of requests a second")?;
    let burst = settings.parsed::<f64>("ThrottlingBurstLimit", "a number of requests")?;
    let line = settings.line();
    let throttle = match (rate, burst) {
        (None, None) => None,
        (Some(rate), Some(burst)) if rate > 0.0 && burst >= 1.0 && rate.is_finite() => {
            Some(Throttle { rate, burst })
        }
        _ => {
            return Err(settings.wrong(
                line,
                "ThrottlingRateLimit with ThrottlingBurstLimit",
                "positive numbers, both given",
            ));
        }
    };
    settings.finish()?;
    Ok(throttle)
}
