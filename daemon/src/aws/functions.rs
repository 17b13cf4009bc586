//! Lambda: which functions there are, where their failures go, and the one variable that is changed.

use std::collections::HashMap;

use aws_sdk_lambda::operation::get_function::GetFunctionOutput;
use aws_sdk_lambda::operation::get_function_event_invoke_config::GetFunctionEventInvokeConfigOutput;
use aws_sdk_lambda::types::{Concurrency, Environment, FunctionConfiguration, InvocationType};
use patterns_core::function::{FAIL_RATE_VARIABLE, PATTERN_TAG};
use patterns_core::problem::{Problem, ProblemKind};

use super::{Aws, has_code, problem};
use crate::topology::{FunctionFacts, name_of};

/// A function's environment and the revision it belongs to.
#[derive(Clone, Debug)]
pub struct FunctionEnvironment {
    /// Value of the tag that marks it as ours.
    pub pattern: Option<String>,
    /// All variables.
    pub variables: HashMap<String, String>,
    /// Lambda refuses a change that names another revision than the newest.
    pub revision_id: Option<String>,
}

/// What a function may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Its timeout in seconds.
    pub timeout_seconds: Option<u64>,
    /// Its reserved concurrency.
    pub reserved: Option<u64>,
    /// Changes with its code and its configuration. (Lambda API Reference, `FunctionConfiguration`: `RevisionId`.)
    pub revision: Option<String>,
}

/// The most bytes of an asynchronous invocation. (Lambda Developer Guide, "Lambda quotas".)
pub const INVOKED_MAX: u64 = 1_048_576;

/// A function, with id and state of the event source mapping that lets it consume a queue, and how many messages it gets at
/// most in a batch.
pub type Mapped = (String, Option<(String, String)>, u64);

impl Aws {
    /// The functions that consume a queue.
    pub async fn mappings_of(&self, queue_arn: &str) -> Result<Vec<Mapped>, Problem> {
        let answer = self
            .lambda
            .list_event_source_mappings()
            .event_source_arn(queue_arn)
            .send()
            .await;
        let output = answer.map_err(|error| {
            let what = format!(
                "cannot list the event source mappings of {}",
                name_of(queue_arn)
            );
            problem(what, "lambda:ListEventSourceMappings", &error)
        })?;
        let mappings = output.event_source_mappings().iter();
        Ok(mappings
            .filter_map(|mapping| {
                let state = mapping.state().unwrap_or_default().to_owned();
                let id = mapping.uuid().unwrap_or_default().to_owned();
                Some((
                    function_name(mapping.function_arn()?).to_owned(),
                    Some((id, state)),
                    // Ten unless it is told otherwise. (Lambda API Reference, `CreateEventSourceMapping`.)
                    u64::try_from(mapping.batch_size().unwrap_or(10)).ok()?,
                ))
            })
            .collect())
    }

    /// What a function may do.
    pub async fn limits(&self, function: &str) -> Result<Limits, Problem> {
        let output = self.read_function(function).await?;
        let positive = |number: i32| u64::try_from(number).ok();
        Ok(Limits {
            timeout_seconds: output
                .configuration()
                .and_then(FunctionConfiguration::timeout)
                .and_then(positive),
            reserved: output
                .concurrency()
                .and_then(Concurrency::reserved_concurrent_executions)
                .and_then(positive),
            revision: output
                .configuration()
                .and_then(FunctionConfiguration::revision_id)
                .map(str::to_owned),
        })
    }

    /// Whether the credentials may invoke a function, without invoking it. (Lambda API Reference, `Invoke`: `DryRun`.)
    pub async fn may_invoke(&self, function: &str) -> Result<(), Problem> {
        let answer = self
            .lambda
            .invoke()
            .function_name(function)
            .invocation_type(InvocationType::DryRun)
            .send()
            .await;
        answer.map(drop).map_err(|error| {
            let what = format!("the function {function} cannot be invoked");
            problem(what, "lambda:InvokeFunction", &error)
        })
    }

