//! `failed list`, `failed groups` and `failed show`.

use std::fmt::Write;

use jiff::Timestamp;
use patterns_core::failed::{FailedDetail, FailedGroups, FailedList};
use patterns_core::problem::{Problem, exit};
use patterns_core::protocol::{Reply, Request};
use patterns_core::text::visible_lines;

use super::{copy, unexpected};
use crate::cli::Failed;
use crate::client::Client;
use crate::{figure, print};

pub async fn run(client: &Client, failed: Failed, json: bool) -> Result<u8, Problem> {
    match failed {
        Failed::List {
            dead_letter_queue,
            which,
        } => {
            let Reply::Failed(list) = client
                .send(Request::FailedList {
                    dead_letter_queue,
                    limit: None,
                    filter: which.into(),
                })
                .await?
            else {
                return Err(unexpected());
            };
            print::answer(&list, json, || table(&list))?;
        }
        Failed::Groups { dead_letter_queue } => {
            let request = Request::FailedGroups { dead_letter_queue };
            let Reply::Groups(groups) = client.send(request).await? else {
                return Err(unexpected());
            };
            print::answer(&groups, json, || group_table(&groups))?;
        }
        Failed::Export {
            dead_letter_queue,
            output,
        } => return copy::export(client, dead_letter_queue, &output, json).await,
        Failed::Import { file, to } => return copy::import(client, &file, to, json).await,
        Failed::Show { id } => {
            let Reply::Event(event) = client.send(Request::FailedShow { id }).await? else {
                return Err(unexpected());
            };
            print::answer(&event, json, || sheet(&event))?;
        }
    }
    Ok(exit::OK)
}

fn table(list: &FailedList) -> String {
    let now = Timestamp::now();
    let unknown = || figure::UNKNOWN.to_owned();
    let rows: Vec<_> = list
        .events
        .iter()
        .map(|event| {
            [
                event.id.clone(),
                figure::age(event.sent_at, now),
                event.dead_letter_queue.clone(),
                event
                    .origin
                    .as_ref()
                    .map_or_else(unknown, ToString::to_string),
                event.receive_count.to_string(),
                event.redrive_count.to_string(),
                event.error_type.clone().unwrap_or_else(unknown),
                event.error_message.clone().unwrap_or_default(),
            ]
        })
        .collect();
    let headings = [
        "id",
        "sent>",
        "dead-letter queue",
        "failed at",
        "attempts>",
        "redriven>",
        "error",
        "message",
    ];
    let mut out = print::table(headings, &rows);
    let shown = list.events.len();
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "\n{shown} shown, {} read of about {}",
        list.mirrored, list.approximate_total
    );
    out
}

fn group_table(groups: &FailedGroups) -> String {
    let now = Timestamp::now();
    let rows: Vec<_> = groups
        .groups
        .iter()
        .map(|group| {
            [
                group.count.to_string(),
                group.signature.clone(),
                group
                    .origin
                    .as_ref()
                    .map_or_else(|| figure::UNKNOWN.to_owned(), ToString::to_string),
                group.dead_letter_queue.clone(),
                figure::age(group.first_seen, now),
                figure::age(group.last_seen, now),
            ]
        })
        .collect();
    let headings = [
        "count>",
        "signature",
        "failed at",
        "dead-letter queue",
        "first>",
        "last>",
    ];
    let mut out = print::table(headings, &rows);
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "\n{} events read of about {}",
        groups.mirrored, groups.approximate_total
    );
    out
}

fn sheet(detail: &FailedDetail) -> String {
    let event = &detail.event;
    let unknown = || figure::UNKNOWN.to_owned();
    let mut out = print::facts(&[
        ("id", event.id.clone()),
        ("group", event.signature.clone()),
        ("error", event.error_type.clone().unwrap_or_else(unknown)),
        (
            "message",
            event.error_message.clone().unwrap_or_else(unknown),
        ),
        (
            "failed at",
            event
                .origin
                .as_ref()
                .map_or_else(unknown, ToString::to_string),
        ),
        ("dead-letter queue", event.dead_letter_queue.clone()),
        ("attempts", event.receive_count.to_string()),
        ("redriven", event.redrive_count.to_string()),
        ("sent", figure::time(event.sent_at)),
        (
            "deleted by SQS",
            event.expires_at.map_or_else(unknown, figure::time),
        ),
        (
            "correlation id",
            event.correlation_id.clone().unwrap_or_else(unknown),
        ),
        ("message id", event.message_id.clone()),
    ]);
    let _ = writeln!(
        out,
        "\npayload\n{}",
        visible_lines(&figure::payload(detail))
    );
    if let Some(original) = &detail.original {
        let original = serde_json::to_string_pretty(original).unwrap_or_default();
        let original = visible_lines(&original);
        let _ = writeln!(out, "\npayload before it was edited\n{original}");
    }
    out.push_str("\nattributes\n");
    for (name, value) in &detail.attributes {
        let _ = writeln!(out, "  {name}: {value}");
    }
    out.push_str("\nlogs\n");
    for line in &detail.logs {
        let _ = writeln!(out, "  {}  {}", figure::time(line.at), line.message);
    }
    out.push_str("\nhistory\n");
    for entry in &detail.history {
        let note = entry
            .note
            .as_ref()
            .map(|note| format!(": {note}"))
            .unwrap_or_default();
        let _ = writeln!(
            out,
            "  {}  {} by {}{note}",
            figure::time(entry.at),
            entry.state.replace('_', " "),
            entry.operation_id
        );
    }
    out
}
