//! Resources with their types: what each asks of a service.

mod function;
mod http_api;
mod mapping;
mod queue;
mod schedule;
mod table;
mod unenforced;

use std::collections::{BTreeMap, BTreeSet};

use super::error::Problem;
use super::property::Properties;
use super::template::{Declared, FUNCTION, HTTP_API};
use super::yaml::Node;
use crate::http_api::Throttle;
use crate::lambda::MappingChanges;
pub use function::Function;
pub use queue::Queue;
pub use table::Table;
pub use unenforced::Unenforced;

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
    /// Nothing: it makes no difference here, but others may refer to it.
    Unenforced(Unenforced),
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
    if let Some(unenforced) = unenforced::read(&declared.kind, &unnamed, properties, notes) {
        return Ok(Resource::Unenforced(unenforced));
    }
    let resource = match declared.kind.as_str() {
        HTTP_API => http_api::read(&mut given, notes)?,
        FUNCTION => function::read(&mut given, unnamed, notes)?,
        "AWS::DynamoDB::Table" => table::read(&mut given, unnamed, notes)?,
        "AWS::SQS::Queue" => queue::read(&mut given, unnamed, notes)?,
        "AWS::Lambda::EventSourceMapping" => mapping::read(&mut given, notes)?,
        other => {
            let text = format!(
                "{} has the type {other}, which is not offered here; offered are {OFFERED}, and as what is not enforced here {}",
                declared.id,
                unenforced::offered()
            );
            return Err(Problem::new(declared.line, text));
        }
    };
    given.finish()?;
    Ok(resource)
}

/// Tags as most resources take them: a list of `Key` and `Value`.
fn tags(given: &mut Properties<'_>) -> Result<BTreeMap<String, String>, Problem> {
    let Some(nodes) = given.list("Tags")? else {
        return Ok(BTreeMap::new());
    };
    nodes
        .iter()
        .map(|node| {
            let mut tag = Properties::of("a tag".to_owned(), node)?;
            let key = tag.required("Key")?.to_owned();
            let value = tag.required("Value")?.to_owned();
            tag.finish()?;
            Ok((key, value))
        })
        .collect()
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
                "AWS::S3::Bucket",
                "{}",
                "AWS::S3::Bucket, which is not offered",
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
                "{Runtime: r, Handler: h, Events: {E: {Type: S3}}}",
                "HttpApi, SQS, Schedule",
            ),
            (
                "AWS::Serverless::Function",
                "{Runtime: r, Handler: h, Events: {E: {Type: Schedule, Properties: {Schedule: often}}}}",
                "rate(5 minutes)",
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
