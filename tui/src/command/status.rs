//! `status`: everything known now.

use patterns_core::health::{self, Health};
use patterns_core::problem::{Problem, exit};
use patterns_core::queue::QueueRole;
use patterns_core::snapshot::Snapshot;
use serde::Serialize;

use super::operations;
use crate::client::Client;
use crate::{figure, print};

#[derive(Serialize)]
struct Status<'a> {
    health: &'a Health,
    #[serde(flatten)]
    snapshot: &'a Snapshot,
}

pub async fn run(client: &Client, json: bool) -> Result<u8, Problem> {
    let snapshot = client.snapshot().await?;
    let health = health::of_snapshot(&snapshot);
    let status = Status {
        health: &health,
        snapshot: &snapshot,
    };
    print::answer(&status, json, || tables(&snapshot, &health))?;
    Ok(match health {
        Health::Bad(_) => exit::UNHEALTHY,
        Health::Ok | Health::Watch(_) => exit::OK,
    })
}

fn tables(snapshot: &Snapshot, health: &Health) -> String {
    let judged = match health {
        Health::Ok => "ok".to_owned(),
        Health::Watch(why) => format!("watch: {why}"),
        Health::Bad(why) => format!("bad: {why}"),
    };
    let mut facts = vec![
        ("health", judged),
        ("account", snapshot.account_id.clone()),
        ("region", snapshot.region.clone()),
        ("as of", figure::time(snapshot.as_of)),
    ];
    if let Some(endpoint) = &snapshot.endpoint_url {
        facts.insert(3, ("endpoint", endpoint.clone()));
    }
    let problems: Vec<_> = snapshot
        .problems
        .iter()
        .map(|problem| ("problem", problem.to_string()))
        .collect();
    facts.extend(problems);
    facts.extend(snapshot.notes.iter().map(|note| ("note", note.clone())));
    let mut out = print::facts(&facts);
    out.push('\n');
    let queues: Vec<_> = snapshot
        .queues
        .iter()
        .map(|queue| {
            let role = match queue.role {
                QueueRole::Source => "source",
                QueueRole::DeadLetter => "dead letter",
                QueueRole::Plain => "plain",
            };
            let oldest = queue
                .oldest_age_seconds
                .map_or_else(|| figure::UNKNOWN.to_owned(), figure::duration);
            [
                queue.name.clone(),
                role.to_owned(),
                queue.visible.to_string(),
                queue.in_flight.to_string(),
                queue.delayed.to_string(),
                oldest,
            ]
        })
        .collect();
    out.push_str(&print::table(
        [
            "queue",
            "role",
            "visible>",
            "in flight>",
            "delayed>",
            "oldest>",
        ],
        &queues,
    ));
    out.push('\n');
    let functions: Vec<_> = snapshot
        .functions
        .iter()
        .map(|function| {
            [
                function.name.clone(),
                function.invocations.to_string(),
                function.errors.to_string(),
                function.throttles.to_string(),
                function
                    .duration_p95_ms
                    .map_or_else(|| figure::UNKNOWN.to_owned(), figure::millis),
                function.concurrent.to_string(),
                if function.broken() == Some(true) {
                    "broken".to_owned()
                } else {
                    String::new()
                },
            ]
        })
        .collect();
    let headings = [
        "function",
        "invocations>",
        "errors>",
        "throttles>",
        "p95>",
        "concurrent>",
        "state",
    ];
    out.push_str(&print::table(headings, &functions));
    if !snapshot.operations.is_empty() {
        out.push('\n');
        out.push_str(&operations::table(&snapshot.operations));
    }
    out
}