    /// All functions of the account in this region, as far as the list tells: without tags and destinations.
    pub async fn listed_functions(&self) -> Result<Vec<FunctionFacts>, Problem> {
        let mut functions = Vec::new();
        let mut pages = self.lambda.list_functions().into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| {
                problem("cannot list the functions", "lambda:ListFunctions", &error)
            })?;
            functions.extend(page.functions().iter().filter_map(facts));
        }
        Ok(functions)
    }

    /// What a function is and where its failures go, and what could not be read of it: that stays as the list or, better,
    /// an earlier reading tells. `None` when it is gone.
    pub async fn function(
        &self,
        listed: FunctionFacts,
        known: Option<FunctionFacts>,
    ) -> (Option<FunctionFacts>, Vec<Problem>) {
        let name = listed.name.clone();
        let mut problems = Vec::new();
        let answer = self.lambda.get_function().function_name(&name).send().await;
        let mut function = match answer {
            Ok(output) => {
                let mut read = output.configuration().and_then(facts).unwrap_or(listed);
                read.pattern = output
                    .tags()
                    .and_then(|tags| tags.get(PATTERN_TAG))
                    .cloned();
                // Environments may hold secrets: only our own are looked into, and only for this variable.
                read.delivery_fail_rate = read.pattern.as_ref().and_then(|_| {
                    output
                        .configuration()?
                        .environment()?
                        .variables()?
                        .get(FAIL_RATE_VARIABLE)
                        .cloned()
                });
                read
            }
            Err(error) if has_code(&error, "ResourceNotFoundException") => return (None, problems),
            Err(error) => {
                let what = format!("cannot read the function {name}");
                problems.push(problem(what, "lambda:GetFunction", &error));
                let known = known.as_ref();
                FunctionFacts {
                    pattern: known.and_then(|known| known.pattern.clone()),
                    delivery_fail_rate: known.and_then(|known| known.delivery_fail_rate.clone()),
                    ..listed
                }
            }
        };
        function.on_failure = match self.on_failure(&name).await {
            Ok(on_failure) => on_failure,
            Err(problem) => {
                problems.push(problem);
                known.and_then(|known| known.on_failure)
            }
        };
        (Some(function), problems)
    }

    /// How often an asynchronous invocation of a function is tried again; none when nothing is said about it.
    pub async fn retries(&self, function: &str) -> Result<Option<u32>, Problem> {
        let config = self.invoke_config(function).await?;
        let retries = config.and_then(|config| config.maximum_retry_attempts());
        Ok(retries.and_then(|retries| u32::try_from(retries).ok()))
    }

    async fn on_failure(&self, function: &str) -> Result<Option<String>, Problem> {
        let config = self.invoke_config(function).await?;
        Ok(config.and_then(|config| {
            let on_failure = config.destination_config()?.on_failure()?;
            on_failure.destination().map(str::to_owned)
        }))
    }

    async fn invoke_config(
        &self,
        function: &str,
    ) -> Result<Option<GetFunctionEventInvokeConfigOutput>, Problem> {
        let answer = self
            .lambda
            .get_function_event_invoke_config()
            .function_name(function)
            .send()
            .await;
        match answer {
            Ok(output) => Ok(Some(output)),
            // Most functions have none.
            Err(error) if has_code(&error, "ResourceNotFoundException") => Ok(None),
            Err(error) => Err(problem(
                format!("cannot read the destinations of the function {function}"),
                "lambda:GetFunctionEventInvokeConfig",
                &error,
            )),
        }
    }

    /// Which functions consume which queue: (event source ARN, function name).
    pub async fn consumers(&self) -> Result<Vec<(String, String)>, Problem> {
        let mut consumers = Vec::new();
        let mut pages = self
            .lambda
            .list_event_source_mappings()
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| {
                let what = "cannot list the event source mappings";
                problem(what, "lambda:ListEventSourceMappings", &error)
            })?;
            for mapping in page.event_source_mappings() {
                if let (Some(source), Some(function)) =
                    (mapping.event_source_arn(), mapping.function_arn())
                {
                    consumers.push((source.to_owned(), function_name(function).to_owned()));
                }
            }
        }
        Ok(consumers)
    }

    /// A function's environment as it is now.
    pub async fn environment(&self, function: &str) -> Result<FunctionEnvironment, Problem> {
        let output = self.read_function(function).await?;
        let configuration = output.configuration();
        Ok(FunctionEnvironment {
            pattern: output
                .tags()
                .and_then(|tags| tags.get(PATTERN_TAG))
                .cloned(),
            variables: configuration
                .and_then(|configuration| configuration.environment()?.variables().cloned())
                .unwrap_or_default(),
            revision_id: configuration
                .and_then(|configuration| configuration.revision_id())
                .map(str::to_owned),
        })
    }

    async fn read_function(&self, function: &str) -> Result<GetFunctionOutput, Problem> {
        let answer = self
            .lambda
            .get_function()
            .function_name(function)
            .send()
            .await;
        answer.map_err(|error| {
            let what = format!("cannot read the function {function}");
            let mut problem = problem(what, "lambda:GetFunction", &error);
            if has_code(&error, "ResourceNotFoundException") {
                problem.kind = ProblemKind::NotFound;
            }
            problem
        })
    }

    /// Replaces a function's environment, if nobody changed the function since it was read.
    pub async fn set_environment(
        &self,
        function: &str,
        environment: FunctionEnvironment,
    ) -> Result<(), Problem> {
        let answer = self
            .lambda
            .update_function_configuration()
            .function_name(function)
            .environment(
                Environment::builder()
                    .set_variables(Some(environment.variables))
                    .build(),
            )
            .set_revision_id(environment.revision_id)
            .send()
            .await;
        match answer {
            Ok(_) => Ok(()),
            // 412: another revision. 409: an update of it is still under way.
            // (Lambda API Reference, `UpdateFunctionConfiguration`.)
            Err(error)
                if has_code(&error, "PreconditionFailedException")
                    || has_code(&error, "ResourceConflictException") =>
            {
                Err(Problem::new(
                    ProblemKind::Conflict,
                    format!("the function {function} was not changed"),
                    "it was changed meanwhile by someone else, or that change is still under way",
                    "try again",
                ))
            }
            Err(error) => Err(problem(
                format!("cannot change the function {function}"),
                "lambda:UpdateFunctionConfiguration",
                &error,
            )),
        }
    }
}

