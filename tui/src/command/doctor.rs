//! `doctor`: what is where, and what is wrong with it.

use std::fmt::Write;
use std::os::unix::fs::MetadataExt;

use patterns_core::paths;
use patterns_core::problem::{Problem, exit};
use patterns_core::protocol::{Hello, PROTOCOL};
use patterns_core::snapshot::Snapshot;
use patterns_core::text::visible;
use serde::Serialize;

use crate::client::Client;
use crate::{figure, print};

/// What was found; the fields that need the daemon are absent without it.
#[derive(Serialize)]
struct Report {
    version: &'static str,
    protocol: u32,
    socket: String,
    socket_owner: Option<u32>,
    socket_mode: Option<String>,
    config: Option<String>,
    daemon: Option<Hello>,
    /// What failed, each with its fix.
    problems: Vec<Problem>,
}

pub async fn run(client: &Client, json: bool) -> Result<u8, Problem> {
    let metadata = std::fs::metadata(client.socket()).ok();
    let mut report = Report {
        version: env!("CARGO_PKG_VERSION"),
        protocol: PROTOCOL,
        socket: client.socket().display().to_string(),
        socket_owner: metadata.as_ref().map(MetadataExt::uid),
        // The file's kind is in the upper bits.
        socket_mode: metadata.map(|metadata| format!("{:04o}", metadata.mode() & 0o7777)),
        config: paths::config_file(None).map(|path| path.display().to_string()),
        daemon: None,
        problems: Vec::new(),
    };
    let seen = look(client, &mut report).await;
    let code = match &seen {
        Err(problem) => problem.exit_code(),
        Ok(()) if report.problems.is_empty() => exit::OK,
        Ok(()) => exit::FAILED,
    };
    report.problems.extend(seen.err());
    print::answer(&report, json, || sheet(&report))?;
    Ok(code)
}

async fn look(client: &Client, report: &mut Report) -> Result<(), Problem> {
    report.daemon = Some(client.hello().await?);
    let Snapshot { problems, .. } = client.snapshot().await?;
    report.problems = problems;
    Ok(())
}

fn sheet(report: &Report) -> String {
    let unknown = || figure::UNKNOWN.to_owned();
    let socket = match (&report.socket_owner, &report.socket_mode) {
        (Some(owner), Some(mode)) => {
            format!("{} (owner {owner}, mode {mode})", visible(&report.socket))
        }
        _ => format!("{} (absent)", visible(&report.socket)),
    };
    let mut facts = vec![
        (
            "dashboard",
            format!("version {}, protocol {}", report.version, report.protocol),
        ),
        ("socket", socket),
        (
            "config",
            report.config.as_deref().map_or_else(unknown, visible),
        ),
    ];
    if let Some(daemon) = &report.daemon {
        facts.extend([
            (
                "daemon",
                format!(
                    "version {}, protocol {}, process {}",
                    daemon.version, daemon.protocol, daemon.pid
                ),
            ),
            ("running since", figure::time(daemon.started_at)),
            ("state directory", daemon.state_dir.clone()),
            ("account", daemon.account_id.clone().unwrap_or_else(unknown)),
            ("region", daemon.region.clone().unwrap_or_else(unknown)),
            (
                "endpoint",
                daemon
                    .endpoint_url
                    .clone()
                    .unwrap_or_else(|| "AWS".to_owned()),
            ),
            (
                "read-only",
                if daemon.read_only { "yes" } else { "no" }.to_owned(),
            ),
        ]);
    }
    let mut out = print::facts(&facts);
    if report.problems.is_empty() {
        out.push_str("\n✓ all checks passed\n");
    }
    for problem in &report.problems {
        // Writing to a String cannot fail.
        let _ = write!(out, "\n✗ {problem}\n");
        for line in problem.fix.lines() {
            let _ = writeln!(out, "  {line}");
        }
    }
    out
}
