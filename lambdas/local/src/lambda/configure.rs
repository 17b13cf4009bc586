//! From the requests of `CreateFunction` and `UpdateFunctionConfiguration` to a checked [`Configuration`]
//! (limits: AWS Lambda API reference, `CreateFunction`).

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::code::Code;
use super::error::invalid_parameter;
use super::function::Configuration;
use crate::error::AwsError;

/// What both requests have in common. A field that is not named keeps its value, or gets its default at creation.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Changes {
    /// See [`Configuration`], as all that follow.
    pub runtime: Option<String>,
    pub role: Option<String>,
    pub handler: Option<String>,
    pub description: Option<String>,
    /// Seconds, 1 to 900.
    pub timeout: Option<u64>,
    /// MB, 128 to 10 240.
    pub memory_size: Option<u32>,
    pub environment: Option<Environment>,
    pub dead_letter_config: Option<DeadLetterConfig>,
    pub logging_config: Option<LoggingConfig>,
    pub tracing_config: Option<TracingConfig>,
    pub architectures: Option<Vec<String>>,
    /// The revision the caller has seen.
    pub revision_id: Option<String>,
    // Refused when given: they would change what the function does, and are not offered here.
    pub layers: Option<Vec<Value>>,
    pub file_system_configs: Option<Vec<Value>>,
    pub image_config: Option<Value>,
    pub package_type: Option<String>,
}

/// `Environment`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Environment {
    /// The whole set: what is not named is removed.
    pub variables: BTreeMap<String, String>,
}

/// `DeadLetterConfig`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DeadLetterConfig {
    /// Empty removes it.
    pub target_arn: Option<String>,
}

/// `LoggingConfig`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct LoggingConfig {
    /// `Text` or `JSON`.
    pub log_format: Option<String>,
    /// Name of the log group.
    pub log_group: Option<String>,
}

/// `TracingConfig`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TracingConfig {
    /// `Active` or `PassThrough`.
    pub mode: Option<String>,
}

/// Variables that Lambda sets itself (AWS Lambda developer guide, "Defined runtime environment variables").
const RESERVED: [&str; 17] = [
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_LAMBDA_RUNTIME_API",
    "LAMBDA_TASK_ROOT",
    "LAMBDA_RUNTIME_DIR",
];

/// All variables of a function together, in bytes (AWS Lambda developer guide, "Lambda quotas").
const MAX_VARIABLES_BYTES: usize = 4096;

/// The configuration of a new function.
pub fn create(
    name: String,
    code: Code,
    changes: Changes,
    now: String,
) -> Result<Configuration, AwsError> {
    if changes.runtime.is_none() {
        return Err(invalid_parameter(
            "Runtime and Handler are mandatory parameters for functions created with deployment packages.",
        ));
    }
    let blank = Configuration {
        log_group: format!("/aws/lambda/{name}"),
        name,
        runtime: String::new(),
        role: String::new(),
        handler: String::new(),
        description: String::new(),
        timeout: Duration::from_secs(3),
        memory_mb: 128,
        variables: BTreeMap::new(),
        dead_letter_target: None,
        log_format: "Text".to_owned(),
        architectures: vec!["x86_64".to_owned()],
        tracing_mode: "PassThrough".to_owned(),
        code,
        revision_id: String::new(),
        last_modified: String::new(),
    };
    change(&blank, changes, now)
}

/// `current` with `changes`, a new revision and `now` as the time of change.
pub fn change(
    current: &Configuration,
    changes: Changes,
    now: String,
) -> Result<Configuration, AwsError> {
    check_revision(current, changes.revision_id.as_deref())?;
    refuse_absent(&changes)?;
    let mut next = revised(current, now);
    if let Some(runtime) = changes.runtime {
        if !matches!(runtime.as_str(), "provided.al2" | "provided.al2023") {
            return Err(invalid_parameter(format!(
                "the runtime {runtime} is not offered here: provided.al2023 and provided.al2 run the `bootstrap` of a zip, whatever language it is written in"
            )));
        }
        next.runtime = runtime;
    }
    if let Some(role) = changes.role {
        next.role = role;
    }
    if let Some(handler) = changes.handler {
        next.handler = handler;
    }
    if let Some(description) = changes.description {
        next.description = description;
    }
    if let Some(seconds) = changes.timeout {
        within("Timeout", seconds, 1, 900)?;
        next.timeout = Duration::from_secs(seconds);
    }
    if let Some(memory) = changes.memory_size {
        within("MemorySize", u64::from(memory), 128, 10_240)?;
        next.memory_mb = memory;
    }
    if let Some(environment) = changes.environment {
        check_variables(&environment.variables)?;
        next.variables = environment.variables;
    }
    if let Some(config) = changes.dead_letter_config {
        next.dead_letter_target = config.target_arn.filter(|arn| !arn.is_empty());
        if let Some(arn) = &next.dead_letter_target {
            super::event_config::check_queue(arn)?;
        }
    }
    if let Some(logging) = changes.logging_config {
        match logging.log_format.as_deref() {
            None => {}
            Some(format @ ("Text" | "JSON")) => format.clone_into(&mut next.log_format),
            Some(other) => {
                return Err(invalid_parameter(format!(
                    "LogFormat is Text or JSON, not {other}"
                )));
            }
        }
        if let Some(group) = logging.log_group {
            next.log_group = group;
        }
    }
    if let Some(mode) = changes.tracing_config.and_then(|tracing| tracing.mode) {
        next.tracing_mode = mode;
    }
    if let Some(architectures) = changes.architectures {
        next.architectures = architectures;
    }
    Ok(next)
}

