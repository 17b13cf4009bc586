//! Resources that a template needs on AWS and that make no difference here: they are accepted, and a note says so.

use std::collections::BTreeSet;

use crate::account::{ACCOUNT_ID, REGION};
use crate::deploy::yaml::{Node, Value};

/// What references to such a resource stand for.
pub struct Unenforced {
    /// `Ref`.
    pub name: String,
    /// `GetAtt` and its attribute.
    pub attributes: Vec<(&'static str, String)>,
}

/// Type, the property that names it, the ARN up to that name, and why nothing is created.
const TYPES: [(&str, &str, &str, &str); 10] = [
    (
        "AWS::CloudWatch::Alarm",
        "AlarmName",
        "cloudwatch:REGION:ACCOUNT:alarm:",
        "nobody watches alarms",
    ),
    (
        "AWS::CloudWatch::CompositeAlarm",
        "AlarmName",
        "cloudwatch:REGION:ACCOUNT:alarm:",
        "nobody watches alarms",
    ),
    (
        "AWS::IAM::Role",
        "RoleName",
        "iam::ACCOUNT:role/",
        "nobody checks permissions",
    ),
    (
        "AWS::IAM::Policy",
        "PolicyName",
        "iam::ACCOUNT:policy/",
        "nobody checks permissions",
    ),
    (
        "AWS::IAM::ManagedPolicy",
        "ManagedPolicyName",
        "iam::ACCOUNT:policy/",
        "nobody checks permissions",
    ),
    (
        "AWS::Lambda::Permission",
        "Id",
        "lambda:REGION:ACCOUNT:permission:",
        "nobody checks permissions",
    ),
    (
        "AWS::SQS::QueuePolicy",
        "Id",
        "sqs:REGION:ACCOUNT:policy:",
        "nobody checks permissions",
    ),
    (
        "AWS::Logs::LogGroup",
        "LogGroupName",
        "logs:REGION:ACCOUNT:log-group:",
        "a log group begins with its first line and is kept as long as the emulator runs",
    ),
    (
        "AWS::SNS::Topic",
        "TopicName",
        "sns:REGION:ACCOUNT:",
        "topics tell nobody",
    ),
    (
        "AWS::SNS::Subscription",
        "SubscriptionName",
        "sns:REGION:ACCOUNT:subscription:",
        "topics tell nobody",
    ),
];

/// A resource of a type that is accepted and not created; `None` for all other types. `unnamed` is its name if the template gives none.
pub fn read(
    kind: &str,
    unnamed: &str,
    properties: &Node,
    notes: &mut BTreeSet<String>,
) -> Option<Unenforced> {
    let (_, property, arn, why) = TYPES.iter().find(|(known, ..)| *known == kind)?;
    notes.insert(format!("{kind}: {why}"));
    let name = match properties.get(property).map(|node| &node.value) {
        Some(Value::Text(name)) => name,
        _ => unnamed,
    };
    let arn = arn.replace("REGION", REGION).replace("ACCOUNT", ACCOUNT_ID);
    let arn = format!("arn:aws:{arn}{name}");
    Some(match kind {
        // The only ones whose `Ref` is their ARN ("CloudFormation template reference", return values).
        "AWS::SNS::Topic" => Unenforced {
            attributes: vec![("TopicArn", arn.clone()), ("TopicName", name.to_owned())],
            name: arn,
        },
        "AWS::SNS::Subscription" | "AWS::IAM::ManagedPolicy" => Unenforced {
            attributes: Vec::new(),
            name: arn,
        },
        _ => Unenforced {
            attributes: vec![("Arn", arn)],
            name: name.to_owned(),
        },
    })
}

/// The types, for messages.
pub fn offered() -> String {
    TYPES.map(|(kind, ..)| kind).join(", ")
}
