//! What the functions take, as figures of this machine: `cargo bench -p patterns-lambdas --bench functions --profile lambda`.
//!
//! Each runs as on AWS, a process of its own on the Runtime API, and every call to AWS is answered at once by a server here. So these
//! are local proxies: neither a cold start on AWS nor the time that DynamoDB takes is in them. The profile is the one that the zips
//! are built with.
//!
//! What runs at work is also measured [without a network](within). `-- create-task get-task` measures these alone.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};

mod cloud;
mod event;
mod host;
mod report;
mod within;

use host::{Host, Invoked};
use report::{Figures, Report};

/// Starts of each function.
const STARTS: usize = 30;

/// Invocations that warm a function up.
const WARM_UP: usize = 50;

/// Invocations that are measured.
const INVOCATIONS: usize = 1000;

fn main() -> Result<ExitCode> {
    if let Some(name) = within::asked() {
        return Ok(within::run(&name));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let report = runtime.block_on(all())?;
    print!("{report}");
    Ok(ExitCode::SUCCESS)
}

async fn all() -> Result<Report> {
    let endpoint_url = cloud::start().await?;
    let programs = Path::new(env!("CARGO_BIN_EXE_create-task"))
        .parent()
        .context("the functions are in no folder")?;
    let mut report = Report::default();
    // Cargo adds `--bench`.
    let named: Vec<_> = std::env::args()
        .skip(1)
        .filter(|name| !name.starts_with("--"))
        .collect();
    for &name in patterns_lambdas::FUNCTIONS {
        if !named.is_empty() && !named.iter().any(|named| named == name) {
            continue;
        }
        eprintln!("{name} …");
        let figures = measure(&programs.join(name), name, &endpoint_url).await;
        report.push(name, figures.with_context(|| format!("measuring {name}"))?);
    }
    Ok(report)
}

async fn measure(program: &Path, name: &str, endpoint_url: &str) -> Result<Figures> {
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        starts.push(Host::start(program, endpoint_url).await?.started_after);
    }
    let mut host = Host::start(program, endpoint_url).await?;
    let mut invocations = Vec::new();
    let mut within = Vec::new();
    if let Some(event) = event::of(name) {
        for _ in 0..WARM_UP / share(name) {
            host.invoke(&event).await?;
        }
        for _ in 0..INVOCATIONS / share(name) {
            invocations.push(host.invoke(&event).await?);
        }
        within = within::measure(name).await?;
    }
    let whole: Vec<Duration> = invocations.iter().map(|it: &Invoked| it.whole).collect();
    let cpu: Vec<Duration> = invocations.iter().map(|it| it.cpu).collect();
    Ok(Figures::new(starts, whole, cpu, within, host.rss_mib()?))
}

/// A password's hash takes as long as a hundred other invocations.
fn share(function: &str) -> usize {
    if function == "auth" { 10 } else { 1 }
}
