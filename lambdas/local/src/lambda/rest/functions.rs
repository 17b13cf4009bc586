//! `CreateFunction` and all that reads or changes a function.

use std::collections::BTreeMap;
use std::path::Path;

use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, Call, ok, page};
use crate::error::AwsError;
use crate::lambda::code::{self, Code};
use crate::lambda::configure::{self, Changes};
use crate::lambda::error::{conflict, function_not_found, invalid_parameter};
use crate::lambda::function::Function;
use crate::lambda::{Lambda, kept, name};

/// `ListFunctions` answers so many at once unless asked for fewer (AWS Lambda API reference).
const LIST_PAGE: usize = 50;

/// What functions reserve must leave so much of the account's concurrency (AWS Lambda developer guide, "Configuring reserved
/// concurrency"). An account that has no more than that, as it is usual here, may reserve all: on AWS it could reserve nothing.
const UNRESERVED_MINIMUM: u32 = 100;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Create {
    function_name: String,
    code: Location,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(flatten)]
    changes: Changes,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Location {
    zip_file: Option<String>,
    s3_bucket: Option<String>,
    s3_key: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UpdateCode {
    #[serde(flatten)]
    location: Location,
    revision_id: Option<String>,
    architectures: Option<Vec<String>>,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutConcurrency {
    reserved_concurrent_executions: u32,
}

impl Lambda {
    /// Creates a function and answers its configuration.
    fn create(
        &self,
        given: &str,
        code: Code,
        changes: Changes,
        tags: BTreeMap<String, String>,
    ) -> Result<Value, AwsError> {
        let name = name::parse(given)?;
        let configuration = configure::create(name.clone(), code, changes, self.timestamp())?;
        let view = configuration.view();
        let mut state = self.state();
        if state.functions.contains_key(&name) {
            return Err(conflict(format!("Function already exist: {name}")));
        }
        state
            .functions
            .insert(name, Function::new(configuration, tags));
        Ok(view)
    }

    /// Reserves concurrency for a function, of which 0 shuts it.
    pub(crate) fn reserve(&self, name: &str, concurrency: u32) -> Result<(), AwsError> {
        let total = self.inner.parts.concurrency;
        let mut state = self.state();
        let others: u32 = state
            .functions
            .iter()
            .filter(|(other, _)| *other != name)
            .filter_map(|(_, function)| function.reserved_concurrency)
            .sum();
        let function = state.function_mut(name)?;
        let kept = if total > UNRESERVED_MINIMUM {
            UNRESERVED_MINIMUM
        } else {
            0
        };
        if concurrency > 0 && others.saturating_add(concurrency) > total - kept {
            return Err(invalid_parameter(format!(
                "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum \
                 value of [{kept}]. (The account has {total}, of which other functions reserve {others}: start the emulator with a higher \
                 `--concurrency`.)"
            )));
        }
        function.reserved_concurrency = Some(concurrency);
        Ok(())
    }

    pub(super) async fn create_function(&self, call: Call<'_>) -> Answer {
        let request: Create = call.json()?;
        let code = self.load(request.code).await?;
        let view = self.create(&request.function_name, code, request.changes, request.tags)?;
        Ok((StatusCode::CREATED, Some(view)))
    }

    pub(super) fn list_functions(&self, call: &Call<'_>) -> Answer {
        let state = self.state();
        let views = state
            .functions
            .iter()
            .map(|(name, function)| (name.clone(), function.configuration.view()));
        let (functions, marker) = page(views, call, LIST_PAGE)?;
        ok(json!({"Functions": functions, "NextMarker": marker}))
    }

    pub(super) fn get_function(&self, name: &str) -> Answer {
        let state = self.state();
        let function = state.function(name)?;
        let mut document = json!({
            "Configuration": function.configuration.view(),
            "Code": {"RepositoryType": "S3", "Location": ""},
            "Tags": function.tags,
        });
        if let (Some(reserved), Some(fields)) =
            (function.reserved_concurrency, document.as_object_mut())
        {
            let concurrency = json!({"ReservedConcurrentExecutions": reserved});
            fields.insert("Concurrency".to_owned(), concurrency);
        }
        ok(document)
    }

    pub(super) fn get_configuration(&self, name: &str) -> Answer {
        ok(self.state().function(name)?.configuration.view())
    }

    pub(super) fn update_configuration(&self, name: &str, call: &Call<'_>) -> Answer {
        let changes: Changes = call.json()?;
        let now = self.timestamp();
        let mut state = self.state();
        let function = state.function_mut(name)?;
        let next = configure::change(&function.configuration, changes, now)?;
        let view = next.view();
        function.reconfigure(next);
        ok(view)
    }

    pub(super) async fn update_code(&self, name: &str, call: Call<'_>) -> Answer {
        let request: UpdateCode = call.json()?;
        self.state().function(name)?;
        let code = self.load(request.location).await?;
        let now = self.timestamp();
        let mut state = self.state();
        let function = state.function_mut(name)?;
        configure::check_revision(&function.configuration, request.revision_id.as_deref())?;
        let mut next = configure::revised(&function.configuration, now);
        next.code = code;
        if let Some(architectures) = request.architectures {
            next.architectures = architectures;
        }
        let view = next.view();
        if !request.dry_run {
            function.reconfigure(next);
        }
        ok(view)
    }

    /// Event source mappings stay, as on AWS (AWS Lambda API reference, `DeleteFunction`), but take no more messages.
    pub(super) fn delete_function(&self, name: &str) -> Answer {
        let now = self.seconds();
        let mut state = self.state();
        let removed = state.functions.remove(name);
        removed.ok_or_else(|| function_not_found(name))?;
        for mapping in state.mappings.values_mut() {
            if mapping.settings.function == name {
                mapping.orphan(now);
            }
        }
        Ok((StatusCode::NO_CONTENT, None))
    }

    pub(super) fn get_concurrency(&self, name: &str) -> Answer {
        let reserved = self.state().function(name)?.reserved_concurrency;
        ok(reserved.map_or_else(
            || json!({}),
            |reserved| json!({"ReservedConcurrentExecutions": reserved}),
        ))
    }

    pub(super) fn put_concurrency(&self, name: &str, call: &Call<'_>) -> Answer {
        let request: PutConcurrency = call.json()?;
        let concurrency = request.reserved_concurrent_executions;
        self.reserve(name, concurrency)?;
        ok(json!({"ReservedConcurrentExecutions": concurrency}))
    }

    pub(super) fn delete_concurrency(&self, name: &str) -> Answer {
        self.state().function_mut(name)?.reserved_concurrency = None;
        Ok((StatusCode::NO_CONTENT, None))
    }

    async fn load(&self, location: Location) -> Result<Code, AwsError> {
        match (
            location.zip_file,
            location.s3_bucket.as_deref(),
            location.s3_key,
        ) {
            (Some(encoded), _, _) => {
                let zip = STANDARD.decode(encoded).map_err(|error| {
                    invalid_parameter(format!("ZipFile is not base64: {error}"))
                })?;
                let parent = self.inner.parts.work_dir.clone();
                let zips = self.inner.parts.zips.clone();
                tokio::task::spawn_blocking(move || load_zip(&zip, &parent, zips.as_deref()))
                    .await
                    .map_err(|error| AwsError::new(500, "ServiceException", error.to_string()))?
            }
            (None, Some("hot-reload"), Some(path)) => code::at_path(&path),
            (None, Some(bucket), _) => Err(invalid_parameter(format!(
                "there is no S3 here, so no bucket {bucket}: send the zip as ZipFile, or name a path on this machine with \
                 S3Bucket=hot-reload and S3Key=<path>"
            ))),
            (None, None, _) => Err(invalid_parameter(
                "Please provide a source for function code: ZipFile, or S3Bucket=hot-reload and S3Key=<path>",
            )),
        }
    }
}

/// Unpacks a zip, and keeps it for a later run.
fn load_zip(zip: &[u8], parent: &Path, zips: Option<&Path>) -> Result<Code, AwsError> {
    let code = code::unpack(zip, parent)?;
    if let (Some(zips), Code::Zip { digest, .. }) = (zips, &code) {
        kept::keep_zip(zips, zip, digest).map_err(|error| {
            let text = format!("cannot keep the zip in {}: {error}", zips.display());
            AwsError::new(500, "ServiceException", text)
        })?;
    }
    Ok(code)
}
