//! What every template in `lambdas/templates/` must hold, beyond what `cfn-lint` can check: each is found here by itself.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Map, Value, json};

use super::template;
use super::yaml::{Node, Value as Yaml};

/// 14 days: the most that SQS keeps a message.
const LONGEST: u64 = 1_209_600;

/// SQS keeps a message for 4 days unless told otherwise.
const DEFAULT_RETENTION: u64 = 345_600;

struct Template {
    file: String,
    resources: BTreeMap<String, (String, Value)>,
    outputs: BTreeSet<String>,
}

impl Template {
    fn of_type<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = (&'a str, &'a Value)> {
        self.resources
            .iter()
            .filter(move |(_, (is, _))| is == kind)
            .map(|(id, (_, properties))| (id.as_str(), properties))
    }

    fn functions(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.of_type("AWS::Serverless::Function")
    }

    fn queues(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.of_type("AWS::SQS::Queue")
    }

    fn mappings(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.of_type("AWS::Lambda::EventSourceMapping")
    }

    fn of(&self, id: &str) -> &Value {
        &self.resources[id].1
    }

    /// The dead-letter queue of a queue.
    fn dead_letters(&self, queue: &str) -> Option<&str> {
        target(&self.of(queue)["RedrivePolicy"]["deadLetterTargetArn"])
    }

    /// Queues that hold what failed: of queues and of functions.
    fn failures(&self) -> BTreeSet<&str> {
        self.queues()
            .filter_map(|(id, _)| self.dead_letters(id))
            .chain(self.functions().filter_map(|(_, given)| on_failure(given)))
            .collect()
    }

    /// Whether an alarm goes to a topic.
    fn tells_somebody(&self, alarm: &Value) -> bool {
        let topic = target(&alarm["AlarmActions"][0]);
        topic.is_some_and(|id| self.resources[id].0 == "AWS::SNS::Topic")
    }

    /// Tables, queues and functions that a function's variables name.
    fn named_by<'a>(&'a self, function: &'a Value) -> BTreeSet<&'a str> {
        let variables = function["Environment"]["Variables"].as_object();
        let values = variables.into_iter().flatten().map(|(_, value)| value);
        values
            .flat_map(|value| match value["!Sub"].as_str() {
                Some(text) => text
                    .split("${")
                    .filter_map(|part| Some(part.split_once('}')?.0))
                    .collect(),
                None => target(value).into_iter().collect::<Vec<_>>(),
            })
            .filter(|id| self.resources.contains_key(*id))
            .collect()
    }

    fn has_alarm(&self, metric: &str, of: &str) -> bool {
        self.of_type("AWS::CloudWatch::Alarm").any(|(_, alarm)| {
            let dimensions = alarm["Dimensions"].as_array();
            alarm["MetricName"] == metric
                && number(&alarm["Threshold"]) == Some(0)
                && alarm["ComparisonOperator"] == "GreaterThanThreshold"
                && dimensions
                    .into_iter()
                    .flatten()
                    .any(|dimension| target(&dimension["Value"]) == Some(of))
                && self.tells_somebody(alarm)
        })
    }
}

fn templates() -> Vec<Template> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../templates");
    let mut templates: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let file = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            let read = template::read(&file, &text)
                .unwrap_or_else(|problem| panic!("{file}: {}", problem.text));
            let resources = read.resources.into_iter().map(|declared| {
                let properties = plain(&declared.properties);
                (declared.id, (declared.kind, properties))
            });
            Template {
                resources: resources.collect(),
                outputs: read.outputs.into_iter().map(|(name, _)| name).collect(),
                file,
            }
        })
        .collect();
    templates.sort_by(|a, b| a.file.cmp(&b.file));
    assert!(templates.len() >= 2, "the templates are found");
    templates
}

