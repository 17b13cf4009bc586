//! `operations`: what runs and ran in the daemon, and how to stop it.

use patterns_core::audit::Outcome;
use patterns_core::operation::{Operation, OperationState, Plan};
use patterns_core::problem::{Problem, exit};
use patterns_core::protocol::{Reply, Request};
use serde_json::json;

use super::{
    agreed, burst, declined, redrive, require_short, require_yes_or_terminal, unexpected, wait,
};
use crate::cli::{OperationCommand, Operations};
use crate::client::Client;
use crate::{print, verdict};

/// What is wrong with the command line itself.
pub fn check(args: &Operations) -> Result<(), Problem> {
    match &args.command {
        Some(OperationCommand::Return { reason, yes, .. }) => {
            require_short(reason.as_deref())?;
            require_yes_or_terminal(*yes)
        }
        _ => Ok(()),
    }
}

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
        OperationCommand::Return {
            id,
            reason,
            force,
            yes,
        } => {
            let plan = redrive::plan(client, Request::TakeBack { id }).await?;
            if !yes && !agreed(&redrive::statement(&plan))? {
                return Err(declined());
            }
            return take_back(client, &plan, reason, force, json).await;
        }
        OperationCommand::Outcomes { id } => return outcomes(client, id, json).await,
    };
    match &operation {
        Operation::Redrive(redrive) => print::answer(redrive, json, || redrive::facts(redrive))?,
        Operation::Burst(burst) => print::answer(burst, json, || burst::facts(burst))?,
    }
    Ok(exit::OK)
}

/// Starts, and waits: it takes seconds, and what it came to is the answer.
async fn take_back(
    client: &Client,
    plan: &Plan,
    reason: Option<String>,
    force: bool,
    json: bool,
) -> Result<u8, Problem> {
    let started = redrive::start(client, plan, reason, force).await?;
    let ended = wait::until_still(client, &started.operation_id).await?;
    let Operation::Redrive(ended) = &ended else {
        return Err(unexpected());
    };
    print::answer(&redrive::Answer::new(ended, plan), json, || {
        redrive::facts(ended)
    })?;
    let clean = ended.state == OperationState::Completed && verdict::clean(ended);
    Ok(if clean { exit::OK } else { exit::FAILED })
}

async fn outcomes(client: &Client, id: String, json: bool) -> Result<u8, Problem> {
    let mut outcomes: Vec<Outcome> = Vec::new();
    loop {
        let request = Request::Outcomes {
            id: id.clone(),
            after: outcomes.last().map(|outcome| outcome.message_id.clone()),
        };
        let Reply::Outcomes(page) = client.send(request).await? else {
            return Err(unexpected());
        };
        if page.is_empty() {
            break;
        }
        outcomes.extend(page);
    }
    let document = json!({ "operation_id": id, "outcomes": outcomes });
    print::answer(&document, json, || outcome_table(&outcomes))?;
    Ok(exit::OK)
}

fn outcome_table(outcomes: &[Outcome]) -> String {
    let rows: Vec<_> = outcomes
        .iter()
        .map(|outcome| {
            [
                outcome.id.clone(),
                verdict::state(outcome),
                outcome.message_id.clone(),
                outcome.new_id.clone().unwrap_or_default(),
                outcome.returned_as.clone().unwrap_or_default(),
                outcome.reason.clone().unwrap_or_default(),
            ]
        })
        .collect();
    let headings = [
        "event",
        "state",
        "message id",
        "new id",
        "returned as",
        "reason",
    ];
    print::table(headings, &rows)
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
    let headings = [
        "operation",
        "state",
        "what",
        "done>",
        "failed>",
        "returned>",
    ];
    print::table(headings, &rows)
}

fn row(operation: &Operation) -> [String; 6] {
    let (what, done, failed, returned) = match operation {
        Operation::Redrive(redrive) => (
            format!(
                "redrive {} to {}",
                redrive.dead_letter_queue, redrive.target
            ),
            format!("{}/{}", verdict::through(redrive), redrive.planned),
            redrive.failed,
            redrive.returned,
        ),
        Operation::Burst(burst) => (
            format!("burst on {}", burst.pattern),
            format!("{}/{}", burst.sent, burst.count),
            burst.failed,
            0,
        ),
    };
    [
        operation.id().to_owned(),
        operation.state().word().to_owned(),
        what,
        done,
        failed.to_string(),
        returned.to_string(),
    ]
}