/// What a function's configuration tells of it.
fn facts(configuration: &FunctionConfiguration) -> Option<FunctionFacts> {
    let name = configuration.function_name()?;
    Some(FunctionFacts {
        name: name.to_owned(),
        arn: configuration.function_arn().unwrap_or_default().to_owned(),
        pattern: None,
        delivery_fail_rate: None,
        on_failure: None,
        dead_letter: configuration
            .dead_letter_config()
            .and_then(|config| config.target_arn())
            .map(str::to_owned),
        log_group: configuration
            .logging_config()
            .and_then(|logging| logging.log_group())
            .map_or_else(|| format!("/aws/lambda/{name}"), str::to_owned),
    })
}

/// The name in a function's ARN, `arn:aws:lambda:<region>:<account>:function:<name>[:<qualifier>]`.
pub fn function_name(arn: &str) -> &str {
    arn.split(':').nth(6).unwrap_or_else(|| name_of(arn))
}

/// The version or alias in a function's ARN, unless it is the newest code, which needs no name.
pub fn qualifier(arn: &str) -> Option<&str> {
    arn.split(':')
        .nth(7)
        .filter(|&qualifier| qualifier != "$LATEST")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_stands_before_the_qualifier() {
        let arn = "arn:aws:lambda:eu-west-1:123456789012:function:notify";
        assert_eq!(function_name(arn), "notify");
        assert_eq!(function_name(&format!("{arn}:$LATEST")), "notify");
        assert_eq!(function_name("notify"), "notify");
        assert_eq!(qualifier(arn), None);
        assert_eq!(qualifier(&format!("{arn}:$LATEST")), None);
        assert_eq!(qualifier(&format!("{arn}:live")), Some("live"));
    }
}