/// Calls become `{"!GetAtt": …}`; a scalar is text.
fn plain(node: &Node) -> Value {
    match &node.value {
        Yaml::Null => Value::Null,
        Yaml::Text(text) => json!(text),
        Yaml::List(items) => items.iter().map(plain).collect(),
        Yaml::Map(entries) => entries
            .iter()
            .map(|entry| (entry.key.clone(), plain(&entry.value)))
            .collect::<Map<_, _>>()
            .into(),
        Yaml::Call(name, argument) => json!({format!("!{name}"): plain(argument)}),
    }
}

/// The resource that a `!Ref` or `!GetAtt` is about.
fn target(value: &Value) -> Option<&str> {
    let name = value
        .get("!Ref")
        .or_else(|| value.get("!GetAtt"))?
        .as_str()?;
    Some(name.split('.').next().unwrap_or(name))
}

fn number(value: &Value) -> Option<u64> {
    value.as_str()?.parse().ok()
}

fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
        other => other.as_str().into_iter().collect(),
    }
}

fn retention(queue: &Value) -> u64 {
    number(&queue["MessageRetentionPeriod"]).unwrap_or(DEFAULT_RETENTION)
}

fn on_failure(function: &Value) -> Option<&str> {
    target(&function["EventInvokeConfig"]["DestinationConfig"]["OnFailure"]["Destination"])
}

/// Actions and resource of each statement of a function's own policies.
fn statements(function: &Value) -> Vec<(Vec<&str>, &Value)> {
    let policies = function["Policies"].as_array().into_iter().flatten();
    policies
        .flat_map(|policy| policy["Statement"].as_array().into_iter().flatten())
        .map(|statement| (texts(&statement["Action"]), &statement["Resource"]))
        .collect()
}

fn resources(of: &Value) -> &[Value] {
    match of {
        Value::Array(resources) => resources,
        one => std::slice::from_ref(one),
    }
}

fn has_schedule(function: &Value) -> bool {
    let events = function["Events"].as_object().into_iter().flatten();
    events
        .filter_map(|(_, event)| event["Type"].as_str())
        .any(|kind| kind.starts_with("Schedule"))
}

/// SAM's own kind of source for a queue passes `cfn-lint` with wrong values, and what is asserted below does not see it.
#[test]
fn queues_are_read_by_mappings_and_functions_have_no_other_events() {
    for template in templates() {
        for (id, function) in template.functions() {
            for (event, given) in function["Events"].as_object().into_iter().flatten() {
                let kind = given["Type"].as_str().unwrap();
                let known = matches!(kind, "HttpApi" | "ScheduleV2");
                assert!(known, "{}: {id}: {event} is of type {kind}", template.file);
            }
        }
    }
}

#[test]
fn d6_no_filter_discards_events() {
    for template in templates() {
        for (id, mapping) in template.mappings() {
            assert_eq!(
                mapping["FilterCriteria"],
                Value::Null,
                "{}: {id}",
                template.file
            );
        }
    }
}

#[test]
fn d7_consumers_are_capped_and_report_single_failures() {
    for template in templates() {
        for (id, mapping) in template.mappings() {
            let at = format!("{}: {id}", template.file);
            let function = template.of(target(&mapping["FunctionName"]).unwrap());
            let cap = number(&mapping["ScalingConfig"]["MaximumConcurrency"]);
            assert!(
                cap.is_some_and(|cap| cap >= 2),
                "{at} has no cap of 2 or more"
            );
            if let Some(reserved) = number(&function["ReservedConcurrentExecutions"]) {
                assert!(
                    cap <= Some(reserved),
                    "{at} may start more than is reserved"
                );
            }
            let reported = texts(&mapping["FunctionResponseTypes"]);
            assert_eq!(reported, ["ReportBatchItemFailures"], "{at}");
        }
    }
}

