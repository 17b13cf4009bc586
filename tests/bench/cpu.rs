//! What processes took of the processor, by Linux's own account.

use std::fs;

use anyhow::Result;

/// Linux counts a process's time in hundredths of a second for everyone who reads it.
const TICKS_PER_SECOND: f64 = 100.0;

/// User and system time of the processes together, so far.
pub fn cpu_seconds(processes: &[u32]) -> Result<f64> {
    let mut ticks = 0.0;
    for process in processes {
        let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
        // The name in parentheses may hold spaces; user and system time are the 12th and 13th field after it ("proc_pid_stat(5)").
        let after = stat.rsplit(')').next().unwrap_or_default();
        for time in after.split_whitespace().skip(11).take(2) {
            ticks += time.parse::<f64>()?;
        }
    }
    Ok(ticks / TICKS_PER_SECOND)
}
