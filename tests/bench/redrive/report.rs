//! What was measured, beside what is aimed at.

use std::fmt;

use clap::ValueEnum as _;
use serde::Serialize;

use super::{
    harm::Harm,
    speed::{Contender, MOVE_TASK_MOST, Plan, Turn},
};

/// Calls for one message when every batch is full: a tenth each of a receive, a send and a delete.
const FLOOR: f64 = 0.3;

#[derive(Debug, Serialize)]
pub struct Report {
    cores: usize,
    debug_build: bool,
    messages: usize,
    in_flight: usize,
    rounds: u32,
    /// Medians over the rounds.
    rates: Vec<Turn>,
    ratios: Vec<Ratio>,
    harm: Vec<Harm>,
}

/// A figure of the daemon over another, and what it should be.
#[derive(Debug, Serialize)]
struct Ratio {
    what: &'static str,
    value: Option<f64>,
    aim: &'static str,
}

impl Report {
    pub fn new(plan: &Plan, turns: &[Turn], harm: Vec<Harm>) -> Self {
        let mut rates = Vec::new();
        for &delay_ms in &plan.delays {
            for &contender in Contender::value_variants() {
                let of = |figure: fn(&Turn) -> Option<f64>| {
                    let turns = turns
                        .iter()
                        .filter(|turn| turn.contender == contender && turn.delay_ms == delay_ms);
                    median(turns.filter_map(figure).collect())
                };
                let rate = (
                    of(|turn| Some(turn.messages_per_second)),
                    of(|turn| Some(turn.calls_per_message)),
                );
                if let (Some(messages_per_second), Some(calls_per_message)) = rate {
                    rates.push(Turn {
                        contender,
                        delay_ms,
                        messages_per_second,
                        calls_per_message,
                        cpu_ms_per_1000: of(|turn| turn.cpu_ms_per_1000),
                    });
                }
            }
        }
        Self {
            cores: std::thread::available_parallelism().map_or(1, Into::into),
            debug_build: cfg!(debug_assertions),
            messages: plan.messages,
            in_flight: plan.in_flight,
            rounds: plan.rounds,
            ratios: ratios(&rates),
            rates,
            harm,
        }
    }
}

fn ratios(rates: &[Turn]) -> Vec<Ratio> {
    let find = |contender, slow: bool| {
        let mut found = rates.iter();
        found.find(|turn| turn.contender == contender && (turn.delay_ms > 0) == slow)
    };
    let rate = |contender, slow| Some(find(contender, slow)?.messages_per_second);
    let cpu = |contender| find(contender, false)?.cpu_ms_per_1000;
    let over = |above: Option<f64>, below: Option<f64>| Some(above? / below?);
    let slow = rate(Contender::Daemon, true);
    let fast = rate(Contender::Daemon, false);
    let raw = rate(Contender::Raw, false);
    vec![
        Ratio {
            what: "with the delay: times AWS's move task at its most",
            value: over(slow, Some(f64::from(MOVE_TASK_MOST))),
            aim: ">= 10",
        },
        Ratio {
            what: "with the delay: times sqsmover's loop",
            value: over(slow, rate(Contender::Sqsmover, true)),
            aim: ">= 15",
        },
        Ratio {
            what: "with the delay: times lumigo's loops",
            value: over(slow, rate(Contender::Lumigo, true)),
            aim: "",
        },
        Ratio {
            what: "with the delay: share of the raw loop",
            value: over(slow, rate(Contender::Raw, true)),
            aim: "",
        },
        Ratio {
            what: "without delay: share of the raw loop",
            value: over(fast, raw),
            aim: ">= 0.8",
        },
        Ratio {
            what: "without delay: cost of the ledger, 1 - that share",
            value: over(fast, raw).map(|share| 1.0 - share),
            aim: "<= 0.1",
        },
        Ratio {
            what: "calls a message over the least possible 0.3",
            value: find(Contender::Daemon, true).map(|turn| turn.calls_per_message / FLOOR),
            aim: "<= 1.02",
        },
        Ratio {
            what: "processor time over the boto3 loop's",
            value: over(cpu(Contender::Daemon), cpu(Contender::Boto3)),
            aim: "<= 0.1",
        },
    ]
}

fn median(mut figures: Vec<f64>) -> Option<f64> {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len().saturating_sub(1) / 2).copied()
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let build = if self.debug_build {
            "debug build"
        } else {
            "release build"
        };
        writeln!(
            out,
            "{} cores, {build}, {} messages, {} calls of a kind in flight, medians of {} rounds",
            self.cores, self.messages, self.in_flight, self.rounds
        )?;
        writeln!(
            out,
            "\nms a call  by           messages/s  calls/message  CPU ms/1000"
        )?;
        for turn in &self.rates {
            writeln!(
                out,
                "{:>9}  {:<10} {:>12.0} {:>14.3} {:>12}",
                turn.delay_ms,
                format!("{:?}", turn.contender),
                turn.messages_per_second,
                turn.calls_per_message,
                shown(turn.cpu_ms_per_1000, 1),
            )?;
        }
        writeln!(out, "\n{:<52} {:>8}   aim", "the daemon", "ratio")?;
        for ratio in &self.ratios {
            writeln!(
                out,
                "{:<52} {:>8}   {}",
                ratio.what,
                shown(ratio.value, 3),
                ratio.aim
            )?;
        }
        writeln!(
            out,
            "\ntrouble     by        messages   lost  duplicates  listed   left  starts"
        )?;
        for harm in &self.harm {
            writeln!(
                out,
                "{:<11} {:<9} {:>8} {:>6} {:>11} {:>7} {:>6} {:>7}",
                format!("{:?}", harm.trouble),
                harm.by,
                harm.messages,
                harm.lost,
                harm.duplicates,
                harm.listed
                    .map_or_else(|| "-".to_owned(), |listed| listed.to_string()),
                harm.left,
                harm.starts,
            )?;
        }
        Ok(())
    }
}

fn shown(figure: Option<f64>, digits: usize) -> String {
    figure.map_or_else(|| "-".to_owned(), |figure| format!("{figure:.digits$}"))
}
