//! `CreateEventSourceMapping` and its relatives (AWS Lambda API reference).

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{Answer, Call, ok, page};
use crate::error::AwsError;
use crate::lambda::error::{conflict, invalid_parameter, not_found};
use crate::lambda::mapping::{Changes, Mapping, Settings, check_visibility};
use crate::lambda::{Lambda, name};

/// `ListEventSourceMappings` answers so many at once unless asked for fewer (AWS Lambda API reference).
const LIST_PAGE: usize = 100;

impl Lambda {
    /// Connects a queue with a function.
    fn map(&self, changes: Changes) -> Result<Value, AwsError> {
        let settings = Settings::create(changes, self.seconds())?;
        self.check(&settings)?;
        let uuid = uuid::Uuid::new_v4().to_string();
        let mut state = self.state();
        let same = |mapping: &Mapping| mapping.connects(&settings.queue_arn, &settings.function);
        if let Some((existing, _)) = state.mappings.iter().find(|(_, mapping)| same(mapping)) {
            return Err(conflict(format!(
                "An event source mapping with SQS arn (\" {} \") and function (\" {} \") already exists. Please update or delete \
                 the existing mapping with UUID {existing}",
                settings.queue_arn, settings.function
            )));
        }
        let mapping = Mapping::new(settings);
        if mapping.settings.enabled {
            self.poll(&uuid, &mapping);
        }
        let view = mapping.view(&uuid, "Creating");
        state.mappings.insert(uuid, mapping);
        Ok(view)
    }

    pub(super) fn create_mapping(&self, call: &Call<'_>) -> Answer {
        let view = self.map(call.json()?)?;
        Ok((StatusCode::ACCEPTED, Some(view)))
    }

    pub(super) fn list_mappings(&self, call: &Call<'_>) -> Answer {
        let queue = call.query("EventSourceArn");
        let function = call.query("FunctionName").map(name::parse).transpose()?;
        let state = self.state();
        let views = state
            .mappings
            .iter()
            .filter(|(_, mapping)| {
                let settings = &mapping.settings;
                queue.is_none_or(|queue| settings.queue_arn == queue)
                    && function
                        .as_ref()
                        .is_none_or(|name| settings.function == *name)
            })
            .map(|(uuid, mapping)| {
                let view = mapping.view(uuid, mapping.settings.state());
                (uuid.clone(), view)
            });
        let (mappings, marker) = page(views, call, LIST_PAGE)?;
        ok(json!({"EventSourceMappings": mappings, "NextMarker": marker}))
    }

    pub(super) fn get_mapping(&self, uuid: &str) -> Answer {
        let state = self.state();
        let mapping = state.mappings.get(uuid).ok_or_else(missing)?;
        ok(mapping.view(uuid, mapping.settings.state()))
    }

    pub(super) fn update_mapping(&self, uuid: &str, call: &Call<'_>) -> Answer {
        let changes: Changes = call.json()?;
        let before = {
            let state = self.state();
            state
                .mappings
                .get(uuid)
                .ok_or_else(missing)?
                .settings
                .clone()
        };
        let settings = before.change(changes, self.seconds())?;
        self.check(&settings)?;
        let mut state = self.state();
        let mapping = state.mappings.get_mut(uuid).ok_or_else(missing)?;
        mapping.change(settings);
        if mapping.settings.enabled {
            self.poll(uuid, mapping);
        }
        Ok((StatusCode::ACCEPTED, Some(mapping.view(uuid, "Updating"))))
    }

    pub(super) fn delete_mapping(&self, uuid: &str) -> Answer {
        let mapping = self.state().mappings.remove(uuid).ok_or_else(missing)?;
        mapping.stop.cancel();
        Ok((StatusCode::ACCEPTED, Some(mapping.view(uuid, "Deleting"))))
    }

    /// Queue and function must exist and fit each other.
    pub(in crate::lambda) fn check(&self, settings: &Settings) -> Result<(), AwsError> {
        let timeout = {
            let state = self.state();
            state.function(&settings.function)?.configuration.timeout
        };
        let attributes = self
            .inner
            .parts
            .sqs
            .attributes(&settings.queue_arn)
            .map_err(|error| {
                let code = error.query_code.unwrap_or(error.code);
                invalid_parameter(format!(
                    "Error occurred while ReceiveMessage. SQS Error Code: {code}. SQS Error Message: {}",
                    error.message
                ))
            })?;
        let visibility = attributes
            .get("VisibilityTimeout")
            .and_then(|seconds| seconds.parse().ok())
            .map_or(Duration::ZERO, Duration::from_secs);
        check_visibility(visibility, timeout)
    }
}

fn missing() -> AwsError {
    not_found("The resource you requested does not exist.")
}
