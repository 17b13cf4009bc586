//! Deploys a SAM template: creates its resources in the services of the emulator, in the order of their references.
//!
//! Templates are for AWS; what they ask for and cannot have here is an error that names it, and what makes no difference here is a
//! note. Nothing is passed over in silence.

mod error;
#[cfg(test)]
mod invariants;
mod place;
mod property;
mod resolve;
mod resource;
mod template;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};

use crate::account;
use crate::dynamodb::Dynamo;
use crate::error::AwsError;
use crate::http_api::{self, HttpApis, Route, Throttle};
use crate::lambda::Lambda;
use crate::sqs::Sqs;
pub use error::DeployError;
use error::Problem;
use resource::Resource;
use template::Declared;

/// Where resources are created.
pub struct Services {
    /// Queues.
    pub sqs: Sqs,
    /// Functions and event source mappings.
    pub lambda: Lambda,
    /// Tables.
    pub dynamo: Dynamo,
    /// HTTP APIs.
    pub http_apis: HttpApis,
}

/// What became of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stack {
    /// What the template asks for and makes no difference here, one line each.
    pub notes: Vec<String>,
    /// The outputs' values.
    pub outputs: BTreeMap<String, String>,
}

/// An API's throttle, and the routes that functions have added to it.
#[derive(Default)]
struct Api {
    throttle: Option<Throttle>,
    routes: Vec<Route>,
}

/// Deploys `template` as `stack`. What is there already, from an earlier run, keeps its messages and items and gets the template's
/// settings. Stops at the first problem; what was created until then stays.
pub async fn deploy(
    stack: &str,
    template: &str,
    services: &Services,
) -> Result<Stack, DeployError> {
    let at = |problem: Problem| DeployError::Template {
        stack: stack.to_owned(),
        line: problem.line,
        problem: problem.text,
    };
    let template = template::read(stack, template).map_err(at)?;
    let mut scope = template.scope;
    let mut notes = BTreeSet::new();
    let mut api: Option<Api> = None;
    for declared in &template.resources {
        let properties = scope.resolve(&declared.properties).map_err(at)?;
        let resource = resource::read(stack, declared, &properties, &mut notes).map_err(at)?;
        let id = &declared.id;
        match resource {
            Resource::HttpApi(throttle) => {
                if api.is_some() {
                    return Err(at(second_api(declared)));
                }
                api = Some(Api {
                    throttle,
                    routes: Vec::new(),
                });
                scope.set(id, http_api::id_of(stack));
            }
            Resource::Function(function) => {
                for (api_id, route) in &function.routes {
                    match &mut api {
                        Some(api) if *api_id == http_api::id_of(stack) => {
                            api.routes.push(route.clone());
                        }
                        _ => return Err(at(no_api(declared, api_id))),
                    }
                }
                scope.set(id, function.name.as_str());
                scope.set(&format!("{id}.Arn"), account::function_arn(&function.name));
                place::function(*function, &services.lambda)
                    .map_err(|source| refused(stack, declared, source))?;
            }
            Resource::Table(table) => {
                scope.set(id, table.name.as_str());
                scope.set(&format!("{id}.Arn"), account::table_arn(&table.name));
                place::table(table, &services.dynamo)
                    .await
                    .map_err(|source| refused(stack, declared, source))?;
            }
            Resource::Queue(queue) => {
                let url = services
                    .sqs
                    .declare_queue(&queue.name, &queue.attributes, queue.tags)
                    .map_err(|source| refused(stack, declared, source))?;
                scope.set(&format!("{id}.QueueUrl"), url.as_str());
                scope.set(id, url);
                scope.set(&format!("{id}.Arn"), account::queue_arn(&queue.name));
                scope.set(&format!("{id}.QueueName"), queue.name);
            }
            Resource::Mapping(changes) => {
                let uuid = services
                    .lambda
                    .declare_mapping(changes)
                    .map_err(|source| refused(stack, declared, source))?;
                scope.set(id, uuid);
            }
            Resource::Unenforced(unenforced) => {
                for (attribute, value) in unenforced.attributes {
                    scope.set(&format!("{id}.{attribute}"), value);
                }
                scope.set(id, unenforced.name);
            }
        }
    }
    if let Some(api) = api {
        services.http_apis.create(stack, api.routes, api.throttle);
    }
    let mut outputs = BTreeMap::new();
    for (name, value) in &template.outputs {
        if let yaml::Value::Text(text) = scope.resolve(value).map_err(at)?.value {
            outputs.insert(name.clone(), text);
        }
    }
    Ok(Stack {
        notes: notes.into_iter().collect(),
        outputs,
    })
}

fn refused(stack: &str, declared: &Declared, source: AwsError) -> DeployError {
    DeployError::Refused {
        stack: stack.to_owned(),
        line: declared.line,
        resource: declared.id.clone(),
        source,
    }
}

fn second_api(declared: &Declared) -> Problem {
    let text = format!(
        "{} is the template's second AWS::Serverless::HttpApi; a stack has one address here",
        declared.id
    );
    Problem::new(declared.line, text)
}

fn no_api(declared: &Declared, api_id: &str) -> Problem {
    let text = format!(
        "an event of {} names the API {api_id}, which is no AWS::Serverless::HttpApi of this template",
        declared.id
    );
    Problem::new(declared.line, text)
}
