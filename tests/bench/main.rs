//! How fast the emulator is, beside what else could answer: `cargo bench -p patterns-local --bench emulator`.
//!
//! One client drives patterns-local, MiniStack (if one is given) and an HTTP server that does nothing, in turns in one run, so that
//! a busy machine slows them all alike. Figures are medians over the rounds; what to read is the ratios.

// MiniStack is a name.
#![allow(clippy::doc_markdown)]

use std::{path::PathBuf, time::Duration};

use anyhow::Result;
use clap::Parser;

mod client;
mod cpu;
mod depth;
mod footprint;
mod function;
mod load;
mod null;
mod report;
mod run;
mod target;

/// Measures patterns-local, MiniStack if one is given, and an HTTP server that does nothing, side by side.
#[derive(Debug, Parser)]
struct Flags {
    /// MiniStack's program, to be measured too
    #[arg(long, value_name = "PATH", env = "PATTERNS_BENCH_MINISTACK")]
    ministack: Option<PathBuf>,
    /// Print one JSON document instead of the table
    #[arg(long)]
    json: bool,
    /// Turns that every program gets
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// How long each load lasts in a turn
    #[arg(long, value_name = "SECONDS", default_value_t = 1.5, value_parser = seconds)]
    seconds: f64,
    /// How long an idle emulator is watched
    #[arg(long, value_name = "SECONDS", default_value_t = 20.0, value_parser = seconds)]
    idle: f64,
    /// Messages of the deep queue
    #[arg(long, value_name = "COUNT", default_value_t = 1_000_000)]
    deep: usize,
    /// Cargo says so to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.1..=3600.0).contains(&seconds) {
        Ok(seconds)
    } else {
        Err("must be between 0.1 and 3600".to_owned())
    }
}

fn main() -> Result<()> {
    // This program is also the function that is invoked, and the server that does nothing.
    if function::is_asked_for() {
        return function::run();
    }
    if std::env::args().nth(1).as_deref() == Some(null::WORD) {
        return null::run();
    }
    let flags = Flags::parse();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let report = runtime.block_on(run::all(&run::Plan {
        ministack: flags.ministack,
        rounds: flags.rounds,
        load: Duration::from_secs_f64(flags.seconds),
        idle: Duration::from_secs_f64(flags.idle),
        deep: flags.deep,
    }))?;
    if flags.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{report}");
    }
    Ok(())
}