/// `current` with a new revision, changed `now`.
pub fn revised(current: &Configuration, now: String) -> Configuration {
    Configuration {
        revision_id: uuid::Uuid::new_v4().to_string(),
        last_modified: now,
        ..current.clone()
    }
}

/// Refuses a change by someone who has not seen the present revision.
pub fn check_revision(current: &Configuration, seen: Option<&str>) -> Result<(), AwsError> {
    match seen {
        Some(seen) if seen != current.revision_id => Err(AwsError::new(
            412,
            "PreconditionFailedException",
            "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id",
        )),
        _ => Ok(()),
    }
}

fn refuse_absent(changes: &Changes) -> Result<(), AwsError> {
    let given = |list: &Option<Vec<Value>>| list.as_ref().is_some_and(|list| !list.is_empty());
    let refused = if given(&changes.layers) {
        "Layers"
    } else if given(&changes.file_system_configs) {
        "FileSystemConfigs"
    } else if changes.image_config.is_some() || changes.package_type.as_deref() == Some("Image") {
        "PackageType Image"
    } else {
        return Ok(());
    };
    Err(invalid_parameter(format!(
        "{refused} is not offered here: a function is a zip with a `bootstrap`"
    )))
}

fn check_variables(variables: &BTreeMap<String, String>) -> Result<(), AwsError> {
    let reserved: Vec<&str> = variables
        .keys()
        .map(String::as_str)
        .filter(|name| RESERVED.contains(name))
        .collect();
    if !reserved.is_empty() {
        return Err(invalid_parameter(format!(
            "Lambda was unable to configure your environment variables because the environment variables you have provided contains \
             reserved keys that are currently not supported for modification. Reserved keys used in this request: {}",
            reserved.join(", ")
        )));
    }
    // A name with `=` or a NUL in either could not be given to a process.
    if let Some(name) = variables.iter().find_map(|(name, value)| {
        let sound = !name.is_empty()
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && !value.contains('\0');
        (!sound).then_some(name)
    }) {
        return Err(invalid_parameter(format!(
            "the environment variable {name:?} must have a name of letters, digits and underscores, and a value without NUL"
        )));
    }
    let bytes: usize = variables
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    if bytes > MAX_VARIABLES_BYTES {
        return Err(invalid_parameter(
            "Lambda was unable to configure your environment variables because the environment variables you have provided exceeded the 4KB limit.",
        ));
    }
    Ok(())
}

fn within(name: &str, value: u64, least: u64, most: u64) -> Result<(), AwsError> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(invalid_parameter(format!(
        "{name} is {value}; it must be between {least} and {most}"
    )))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    fn changes(value: Value) -> Changes {
        serde_json::from_value(value).unwrap()
    }

    fn example() -> Configuration {
        let runtime = changes(
            json!({"Runtime": "provided.al2023", "Environment": {"Variables": {"A": "1"}}}),
        );
        create(
            "orders".to_owned(),
            Code::Handler,
            runtime,
            "then".to_owned(),
        )
        .unwrap()
    }

    #[test]
    fn a_change_keeps_what_it_does_not_name_and_gets_a_new_revision() {
        let before = example();
        let after = change(&before, changes(json!({"Timeout": 7})), "now".to_owned()).unwrap();
        assert_eq!(after.timeout, Duration::from_secs(7));
        assert_eq!(after.variables, before.variables);
        assert_ne!(after.revision_id, before.revision_id);
        let cleared = json!({"Environment": {"Variables": {}}});
        let after = change(&before, changes(cleared), "now".to_owned()).unwrap();
        assert!(after.variables.is_empty());
    }

    #[test]
    fn a_stale_revision_is_refused() {
        let error = change(
            &example(),
            changes(json!({"RevisionId": "old"})),
            String::new(),
        )
        .unwrap_err();
        assert_eq!(
            (error.status, error.code),
            (412, "PreconditionFailedException")
        );
    }

    #[test]
    fn refuses_what_is_not_offered_or_out_of_bounds() {
        for (given, part) in [
            (json!({"Runtime": "python3.12"}), "python3.12"),
            (json!({"Timeout": 901}), "Timeout"),
            (json!({"MemorySize": 64}), "MemorySize"),
            (json!({"Layers": ["arn"]}), "Layers"),
            (
                json!({"Environment": {"Variables": {"AWS_REGION": "x"}}}),
                "AWS_REGION",
            ),
            (json!({"Environment": {"Variables": {"A=B": "x"}}}), "A=B"),
            (
                json!({"Environment": {"Variables": {"A": "x".repeat(5000)}}}),
                "4KB",
            ),
            (
                json!({"DeadLetterConfig": {"TargetArn": "arn:aws:sns:us-east-1:0:t"}}),
                "arn:aws:sns",
            ),
            (json!({"LoggingConfig": {"LogFormat": "XML"}}), "XML"),
        ] {
            let error = change(&example(), changes(given), String::new()).unwrap_err();
            assert_eq!(error.code, "InvalidParameterValueException");
            assert!(error.message.contains(part), "{error}");
        }
    }
}
