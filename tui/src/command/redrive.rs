//! `redrive`: plan, ask, start, and wait when told to.

use patterns_core::failed::Filter;
use patterns_core::operation::{
    Edit, Edited, Level, Manner, Operation, OperationState, Outlook, Plan, Redrive, Selection,
};
use patterns_core::problem::{Problem, ProblemKind, exit};
use patterns_core::protocol::{Reply, Request};

use serde::Serialize;

use super::{agreed, change, declined, require_short, require_yes_or_terminal, unexpected, wait};
use crate::cli;
use crate::client::Client;
use crate::{diff, figure, print, statement, verdict};

/// What is wrong with the command line itself.
pub fn check(args: &cli::Redrive) -> Result<(), Problem> {
    require_short(args.reason.as_deref())?;
    // What is no number is none in JSON either, and without a rate a redrive goes as fast as it can.
    manner(&args.manner).check()?;
    let asks = !(args.yes || args.dry_run);
    if asks && change::on_stdin(&args.change) {
        return Err(Problem::new(
            ProblemKind::Usage,
            "will not change anything without being told to",
            "standard input holds the change, so no question can be answered there",
            "add --yes, or name a file",
        ));
    }
    require_yes_or_terminal(!asks)
}

fn manner(args: &cli::Manner) -> Manner {
    Manner {
        rate: args.rate,
        careful: args.careful,
        all_at_once: args.all_at_once,
        native: args.native,
    }
}

pub async fn run(
    client: &Client,
    args: cli::Redrive,
    edit: Option<Edit>,
    json: bool,
) -> Result<u8, Problem> {
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
        manner: manner(&args.manner),
        edit,
    };
    let plan = plan(client, request).await?;
    if args.dry_run {
        let redrive = Redrive::planned(&plan);
        print::answer(&Answer::new(&redrive, &plan), json, || statement(&plan))?;
        return Ok(exit::OK);
    }
    if !args.yes && !agreed(&statement(&plan))? {
        return Err(declined());
    }
    let mut redrive = start(client, &plan, args.reason, args.force).await?;
    if args.wait {
        redrive = match wait::until_judged(client, &redrive.operation_id).await? {
            Operation::Redrive(redrive) => redrive,
            Operation::Burst(_) => return Err(unexpected()),
        };
    }
    print::answer(&Answer::new(&redrive, &plan), json, || facts(&redrive))?;
    Ok(if args.wait {
        wait::exit_code(&Operation::Redrive(redrive))
    } else {
        exit::OK
    })
}

/// The plan that the daemon makes of `request`.
pub async fn plan(client: &Client, request: Request) -> Result<Box<Plan>, Problem> {
    match client.send(request).await? {
        Reply::Plan(plan) => Ok(plan),
        _ => Err(unexpected()),
    }
}

/// Starts what was planned.
pub async fn start(
    client: &Client,
    plan: &Plan,
    reason: Option<String>,
    force: bool,
) -> Result<Redrive, Problem> {
    let request = Request::Start {
        plan_id: plan.plan_id.clone(),
        reason,
        force,
    };
    match client.send(request).await? {
        Reply::Operation(Operation::Redrive(redrive)) => Ok(redrive),
        _ => Err(unexpected()),
    }
}

/// A redrive with what was expected of it and what it changes.
#[derive(Serialize)]
pub struct Answer<'a> {
    #[serde(flatten)]
    redrive: &'a Redrive,
    #[serde(flatten)]
    outlook: &'a Outlook,
    steps: &'a [u64],
    window_seconds: Option<u64>,
    edits: &'a [Edited],
}

impl<'a> Answer<'a> {
    pub fn new(redrive: &'a Redrive, plan: &'a Plan) -> Self {
        Self {
            redrive,
            outlook: &plan.outlook,
            steps: &plan.steps,
            window_seconds: plan.verification.window_seconds,
            edits: &plan.edits,
        }
    }
}

/// What would happen, in the words that the dashboard's question uses.
pub fn statement(plan: &Plan) -> String {
    let facts: Vec<(String, String)> = statement::facts(plan)
        .into_iter()
        .map(|(label, value)| (format!("  {}", label.to_lowercase()), value))
        .collect();
    let facts: Vec<(&str, String)> = facts
        .iter()
        .map(|(label, value)| (label.as_str(), value.clone()))
        .collect();
    let mut said = statement::title(plan) + "\n" + &print::facts(&facts);
    if let Some(note) = statement::note(plan) {
        said = said + "  " + note + "\n";
    }
    for lint in &plan.outlook.lint {
        let level = match lint.level {
            Level::Stop => "STOP",
            Level::Warning => "WARNING",
            Level::Note => "NOTE",
        };
        said = said + "  " + level + ": " + &lint.what + ": " + &lint.why + "\n";
        if !lint.fix.is_empty() {
            said = said + "    → " + &lint.fix + "\n";
        }
    }
    for edited in &plan.edits {
        for line in diff::lines(edited) {
            said = said + &line + "\n";
        }
    }
    said
}

/// How a redrive stands.
pub fn facts(redrive: &Redrive) -> String {
    let mut facts = vec![
        ("operation", redrive.operation_id.clone()),
        ("state", redrive.state.word().to_owned()),
        ("from", format!("queue {}", redrive.dead_letter_queue)),
        ("to", redrive.target.to_string()),
    ];
    facts.extend(redrive.reason.clone().map(|reason| ("reason", reason)));
    let by = redrive.requested_by.map(figure::user);
    facts.extend(by.map(|by| ("started by", by)));
    facts.push(("planned", redrive.planned.to_string()));
    let parts = match redrive.moved {
        Some(moved) => vec![("moved", moved), ("skipped", redrive.skipped)],
        None => vec![
            ("sent", redrive.sent),
            ("deleted", redrive.deleted),
            ("settled", redrive.settled),
            ("returned", redrive.returned),
            ("taken back", redrive.taken_back),
            ("failed", redrive.failed),
            ("skipped", redrive.skipped),
            ("in doubt", redrive.in_doubt_count),
        ],
    };
    facts.extend(
        parts
            .into_iter()
            .map(|(label, number)| (label, number.to_string())),
    );
    facts.extend(redrive.step.as_ref().map(|at| ("step", verdict::step(at))));
    let unverified = redrive.unverified.clone();
    facts.extend(unverified.map(|why| ("unverified", why)));
    facts.extend(redrive.error.clone().map(|error| ("error", error)));
    if redrive.state == OperationState::Paused {
        let id = &redrive.operation_id;
        let next = format!("patterns-tui operations resume {id}, or cancel {id}");
        facts.push(("what to do", next));
    }
    print::facts(&facts) + &verdict::figures(redrive) + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn a_paused_redrive_says_why_and_what_to_do() {
        let mut redrive = sample::ramping();
        assert!(!facts(&redrive).contains("resume"));
        redrive.state = OperationState::Paused;
        redrive.error = Some("2 of 5 events came back".to_owned());
        let facts = facts(&redrive);
        assert!(facts.contains("2 of 5 events came back"), "{facts}");
        assert!(facts.contains("operations resume redrive-62bb, or cancel redrive-62bb"));
    }
}
