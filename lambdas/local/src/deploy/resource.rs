//! Resources with their types: what each asks of a service.

mod function;
mod queue;
mod table;

use std::collections::BTreeSet;

use super::error::Problem;
use super::property::Properties;
use super::template::{Declared, FUNCTION};
use super::yaml::Node;
use crate::http_api::Throttle;
use crate::lambda::MappingChanges;
use crate::lambda::mapping::ScalingConfig;
pub use function::Function;
pub use queue::Queue;
pub use table::Table;

/// What a service is asked to create.
pub enum Resource {
    /// An HTTP API.
    HttpApi(Option<Throttle>),
    /// A function, which may have many settings.
    Function(Box<Function>),
    /// A DynamoDB table.
    Table(Table),
    /// A queue.
    Queue(Queue),
    /// A queue's connection with a function.
    Mapping(MappingChanges),
}

/// The types that a template may use.
const OFFERED: &str = "AWS::Serverless::HttpApi, AWS::Serverless::Function, AWS::DynamoDB::Table, AWS::SQS::Queue and \
                       AWS::Lambda::EventSourceMapping";

/// Reads `declared`, whose references are resolved in `properties`. What makes no difference here goes to `notes`.
pub fn read(
    stack: &str,
    declared: &Declared,
    properties: &Node,
    notes: &mut BTreeSet<String>,
) -> Result<Resource, Problem> {
    let owner = format!("{} ({})", declared.id, declared.kind);
    let mut given = Properties::of(owner, properties)?;
    // CloudFormation adds a random part, so that a replacement can live beside what it replaces. Nothing is replaced here.
    let unnamed = format!("{stack}-{}", declared.id);
    let resource = match declared.kind.as_str() {
        "AWS::Serverless::HttpApi" => http_api(&mut given)?,
        FUNCTION => function::read(&mut given, unnamed, notes)?,
        "AWS::DynamoDB::Table" => table::read(&mut given, unnamed, notes)?,
        "AWS::SQS::Queue" => queue::read(&mut given, unnamed, notes)?,
        "AWS::Lambda::EventSourceMapping" => mapping(&mut given)?,
        other => {
            return Err(Problem::new(
                declared.line,
                format!(
                    "{} has the type {other}, which is not offered here; offered are {OFFERED}",
                    declared.id
                ),
            ));
        }
    };
    given.finish()?;
    Ok(resource)
}

fn http_api(given: &mut Properties<'_>) -> Result<Resource, Problem> {
    let Some(mut settings) = given.nested("DefaultRouteSettings")? else {
        return Ok(Resource::HttpApi(None));
    };
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
    Ok(Resource::HttpApi(throttle))
}

fn mapping(given: &mut Properties<'_>) -> Result<Resource, Problem> {
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
    let response_types = match given.list("FunctionResponseTypes")? {
        None => None,
        Some(nodes) => Some(texts(given, "FunctionResponseTypes", nodes)?),
    };
    Ok(Resource::Mapping(MappingChanges {
        event_source_arn: Some(given.required("EventSourceArn")?.to_owned()),
        function_name: Some(given.required("FunctionName")?.to_owned()),
        batch_size: given.parsed("BatchSize", "a number")?,
        maximum_batching_window_in_seconds: given
            .parsed("MaximumBatchingWindowInSeconds", "a number of seconds")?,
        function_response_types: response_types,
        scaling_config,
        enabled: given.parsed("Enabled", "true or false")?,
        filter_criteria: None,
    }))
}

fn texts(given: &Properties<'_>, name: &str, nodes: &[Node]) -> Result<Vec<String>, Problem> {
    nodes
        .iter()
        .map(|node| match &node.value {
            super::yaml::Value::Text(text) => Ok(text.clone()),
            _ => Err(given.wrong(node.line, name, "a list of texts")),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;
    use crate::deploy::template;
    use crate::http_api::Route;

    fn resource(kind: &str, properties: &str) -> Result<Resource, Problem> {
        let text = format!("Resources:\n  R:\n    Type: {kind}\n    Properties: {properties}\n");
        let template = template::read("orders", &text).unwrap();
        let declared = &template.resources[0];
        read(
            "orders",
            declared,
            &declared.properties,
            &mut BTreeSet::new(),
        )
    }

    #[test]
    fn an_unnamed_queue_is_named_after_stack_and_resource() {
        let given = "{FifoQueue: true, VisibilityTimeout: 60, RedrivePolicy: {deadLetterTargetArn: a, maxReceiveCount: 3}, \
                     Tags: [{Key: k, Value: v}]}";
        let Resource::Queue(queue) = resource("AWS::SQS::Queue", given).unwrap() else {
            panic!("a queue")
        };
        assert_eq!(queue.name, "orders-R.fifo");
        assert_eq!(queue.attributes["VisibilityTimeout"], "60");
        let policy: Value = serde_json::from_str(&queue.attributes["RedrivePolicy"]).unwrap();
        assert_eq!(
            policy,
            json!({"deadLetterTargetArn": "a", "maxReceiveCount": 3})
        );
        assert_eq!(queue.tags["k"], "v");
    }

    #[test]
    fn a_function_brings_its_routes_and_tags() {
        let given = "{Runtime: provided.al2023, Handler: h, FunctionName: f, Tags: {a: b}, ReservedConcurrentExecutions: 0, \
                     Events: {E: {Type: HttpApi, Properties: {ApiId: x, Method: get, Path: /t}}}}";
        let Resource::Function(function) = resource("AWS::Serverless::Function", given).unwrap()
        else {
            panic!("a function")
        };
        let route = Route {
            method: "GET".to_owned(),
            path: "/t".to_owned(),
            function: "f".to_owned(),
        };
        assert_eq!(function.routes, [("x".to_owned(), route)]);
        assert_eq!(function.reserved, Some(0));
        assert_eq!(
            function.tags,
            BTreeMap::from([("a".to_owned(), "b".to_owned())])
        );
    }

    #[test]
    fn unknown_types_properties_and_values_are_named() {
        for (kind, given, part) in [
            (
                "AWS::SNS::Topic",
                "{}",
                "AWS::SNS::Topic, which is not offered",
            ),
            ("AWS::SQS::Queue", "{Colour: red}", "property Colour"),
            (
                "AWS::SQS::Queue",
                "{VisibilityTimeout: soon}",
                "VisibilityTimeout of R (AWS::SQS::Queue) must be a number",
            ),
            ("AWS::Serverless::Function", "{Handler: h}", "lacks Runtime"),
            (
                "AWS::Serverless::Function",
                "{Runtime: r, Handler: h, Events: {E: {Type: SQS}}}",
                "EventSourceMapping",
            ),
            (
                "AWS::Serverless::HttpApi",
                "{DefaultRouteSettings: {ThrottlingRateLimit: 5}}",
                "both given",
            ),
            (
                "AWS::DynamoDB::Table",
                "{StreamSpecification: {}}",
                "StreamSpecification",
            ),
            (
                "AWS::Lambda::EventSourceMapping",
                "{FunctionName: f}",
                "lacks EventSourceArn",
            ),
        ] {
            let Err(problem) = resource(kind, given) else {
                panic!("{kind} {given} was accepted")
            };
            assert!(problem.text.contains(part), "{}", problem.text);
        }
    }
}