/// AWS Lambda developer guide, "Configuring a queue to use with Lambda": 6 times the function's timeout, and the batching window.
#[test]
fn d8_a_message_stays_hidden_while_it_is_worked_on_and_lasts_longer_as_a_dead_letter() {
    for template in templates() {
        for (id, mapping) in template.mappings() {
            let at = format!("{}: {id}", template.file);
            let queue_id = target(&mapping["EventSourceArn"]).unwrap();
            let queue = template.of(queue_id);
            let function = template.of(target(&mapping["FunctionName"]).unwrap());
            let timeout = number(&function["Timeout"]).unwrap();
            let window = number(&mapping["MaximumBatchingWindowInSeconds"]).unwrap_or(0);
            let visibility = number(&queue["VisibilityTimeout"]).unwrap_or(30);
            assert!(visibility >= 6 * timeout + window, "{at}: {visibility} s");
            assert!(
                template.dead_letters(queue_id).is_some(),
                "{at} has no dead-letter queue"
            );
        }
        let failures = template.failures();
        for (id, queue) in template.queues() {
            let at = format!("{}: {id}", template.file);
            if let Some(dead) = template.dead_letters(id) {
                assert!(retention(template.of(dead)) > retention(queue), "{at}");
            } else {
                assert!(failures.contains(id), "{at} has no dead-letter queue");
                assert_eq!(retention(queue), LONGEST, "{at}");
            }
        }
    }
}

#[test]
fn d14_no_statement_allows_everything() {
    for template in templates() {
        for (id, function) in template.functions() {
            let at = format!("{}: {id}", template.file);
            assert_eq!(function["Role"], Value::Null, "{at}: a role of others");
            // A managed policy or a policy template is wider than what is written here.
            for policy in function["Policies"].as_array().unwrap() {
                let statements = policy["Statement"].as_array();
                let statements = statements.unwrap_or_else(|| panic!("{at}: {policy}"));
                for statement in statements {
                    assert_eq!(statement["Effect"], "Allow", "{at}");
                    assert!(statement.get("NotAction").is_none(), "{at}");
                    assert!(statement.get("NotResource").is_none(), "{at}");
                }
            }
            for (actions, resource) in statements(function) {
                let at = format!("{}: {id}: {actions:?}", template.file);
                if actions.iter().all(|action| action.starts_with("xray:")) {
                    continue;
                }
                assert!(!actions.is_empty(), "{at}");
                assert!(!actions.iter().any(|action| action.contains('*')), "{at}");
                for resource in resources(resource) {
                    let named = target(resource).is_some() || resource.get("!Sub").is_some();
                    assert!(named, "{at} names no resource: {resource}");
                    let text = resource["!Sub"].as_str().unwrap_or_default();
                    assert!(!text.contains('*'), "{at}: {resource}");
                }
            }
        }
    }
}

#[test]
fn a_function_may_use_what_its_variables_name_and_read_the_queue_that_feeds_it() {
    for template in templates() {
        for (id, function) in template.functions() {
            let at = format!("{}: {id}", template.file);
            let may = |prefix: &str, on: &str| {
                statements(function).iter().any(|(actions, resource)| {
                    actions.iter().any(|action| action.starts_with(prefix))
                        && resources(resource)
                            .iter()
                            .any(|one| target(one) == Some(on))
                })
            };
            for named in template.named_by(function) {
                let prefix = match template.resources[named].0.as_str() {
                    "AWS::DynamoDB::Table" => "dynamodb:",
                    "AWS::SQS::Queue" => "sqs:",
                    "AWS::Serverless::Function" => "lambda:InvokeFunction",
                    other => panic!("{at}: {named} is a {other}"),
                };
                assert!(may(prefix, named), "{at} may not use {named}");
            }
            let feeding = template
                .mappings()
                .filter(|(_, mapping)| target(&mapping["FunctionName"]) == Some(id));
            for (_, mapping) in feeding {
                let queue = target(&mapping["EventSourceArn"]).unwrap();
                for action in [
                    "sqs:ReceiveMessage",
                    "sqs:DeleteMessage",
                    "sqs:GetQueueAttributes",
                    "sqs:ChangeMessageVisibility",
                ] {
                    assert!(may(action, queue), "{at}: no {action} on {queue}");
                }
            }
        }
    }
}

