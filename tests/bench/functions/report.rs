//! The table.

use std::fmt;
use std::time::Duration;

/// What was measured of one function.
pub struct Figures {
    starts: Vec<Duration>,
    whole: Vec<Duration>,
    cpu: Vec<Duration>,
    within: Vec<Duration>,
    rss_mib: f64,
}

impl Figures {
    pub fn new(
        mut starts: Vec<Duration>,
        mut whole: Vec<Duration>,
        mut cpu: Vec<Duration>,
        mut within: Vec<Duration>,
        rss_mib: f64,
    ) -> Self {
        for figures in [&mut starts, &mut whole, &mut cpu, &mut within] {
            figures.sort_unstable();
        }
        Self {
            starts,
            whole,
            cpu,
            within,
            rss_mib,
        }
    }
}

/// All functions.
#[derive(Default)]
pub struct Report(Vec<(String, Figures)>);

impl Report {
    pub fn push(&mut self, function: &str, figures: Figures) {
        self.0.push((function.to_owned(), figures));
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| function | start to first poll p50, p95 ms | resident MiB | one invocation p50, p99 ms | of it processor p50, p99 ms | without network p50, p99 ms |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|")?;
        for (function, figures) in &self.0 {
            let pair = |figures: &[Duration], high| match (at(figures, 50), at(figures, high)) {
                (Some(middle), Some(high)) => format!("{middle:.2}, {high:.2}"),
                _ => String::new(),
            };
            writeln!(
                f,
                "| `{function}` | {} | {:.1} | {} | {} | {} |",
                pair(&figures.starts, 95),
                figures.rss_mib,
                pair(&figures.whole, 99),
                pair(&figures.cpu, 99),
                pair(&figures.within, 99),
            )?;
        }
        Ok(())
    }
}

/// A percentile of sorted figures, in milliseconds.
fn at(figures: &[Duration], percent: usize) -> Option<f64> {
    let rank = (figures.len() * percent).div_ceil(100).saturating_sub(1);
    figures
        .get(rank)
        .map(|figure| figure.as_secs_f64() * 1000.0)
}
