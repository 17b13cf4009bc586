//! What an emulator takes that nobody asks anything of.

use std::{fs, time::Duration};

use anyhow::{Context, Result};
use serde::Serialize;

use super::{cpu::cpu_seconds, report::median, target::Target};

/// What is still being done right after the start is not measured.
const SETTLE: Duration = Duration::from_secs(3);

/// patterns-local with all its stacks, idle.
#[derive(Debug, Serialize)]
pub struct Footprint {
    /// Median of the starts, seconds.
    pub ready_s: f64,
    /// Percent of one core.
    pub idle_cpu_percent: f64,
    pub idle_rss_mib: f64,
}

pub async fn measure(with_daemon: bool, starts: u32, watch: Duration) -> Result<Footprint> {
    let mut ready = Vec::new();
    for _ in 0..starts {
        ready.push(Target::local(with_daemon)?.ready_after.as_secs_f64());
    }
    let local = Target::local(with_daemon)?;
    tokio::time::sleep(SETTLE).await;
    let processes = local.processes()?;
    let before = cpu_seconds(&processes)?;
    tokio::time::sleep(watch).await;
    let used = cpu_seconds(&processes)? - before;
    Ok(Footprint {
        ready_s: median(ready),
        idle_cpu_percent: used / watch.as_secs_f64() * 100.0,
        idle_rss_mib: rss_mib(&processes)?,
    })
}

/// Resident memory of the processes together.
pub fn rss_mib(processes: &[u32]) -> Result<f64> {
    let mut kib = 0.0;
    for process in processes {
        let status = fs::read_to_string(format!("/proc/{process}/status"))?;
        kib += status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.split_whitespace().next())
            .context("no VmRSS")?
            .parse::<f64>()?;
    }
    Ok(kib / 1024.0)
}
