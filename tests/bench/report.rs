//! What was measured, beside what is aimed at.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use super::{depth::Depth, footprint::Footprint, load::Load};

/// Messages per second in each turn.
pub type Turns = BTreeMap<Load, Vec<f64>>;

/// How long each invocation of the warm function took, as its caller sees it. The function itself takes microseconds.
#[derive(Debug, Default)]
pub struct Invocations {
    pub sdk_ms: Vec<f64>,
    pub plain_ms: Vec<f64>,
}

#[derive(Debug, Serialize)]
pub struct Report {
    rounds: u32,
    cores: usize,
    rates: BTreeMap<Load, Rate>,
    warm_invoke: Warm,
    ministack_warm_invoke: Option<Warm>,
    alone: Footprint,
    with_daemon: Footprint,
    depth: Depth,
}

/// Messages per second.
#[derive(Debug, Serialize)]
struct Rate {
    local: f64,
    ministack: Option<f64>,
    null: Option<f64>,
    times_ministack: Option<f64>,
    share_of_null: Option<f64>,
}

/// Milliseconds.
#[derive(Debug, Serialize)]
struct Warm {
    sdk: Spread,
    plain: Spread,
}

#[derive(Debug, Serialize)]
struct Spread {
    p50_ms: f64,
    p95_ms: f64,
}

impl Report {
    pub fn new(
        rounds: u32,
        alone: Footprint,
        with_daemon: Footprint,
        depth: Depth,
        (local, invocations): (Turns, Invocations),
        ministack: Option<(Turns, Invocations)>,
        mut null: Turns,
    ) -> Self {
        let (mut theirs, their_invocations) = ministack.unzip();
        let rates = local
            .into_iter()
            .map(|(load, turns)| {
                let of = |turns: Option<&mut Turns>| turns?.remove(&load).map(median);
                let (local, null) = (median(turns), of(Some(&mut null)));
                let ministack = of(theirs.as_mut());
                let rate = Rate {
                    local,
                    ministack,
                    null,
                    times_ministack: ministack.map(|ministack| local / ministack),
                    share_of_null: null.map(|null| local / null),
                };
                (load, rate)
            })
            .collect();
        Self {
            rounds,
            cores: std::thread::available_parallelism().map_or(1, Into::into),
            rates,
            warm_invoke: Warm::of(invocations),
            ministack_warm_invoke: their_invocations.map(Warm::of),
            alone,
            with_daemon,
            depth,
        }
    }
}

impl Warm {
    fn of(invocations: Invocations) -> Self {
        Self {
            sdk: Spread::of(invocations.sdk_ms),
            plain: Spread::of(invocations.plain_ms),
        }
    }
}

impl Spread {
    fn of(mut samples: Vec<f64>) -> Self {
        samples.sort_by(f64::total_cmp);
        Self {
            p50_ms: percentile(&samples, 50),
            p95_ms: percentile(&samples, 95),
        }
    }
}

pub fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    percentile(&samples, 50)
}

/// Of sorted samples; there is no such figure of none.
fn percentile(samples: &[f64], percent: usize) -> f64 {
    let at = samples.len().saturating_sub(1) * percent / 100;
    samples.get(at).copied().unwrap_or(f64::NAN)
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "{} cores, medians of {} rounds",
            self.cores, self.rounds
        )?;
        writeln!(
            out,
            "\nmessages/s      patterns-local     MiniStack   (times)   null server   (share)   aim"
        )?;
        for (load, rate) in &self.rates {
            let (name, aim) = match load {
                Load::Send => ("send", "5x; 50 000/s or half of null"),
                Load::SendBatch => ("send, 10 a call", "5x"),
                Load::Settle => ("receive+delete", "10x"),
                Load::SettleBatch => ("same, 10 a call", "10x"),
            };
            writeln!(
                out,
                "{name:<15} {:>14.0} {:>13} {:>9} {:>13} {:>9}   {aim}",
                rate.local,
                shown(rate.ministack, 0, ""),
                shown(rate.times_ministack, 1, "x"),
                shown(rate.null, 0, ""),
                shown(rate.share_of_null, 2, ""),
            )?;
        }
        writeln!(out, "\nwarm invoke, ms              p50      p95   aim")?;
        line(out, "by the SDK", &self.warm_invoke.sdk, "p50 at most 1")?;
        line(out, "by a plain client", &self.warm_invoke.plain, "")?;
        if let Some(theirs) = &self.ministack_warm_invoke {
            line(out, "MiniStack, by the SDK", &theirs.sdk, "")?;
            line(out, "MiniStack, plain client", &theirs.plain, "")?;
        }
        writeln!(
            out,
            "\nall stacks deployed       ready s   idle CPU %   idle RSS MiB   aim"
        )?;
        for (name, footprint, aim) in [
            ("patterns-local alone", &self.alone, "1 s, 1 %, 40 MB"),
            ("with its daemon", &self.with_daemon, ""),
        ] {
            writeln!(
                out,
                "{name:<24} {:>8.3} {:>12.2} {:>14.1}   {aim}",
                footprint.ready_s, footprint.idle_cpu_percent, footprint.idle_rss_mib
            )?;
        }
        let depth = &self.depth;
        writeln!(
            out,
            "\n{} messages of {} B in one queue: {:.0} MiB (aim: at most 600 MB for a million of 256 B)",
            depth.messages, depth.bytes_each, depth.rss_growth_mib
        )?;
        writeln!(out, "one call, us                send  receive   delete")?;
        for (name, calls) in [
            ("with 1 000 messages", depth.shallow_us),
            ("with all of them", depth.deep_us),
        ] {
            writeln!(
                out,
                "{name:<24} {:>7.0} {:>8.0} {:>8.0}",
                calls.send, calls.receive, calls.delete
            )?;
        }
        Ok(())
    }
}

fn line(out: &mut fmt::Formatter<'_>, name: &str, spread: &Spread, aim: &str) -> fmt::Result {
    writeln!(
        out,
        "{name:<23} {:>8.2} {:>8.2}   {aim}",
        spread.p50_ms, spread.p95_ms
    )
}

fn shown(figure: Option<f64>, digits: usize, unit: &str) -> String {
    figure.map_or_else(
        || "-".to_owned(),
        |figure| format!("{figure:.digits$}{unit}"),
    )
}
