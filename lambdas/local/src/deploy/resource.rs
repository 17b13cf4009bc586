//! Resources with their types: what each asks of a service.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::error::Problem;
use super::property::{self, Properties};
use super::template::{Declared, FUNCTION};
use super::yaml::Node;
use crate::http_api::{Route, Throttle};
use crate::lambda::configure::{DeadLetterConfig, Environment, LoggingConfig};
use crate::lambda::event_config::{Destination, DestinationConfig};
use crate::lambda::mapping::ScalingConfig;
use crate::lambda::{EventConfigChanges, FunctionChanges, MappingChanges};

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

/// A function and what comes with it.
pub struct Function {
    /// Its name.
    pub name: String,
    /// Its configuration.
    pub changes: FunctionChanges,
    /// Its tags: those of the template and no others.
    pub tags: BTreeMap<String, String>,
    /// API id, and the route that leads here.
    pub routes: Vec<(String, Route)>,
    /// Its asynchronous invocations.
    pub events: Option<EventConfigChanges>,
    /// Its own concurrency.
    pub reserved: Option<u32>,
}

/// A table.
pub struct Table {
    /// Its name.
    pub name: String,
    /// The request of `CreateTable`.
    pub request: Value,
    /// The specification of `UpdateTimeToLive`.
    pub time_to_live: Option<Value>,
}

