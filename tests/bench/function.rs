//! The function that is invoked: a native program on the Lambda Runtime API that answers what it got.

use std::path::Path;

use anyhow::{Result, anyhow};
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::{Value, json};

/// Whether a Lambda host started this program.
pub fn is_asked_for() -> bool {
    std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some()
}

/// Answers events until the host ends it.
pub fn run() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime
        .block_on(lambda_runtime::run(service_fn(echo)))
        .map_err(|error| anyhow!(error))
}

async fn echo(event: LambdaEvent<Value>) -> Result<Value, lambda_runtime::Error> {
    Ok(json!({ "echo": event.payload }))
}

/// The `bootstrap` of a zip that runs this very program.
pub fn bootstrap(program: &Path) -> String {
    format!("#!/bin/sh\nexec '{}'\n", program.display())
}