#[test]
fn every_api_answers_preflights_and_every_function_allows_the_same_origin() {
    for template in templates() {
        for (id, api) in template.of_type("AWS::Serverless::HttpApi") {
            let at = format!("{}: {id}", template.file);
            let cors = &api["CorsConfiguration"];
            assert_eq!(
                cors["AllowOrigins"],
                json!([{"!Ref": "CorsAllowOrigin"}]),
                "{at}"
            );
            for headers in ["AllowHeaders", "ExposeHeaders"] {
                let headers = texts(&cors[headers]);
                assert!(headers.contains(&"x-correlation-id"), "{at}: {headers:?}");
            }
        }
        for (id, function) in template.functions() {
            let origin = &function["Environment"]["Variables"]["CORS_ALLOW_ORIGIN"];
            let at = format!("{}: {id}", template.file);
            assert_eq!(*origin, json!({"!Ref": "CorsAllowOrigin"}), "{at}");
        }
    }
}

#[test]
fn what_fails_asynchronously_is_kept() {
    for template in templates() {
        let handed_to: BTreeSet<_> = template
            .functions()
            .map(|(_, function)| &function["Environment"]["Variables"])
            .filter_map(|variables| match variables["NOTIFIER"].as_str()? {
                "lambda" => target(&variables["SEND_NOTIFICATION_FUNCTION_NAME"]),
                "controller" => target(&variables["CONTROLLER_FUNCTION_NAME"]),
                _ => None,
            })
            .collect();
        for (id, function) in template.functions() {
            let at = format!("{}: {id}", template.file);
            let asynchronous = function.get("EventInvokeConfig").is_some()
                || has_schedule(function)
                || handed_to.contains(id);
            if !asynchronous {
                continue;
            }
            let queue = on_failure(function).unwrap_or_else(|| panic!("{at} loses what fails"));
            let may_send = statements(function).iter().any(|(actions, resource)| {
                actions.contains(&"sqs:SendMessage") && target(resource) == Some(queue)
            });
            assert!(may_send, "{at} may not send to {queue}");
            assert!(
                template.has_alarm("DestinationDeliveryFailures", id),
                "{at} has no alarm on DestinationDeliveryFailures"
            );
        }
        for queue in template.failures() {
            assert!(
                template.has_alarm("ApproximateNumberOfMessagesVisible", queue),
                "{}: {queue} has no alarm on its depth",
                template.file
            );
        }
    }
}

#[test]
fn every_function_is_traced_and_logs_json_for_a_limited_time() {
    for template in templates() {
        for (id, function) in template.functions() {
            let at = format!("{}: {id}", template.file);
            assert_eq!(function["Tracing"], "Active", "{at}");
            let logging = &function["LoggingConfig"];
            assert_eq!(logging["LogFormat"], "JSON", "{at}");
            let group =
                target(&logging["LogGroup"]).unwrap_or_else(|| panic!("{at}: no log group"));
            let retention = &template.of(group)["RetentionInDays"];
            assert!(!retention.is_null(), "{at}: its log is kept for ever");
        }
    }
}

#[test]
fn every_function_has_a_program_and_every_api_an_address() {
    for template in templates() {
        for (id, function) in template.functions() {
            let at = format!("{}: {id}", template.file);
            let handler = function["Handler"].as_str().unwrap();
            assert!(
                patterns_lambdas::FUNCTIONS.contains(&handler),
                "{at}: {handler}"
            );
            let zip = format!("../../target/lambda/{handler}/bootstrap.zip");
            assert_eq!(function["CodeUri"], zip.as_str(), "{at}");
        }
        let has_api = template
            .of_type("AWS::Serverless::HttpApi")
            .next()
            .is_some();
        assert_eq!(
            template.outputs.contains("ApiUrl"),
            has_api,
            "{}",
            template.file
        );
    }
}
