//! `AWS::Serverless::Function` (AWS SAM developer guide), with the HTTP routes and the settings for events that belong to it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Resource, mapping, schedule, texts};
use crate::deploy::error::Problem;
use crate::deploy::property::Properties;
use crate::http_api::Route;
use crate::lambda::configure::{DeadLetterConfig, Environment, LoggingConfig};
use crate::lambda::event_config::{Destination, DestinationConfig};
use crate::lambda::{EventConfigChanges, FunctionChanges, MappingChanges, Schedule};

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
    /// The queues that feed it.
    pub mappings: Vec<MappingChanges>,
    /// When it is invoked by the clock.
    pub schedules: Vec<Schedule>,
    /// Its asynchronous invocations.
    pub events: Option<EventConfigChanges>,
    /// Its own concurrency.
    pub reserved: Option<u32>,
}

/// Reads a function's properties.
pub fn read(
    given: &mut Properties<'_>,
    unnamed: String,
    notes: &mut BTreeSet<String>,
) -> Result<Resource, Problem> {
    let embedded = "functions of a template are started by their Handler, from the programs that come with the emulator";
    let ignored = [
        ("CodeUri", embedded),
        ("Policies", "nobody checks permissions"),
        ("Role", "nobody checks permissions"),
        ("PermissionsBoundary", "nobody checks permissions"),
        ("KmsKeyArn", "environment variables are not encrypted"),
        ("EphemeralStorage", "functions share this machine's /tmp"),
        ("Tracing", "nothing is traced"),
    ];
    given.ignored(&ignored, notes);
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
            let unfiltered = "all that a function writes is kept";
            let ignored = [
                ("ApplicationLogLevel", unfiltered),
                ("SystemLogLevel", unfiltered),
            ];
            logging.ignored(&ignored, notes);
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
    let mut routes = Vec::new();
    let mut mappings = Vec::new();
    let mut schedules = Vec::new();
    for mut event in given.named("Events")? {
        let (line, kind) = (event.line(), event.required("Type")?);
        let properties = event.nested("Properties")?;
        let properties = properties.ok_or_else(|| event.wrong(line, "Properties", "given"));
        match kind {
            "HttpApi" => routes.push(route(properties?, &name, notes)?),
            "SQS" => mappings.push(mapping::of_event(properties?, &name)?),
            "Schedule" | "ScheduleV2" => {
                schedules.extend(schedule::read(properties?, kind, notes)?);
            }
            _ => return Err(event.wrong(line, "Type", "HttpApi, SQS, Schedule or ScheduleV2")),
        }
        event.finish()?;
    }
    Ok(Resource::Function(Box::new(Function {
        name,
        changes,
        tags,
        routes,
        mappings,
        schedules,
        events,
        reserved,
    })))
}

/// What an event of the type `HttpApi` says: the API's id and the route.
fn route(
    mut given: Properties<'_>,
    function: &str,
    notes: &mut BTreeSet<String>,
) -> Result<(String, Route), Problem> {
    let ignored = [("TimeoutInMillis", "a function has 30 s to answer")];
    given.ignored(&ignored, notes);
    let line = given.line();
    if given
        .text("PayloadFormatVersion")?
        .is_some_and(|version| version != "2.0")
    {
        return Err(given.wrong(line, "PayloadFormatVersion", "2.0"));
    }
    let method = given.required("Method")?.to_ascii_uppercase();
    let path = given.required("Path")?.to_owned();
    if !path.starts_with('/') {
        return Err(given.wrong(given.line(), "Path", "a path that begins with `/`"));
    }
    let api = given.required("ApiId")?.to_owned();
    given.finish()?;
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
