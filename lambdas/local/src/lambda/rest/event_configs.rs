//! `PutFunctionEventInvokeConfig` and its relatives (AWS Lambda API reference).

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{Answer, Call, ok};
use crate::error::AwsError;
use crate::lambda::Lambda;
use crate::lambda::error::not_found;
use crate::lambda::event_config::{Changes, EventConfig};

impl Lambda {
    pub(super) fn event_config(&self, method: &str, name: &str, call: &Call<'_>) -> Answer {
        match method {
            "PUT" => ok(self.set_event_config(name, call.json()?, false)?),
            "POST" => ok(self.set_event_config(name, call.json()?, true)?),
            "DELETE" => {
                let removed = self.state().function_mut(name)?.event_config.take();
                removed.ok_or_else(|| missing(name))?;
                Ok((StatusCode::NO_CONTENT, None))
            }
            _ => {
                let state = self.state();
                let config = state.function(name)?.event_config.as_ref();
                ok(config.ok_or_else(|| missing(name))?.view(name))
            }
        }
    }

    pub(super) fn list_event_configs(&self, name: &str) -> Answer {
        let state = self.state();
        let configs: Vec<Value> = state
            .function(name)?
            .event_config
            .iter()
            .map(|config| config.view(name))
            .collect();
        ok(json!({"FunctionEventInvokeConfigs": configs}))
    }

    /// Update keeps what the request does not name; Put does not.
    fn set_event_config(
        &self,
        name: &str,
        changes: Changes,
        keep: bool,
    ) -> Result<Value, AwsError> {
        let now = self.seconds();
        let mut state = self.state();
        let function = state.function_mut(name)?;
        let before = match (&function.event_config, keep) {
            (Some(config), true) => config.clone(),
            (None, true) => return Err(missing(name)),
            (_, false) => EventConfig::default(),
        };
        let config = before.change(changes, now)?;
        let view = config.view(name);
        function.event_config = Some(config);
        Ok(view)
    }
}

fn missing(name: &str) -> AwsError {
    not_found(&format!(
        "The function {}:$LATEST doesn't have an EventInvokeConfig",
        crate::account::function_arn(name)
    ))
}
