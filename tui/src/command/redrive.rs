//! `redrive`: plan, ask, start, and wait when told to.

use patterns_core::failed::Filter;
use patterns_core::operation::{Level, Manner, Operation, Outlook, Plan, Redrive, Selection};
use patterns_core::problem::{Problem, exit};
use patterns_core::protocol::{Reply, Request};

use serde::Serialize;

use super::{agreed, declined, require_yes_or_terminal, unexpected, wait};
use crate::cli;
use crate::client::Client;
use crate::layer::expected;
use crate::{figure, print};

/// What is wrong with the command line itself.
pub fn check(args: &cli::Redrive) -> Result<(), Problem> {
    require_yes_or_terminal(args.yes || args.dry_run)
}

pub async fn run(client: &Client, args: cli::Redrive, json: bool) -> Result<u8, Problem> {
    let filter = Filter::from(args.which);
    let selection = if !args.ids.is_empty() {
        Selection::Chosen(args.ids)
    } else if filter.is_empty() {
        Selection::Everything
    } else {
        Selection::Matching(filter)
    };
    let request = Request::Plan {
        dead_letter_queue: args.dead_letter_queue,
        selection,
        to: args.to,
        manner: Manner {
            rate: args.manner.rate,
            careful: args.manner.careful,
            ..Manner::default()
        },
        edit: None,
    };
    let Reply::Plan(plan) = client.send(request).await? else {
        return Err(unexpected());
    };
    if args.dry_run {
        let redrive = Redrive::planned(&plan);
        print::answer(&Answer::new(&redrive, &plan), json, || statement(&plan))?;
        return Ok(exit::OK);
    }
    if !args.yes && !agreed(&statement(&plan))? {
        return Err(declined());
    }
    let Reply::Operation(mut operation) = client
        .send(Request::Start {
            plan_id: plan.plan_id.clone(),
            reason: None,
            force: args.force,
        })
        .await?
    else {
        return Err(unexpected());
    };
    if args.wait {
        operation = wait::until_ended(client, operation.id()).await?;
    }
    let Operation::Redrive(redrive) = &operation else {
        return Err(unexpected());
    };
    print::answer(&Answer::new(redrive, &plan), json, || facts(redrive))?;
    Ok(if args.wait {
        wait::exit_code(&operation)
    } else {
        exit::OK
    })
}

/// A redrive with what was expected of it.
#[derive(Serialize)]
struct Answer<'a> {
    #[serde(flatten)]
    redrive: &'a Redrive,
    #[serde(flatten)]
    outlook: &'a Outlook,
}

impl<'a> Answer<'a> {
    fn new(redrive: &'a Redrive, plan: &'a Plan) -> Self {
        Self {
            redrive,
            outlook: &plan.outlook,
        }
    }
}

/// What would happen, in the words that the dashboard's question uses.
fn statement(plan: &Plan) -> String {
    let which = match &plan.selection {
        Selection::Everything => "everything in the queue".to_owned(),
        Selection::Chosen(ids) => ids.join(" "),
        Selection::Matching(filter) => format!("those {filter}"),
    };
    let title = format!("Redrive {}\n", figure::count(plan.planned, "event"));
    let facts = print::facts(&[
        ("  events", which),
        ("  from", format!("queue {}", plan.dead_letter_queue)),
        ("  to", figure::target(plan)),
        ("  pace", figure::manner(&plan.manner)),
        ("  account", plan.account_id.clone()),
        ("  region", plan.region.clone()),
        ("  takes", expected(&plan.outlook)),
    ]);
    let lint = plan.outlook.lint.iter().map(|lint| {
        let level = match lint.level {
            Level::Stop => "STOP",
            Level::Warning => "WARNING",
            Level::Note => "NOTE",
        };
        let fix = if lint.fix.is_empty() {
            String::new()
        } else {
            format!("    → {}\n", lint.fix)
        };
        format!("  {level}: {}: {}\n{fix}", lint.what, lint.why)
    });
    title + &facts + &lint.collect::<String>()
}

/// How a redrive stands.
pub fn facts(redrive: &Redrive) -> String {
    let mut facts = vec![
        ("operation", redrive.operation_id.clone()),
        ("state", redrive.state.word().to_owned()),
        ("from", format!("queue {}", redrive.dead_letter_queue)),
        ("to", redrive.target.to_string()),
        ("planned", redrive.planned.to_string()),
        ("sent", redrive.sent.to_string()),
        ("deleted", redrive.deleted.to_string()),
        ("failed", redrive.failed.to_string()),
        ("skipped", redrive.skipped.to_string()),
        ("in doubt", redrive.in_doubt_count.to_string()),
    ];
    if let Some(error) = &redrive.error {
        facts.push(("error", error.clone()));
    }
    print::facts(&facts)
}
