//! `audit`: who changed what, why, and what became of it.

use patterns_core::audit::Entry;
use patterns_core::problem::{Problem, exit};
use patterns_core::protocol::{Reply, Request};
use serde_json::json;

use super::unexpected;
use crate::client::Client;
use crate::{figure, print};

pub async fn run(client: &Client, operation_id: Option<String>, json: bool) -> Result<u8, Problem> {
    let mut entries: Vec<Entry> = Vec::new();
    loop {
        let request = Request::Audit {
            operation_id: operation_id.clone(),
            after: entries.last().map(|entry| entry.number),
        };
        let Reply::Audit(page) = client.send(request).await? else {
            return Err(unexpected());
        };
        if page.is_empty() {
            break;
        }
        entries.extend(page);
    }
    print::answer(&json!({ "entries": entries }), json, || table(&entries))?;
    Ok(exit::OK)
}

fn table(entries: &[Entry]) -> String {
    let rows: Vec<_> = entries
        .iter()
        .map(|entry| {
            [
                entry.number.to_string(),
                figure::time(entry.at),
                entry
                    .uid
                    .map_or_else(|| "the daemon".to_owned(), figure::user),
                entry.verb.clone(),
                entry.operation_id.clone().unwrap_or_default(),
                entry.reason.clone().unwrap_or_default(),
                match &entry.detail {
                    serde_json::Value::Null => String::new(),
                    detail => detail.to_string(),
                },
            ]
        })
        .collect();
    let headings = [
        "number>",
        "at",
        "who",
        "verb",
        "operation",
        "reason",
        "detail",
    ];
    print::table(headings, &rows)
}
