//! A queue that feeds a function: `AWS::Lambda::EventSourceMapping` (`CloudFormation` template reference), or an event of the type
//! `SQS` of a function (AWS SAM developer guide), which becomes the same.

use std::collections::BTreeSet;

use super::{Resource, texts};
use crate::deploy::error::Problem;
use crate::deploy::property::Properties;
use crate::lambda::MappingChanges;
use crate::lambda::filter::{Criteria, Filter};
use crate::lambda::mapping::ScalingConfig;

/// Reads the properties of a mapping.
pub fn read(given: &mut Properties<'_>, notes: &mut BTreeSet<String>) -> Result<Resource, Problem> {
    let ignored = [
        ("KmsKeyArn", "filters are not encrypted"),
        ("Tags", "mappings have no tags here"),
    ];
    given.ignored(&ignored, notes);
    let queue = given.required("EventSourceArn")?;
    let function = given.required("FunctionName")?;
    Ok(Resource::Mapping(settings(given, queue, function)?))
}

/// Reads the properties of an event of the function `function`.
pub fn of_event(mut given: Properties<'_>, function: &str) -> Result<MappingChanges, Problem> {
    let queue = given.required("Queue")?;
    let changes = settings(&mut given, queue, function)?;
    given.finish()?;
    Ok(changes)
}

fn settings(
    given: &mut Properties<'_>,
    queue: &str,
    function: &str,
) -> Result<MappingChanges, Problem> {
    let scaling_config = match given.nested("ScalingConfig")? {
        None => None,
        Some(mut scaling) => {
            let maximum_concurrency = scaling.parsed("MaximumConcurrency", "a number")?;
            scaling.finish()?;
            Some(ScalingConfig {
                maximum_concurrency,
            })
        }
    };
    let function_response_types = match given.list("FunctionResponseTypes")? {
        None => None,
        Some(nodes) => Some(texts(given, "FunctionResponseTypes", nodes)?),
    };
    let filter_criteria = given
        .nested("FilterCriteria")?
        .map(filter_criteria)
        .transpose()?;
    Ok(MappingChanges {
        event_source_arn: Some(queue.to_owned()),
        function_name: Some(function.to_owned()),
        batch_size: given.parsed("BatchSize", "a number")?,
        maximum_batching_window_in_seconds: given
            .parsed("MaximumBatchingWindowInSeconds", "a number of seconds")?,
        function_response_types,
        scaling_config,
        enabled: given.parsed("Enabled", "true or false")?,
        filter_criteria,
    })
}

fn filter_criteria(mut given: Properties<'_>) -> Result<Criteria, Problem> {
    let filters = given
        .list("Filters")?
        .unwrap_or_default()
        .iter()
        .map(|node| {
            let mut filter = Properties::of("a filter".to_owned(), node)?;
            let pattern = Some(filter.required("Pattern")?.to_owned());
            filter.finish()?;
            Ok(Filter { pattern })
        })
        .collect::<Result<_, Problem>>()?;
    given.finish()?;
    Ok(Criteria { filters })
}
