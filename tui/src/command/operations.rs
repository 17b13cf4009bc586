//! `operations`: what runs and ran in the daemon, and how to stop it.

use patterns_core::operation::Operation;
use patterns_core::problem::{Problem, exit};
use patterns_core::protocol::{Reply, Request};
use serde_json::json;

use super::{burst, redrive, unexpected, wait};
use crate::cli::{OperationCommand, Operations};
use crate::client::Client;
use crate::print;

pub async fn run(client: &Client, args: Operations, json: bool) -> Result<u8, Problem> {
    let Some(command) = args.command else {
        let operations = client.snapshot().await?.operations;
        print::answer(&json!({ "operations": operations }), json, || {
            table(&operations)
        })?;
        return Ok(exit::OK);
    };
    let operation = match command {
        OperationCommand::Show { id } => ask(client, Request::Operation { id }).await?,
        OperationCommand::Pause { id } => ask(client, Request::Pause { id }).await?,
        OperationCommand::Resume { id } => ask(client, Request::Resume { id }).await?,
        OperationCommand::Cancel { id } => {
            let operation = ask(client, Request::Cancel { id }).await?;
            // Batches under way take seconds at most, and what they came to belongs to the answer.
            wait::until_ended(client, operation.id()).await?
        }
    };
    match &operation {
        Operation::Redrive(redrive) => print::answer(redrive, json, || redrive::facts(redrive))?,
        Operation::Burst(burst) => print::answer(burst, json, || burst::facts(burst))?,
    }
    Ok(exit::OK)
}

async fn ask(client: &Client, request: Request) -> Result<Operation, Problem> {
    match client.send(request).await? {
        Reply::Operation(operation) => Ok(operation),
        _ => Err(unexpected()),
    }
}

/// Operations, one a line.
pub fn table(operations: &[Operation]) -> String {
    let rows: Vec<_> = operations.iter().map(row).collect();
    print::table(["operation", "state", "what", "done>", "failed>"], &rows)
}

fn row(operation: &Operation) -> [String; 5] {
    let (what, done, failed) = match operation {
        Operation::Redrive(redrive) => (
            format!(
                "redrive {} to {}",
                redrive.dead_letter_queue, redrive.target
            ),
            format!("{}/{}", redrive.deleted, redrive.planned),
            redrive.failed,
        ),
        Operation::Burst(burst) => (
            format!("burst on {}", burst.pattern),
            format!("{}/{}", burst.sent, burst.count),
            burst.failed,
        ),
    };
    [
        operation.id().to_owned(),
        operation.state().word().to_owned(),
        what,
        done,
        failed.to_string(),
    ]
}