/// A queue.
pub struct Queue {
    /// Its name.
    pub name: String,
    /// As `CreateQueue` names them.
    pub attributes: BTreeMap<String, String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
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
        FUNCTION => function(&mut given, unnamed, notes)?,
        "AWS::DynamoDB::Table" => table(&mut given, unnamed, notes)?,
        "AWS::SQS::Queue" => queue(&mut given, unnamed, notes)?,
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

fn function(
    given: &mut Properties<'_>,
    unnamed: String,
    notes: &mut BTreeSet<String>,
) -> Result<Resource, Problem> {
    for (name, why) in [
        (
            "CodeUri",
            "functions of a template are started by their Handler, from the programs that come with the emulator",
        ),
        ("Policies", "nobody checks permissions"),
        ("Role", "nobody checks permissions"),
        ("Tracing", "nothing is traced"),
    ] {
        if given.ignored(name) {
            notes.insert(format!("{name}: {why}"));
        }
    }
    let name = given.text("FunctionName")?.map_or(unnamed, str::to_owned);
    let variables = match given.nested("Environment")? {
        None => None,
        Some(mut environment) => {
            let variables = environment.texts("Variables")?;
            environment.finish()?;
            Some(Environment { variables })
        }
    };
    let logging = match given.nested("LoggingConfig")? {
        None => None,
        Some(mut logging) => {
            let config = LoggingConfig {
                log_format: logging.text("LogFormat")?.map(str::to_owned),
                log_group: logging.text("LogGroup")?.map(str::to_owned),
            };
            logging.finish()?;
            Some(config)
        }
    };
    let dead_letters = match given.nested("DeadLetterQueue")? {
        None => None,
        Some(mut queue) => {
            if queue.required("Type")? != "SQS" {
                return Err(queue.wrong(queue.line(), "Type", "SQS"));
            }
            let target_arn = Some(queue.required("TargetArn")?.to_owned());
            queue.finish()?;
            Some(DeadLetterConfig { target_arn })
        }
    };
    let architectures = match given.list("Architectures")? {
        None => None,
        Some(names) => {
            notes.insert("Architectures: functions run on this machine's processor".to_owned());
            Some(texts(given, "Architectures", names)?)
        }
    };
    let changes = FunctionChanges {
        runtime: Some(given.required("Runtime")?.to_owned()),
        handler: Some(given.required("Handler")?.to_owned()),
        description: given.text("Description")?.map(str::to_owned),
        timeout: given.parsed("Timeout", "a number of seconds")?,
        memory_size: given.parsed("MemorySize", "a number of MB")?,
        environment: variables,
        dead_letter_config: dead_letters,
        logging_config: logging,
        architectures,
        ..FunctionChanges::default()
    };
    let tags = given.texts("Tags")?;
    let reserved = given.parsed("ReservedConcurrentExecutions", "a number")?;
    let events = given
        .nested("EventInvokeConfig")?
        .map(event_config)
        .transpose()?;
    let routes = given
        .named("Events")?
        .into_iter()
        .map(|event| route(event, &name))
        .collect::<Result<_, _>>()?;
    Ok(Resource::Function(Box::new(Function {
        name,
        changes,
        tags,
        routes,
        events,
        reserved,
    })))
}

/// An event of the type `HttpApi`: the API's id and the route.
fn route(mut event: Properties<'_>, function: &str) -> Result<(String, Route), Problem> {
    if event.required("Type")? != "HttpApi" {
        return Err(event.wrong(
            event.line(),
            "Type",
            "HttpApi (queues are connected by an AWS::Lambda::EventSourceMapping)",
        ));
    }
    let line = event.line();
    let Some(mut properties) = event.nested("Properties")? else {
        return Err(event.wrong(line, "Properties", "given"));
    };
    let method = properties.required("Method")?.to_ascii_uppercase();
    let path = properties.required("Path")?.to_owned();
    if !path.starts_with('/') {
        return Err(properties.wrong(properties.line(), "Path", "a path that begins with `/`"));
    }
    let api = properties.required("ApiId")?.to_owned();
    properties.finish()?;
    event.finish()?;
    let function = function.to_owned();
    Ok((
        api,
        Route {
            method,
            path,
            function,
        },
    ))
}

fn event_config(mut given: Properties<'_>) -> Result<EventConfigChanges, Problem> {
    let destinations = match given.nested("DestinationConfig")? {
        None => None,
        Some(mut config) => {
            let on_failure = config.nested("OnFailure")?.map(destination).transpose()?;
            let on_success = config.nested("OnSuccess")?.map(destination).transpose()?;
            config.finish()?;
            Some(DestinationConfig {
                on_failure,
                on_success,
            })
        }
    };
    let changes = EventConfigChanges {
        maximum_retry_attempts: given.parsed("MaximumRetryAttempts", "a number")?,
        maximum_event_age_in_seconds: given
            .parsed("MaximumEventAgeInSeconds", "a number of seconds")?,
        destination_config: destinations,
    };
    given.finish()?;
    Ok(changes)
}

fn destination(mut given: Properties<'_>) -> Result<Destination, Problem> {
    let line = given.line();
    if !matches!(given.required("Type")?, "SQS" | "Lambda") {
        return Err(given.wrong(line, "Type", "SQS or Lambda"));
    }
    let destination = Some(given.required("Destination")?.to_owned());
    given.finish()?;
    Ok(Destination { destination })
}

fn table(
    given: &mut Properties<'_>,
    unnamed: String,
    notes: &mut BTreeSet<String>,
) -> Result<Resource, Problem> {
    for (name, why) in [
        (
            "SSESpecification",
            "tables live in memory and are not encrypted",
        ),
        ("PointInTimeRecoverySpecification", "nothing is backed up"),
    ] {
        if given.ignored(name) {
            notes.insert(format!("{name}: {why}"));
        }
    }
    let name = given.text("TableName")?.map_or(unnamed, str::to_owned);
    let mut request = Map::from_iter([("TableName".to_owned(), json!(name))]);
    for property in [
        "AttributeDefinitions",
        "KeySchema",
        "GlobalSecondaryIndexes",
        "LocalSecondaryIndexes",
        "Tags",
    ] {
        if let Some(items) = given.list(property)? {
            let items: Value = items.iter().map(property::json).collect();
            request.insert(property.to_owned(), items);
        }
    }
    if let Some(mode) = given.text("BillingMode")? {
        request.insert("BillingMode".to_owned(), json!(mode));
    }
    if let Some(mut throughput) = given.nested("ProvisionedThroughput")? {
        let read: Option<u64> = throughput.parsed("ReadCapacityUnits", "a number")?;
        let write: Option<u64> = throughput.parsed("WriteCapacityUnits", "a number")?;
        throughput.finish()?;
        let units = json!({"ReadCapacityUnits": read, "WriteCapacityUnits": write});
        request.insert("ProvisionedThroughput".to_owned(), units);
    }
    let time_to_live = match given.nested("TimeToLiveSpecification")? {
        None => None,
        Some(mut specification) => {
            let attribute = specification.required("AttributeName")?;
            let enabled: Option<bool> = specification.parsed("Enabled", "true or false")?;
            specification.finish()?;
            (enabled == Some(true)).then(|| json!({"AttributeName": attribute, "Enabled": true}))
        }
    };
    Ok(Resource::Table(Table {
        name,
        request: Value::Object(request),
        time_to_live,
    }))
}

fn queue(
    given: &mut Properties<'_>,
    unnamed: String,
    notes: &mut BTreeSet<String>,
) -> Result<Resource, Problem> {
    if given.ignored("SqsManagedSseEnabled") {
        notes
            .insert("SqsManagedSseEnabled: queues live in memory and are not encrypted".to_owned());
    }
    let mut attributes = BTreeMap::new();
    for name in [
        "DelaySeconds",
        "MaximumMessageSize",
        "MessageRetentionPeriod",
        "ReceiveMessageWaitTimeSeconds",
        "VisibilityTimeout",
    ] {
        if let Some(value) = given.parsed::<u64>(name, "a number")? {
            attributes.insert(name.to_owned(), value.to_string());
        }
    }
    // SQS takes `FifoQueue` only when it is true.
    let fifo = given.parsed::<bool>("FifoQueue", "true or false")? == Some(true);
    if fifo {
        attributes.insert("FifoQueue".to_owned(), "true".to_owned());
    }
    if let Some(flag) = given.parsed::<bool>("ContentBasedDeduplication", "true or false")? {
        attributes.insert("ContentBasedDeduplication".to_owned(), flag.to_string());
    }
    if let Some(mut policy) = given.nested("RedrivePolicy")? {
        let target = policy.required("deadLetterTargetArn")?.to_owned();
        let count: Option<u32> = policy.parsed("maxReceiveCount", "a number")?;
        policy.finish()?;
        let policy = json!({"deadLetterTargetArn": target, "maxReceiveCount": count});
        attributes.insert("RedrivePolicy".to_owned(), policy.to_string());
    }
    let name = given.text("QueueName")?.map_or_else(
        || {
            if fifo {
                format!("{unnamed}.fifo")
            } else {
                unnamed
            }
        },
        str::to_owned,
    );
    let tags = match given.list("Tags")? {
        None => BTreeMap::new(),
        Some(given) => given
            .iter()
            .map(|node| {
                let mut tag = Properties::of(format!("a tag of {name}"), node)?;
                let pair = (
                    tag.required("Key")?.to_owned(),
                    tag.required("Value")?.to_owned(),
                );
                tag.finish()?;
                Ok(pair)
            })
            .collect::<Result<_, Problem>>()?,
    };
    Ok(Resource::Queue(Queue {
        name,
        attributes,
        tags,
    }))
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

    use super::*;
    use crate::deploy::template;

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
