//! `ListTags`, `TagResource` and `UntagResource` (AWS Lambda API reference), for functions.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::{Answer, Call, ok};
use crate::lambda::error::invalid_parameter;
use crate::lambda::{Lambda, name};

/// A resource has at most so many tags (AWS Lambda developer guide, "Using tags on Lambda functions").
const MAX_TAGS: usize = 50;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TagResource {
    tags: BTreeMap<String, String>,
}

impl Lambda {
    pub(super) fn tags(&self, method: &str, arn: &str, call: &Call<'_>) -> Answer {
        let name = name::parse(arn)?;
        let mut state = self.state();
        let tags = &mut state.function_mut(&name)?.tags;
        match method {
            "POST" => {
                let request: TagResource = call.json()?;
                let mut next = tags.clone();
                next.extend(request.tags);
                if next.len() > MAX_TAGS {
                    return Err(invalid_parameter(format!(
                        "{arn} would have {} tags; at most {MAX_TAGS} are allowed",
                        next.len()
                    )));
                }
                *tags = next;
                Ok((StatusCode::NO_CONTENT, None))
            }
            "DELETE" => {
                for (key, value) in &call.query {
                    if key == "tagKeys" {
                        tags.remove(value);
                    }
                }
                Ok((StatusCode::NO_CONTENT, None))
            }
            _ => ok(json!({"Tags": tags})),
        }
    }
}
