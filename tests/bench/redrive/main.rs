//! How fast and how exactly everything in a dead-letter queue is brought back: `cargo bench -p patterns-local --bench redrive`.
//!
//! The real daemon, in turns with the algorithms of other programs, moves messages of one queue of one patterns-local. What to read is
//! the ratios: a busy machine slows all alike. Then calls fail, and the emulator's own log tells what each lost and doubled.

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;

#[path = "../cpu.rs"]
mod cpu;
mod daemon;
mod deep;
mod harm;
mod mover;
mod report;
mod speed;
mod stack;

/// Measures redrives by the daemon beside other programs' algorithms.
#[derive(Debug, Parser)]
struct Flags {
    /// Messages of a turn; loops that make one call at a time get a tenth
    #[arg(long, value_name = "COUNT", env = "PATTERNS_BENCH_MESSAGES", default_value_t = 20_000, value_parser = count)]
    messages: usize,
    /// Messages of a turn in which calls fail
    #[arg(long, value_name = "COUNT", default_value_t = 2_000, value_parser = count)]
    struck: usize,
    /// Calls of one kind that the raw loop has in flight, as many as the daemon
    #[arg(long, value_name = "COUNT", default_value_t = 16)]
    in_flight: usize,
    /// How long a slow call takes
    #[arg(long, value_name = "MS", default_value_t = 10)]
    delay: u64,
    /// Turns that each contender gets
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Measure only the daemon's memory with so many messages in the dead-letter queue
    #[arg(long, value_name = "COUNT")]
    deep: Option<usize>,
    /// Measure only this contender, and no harm; can be given more than once
    #[arg(long, value_name = "CONTENDER", value_enum)]
    only: Vec<speed::Contender>,
    /// A Python that has boto3, to be measured too
    #[arg(long, value_name = "PATH", env = "PATTERNS_BENCH_PYTHON")]
    python: Option<PathBuf>,
    /// Print one JSON document instead of the tables
    #[arg(long)]
    json: bool,
    /// Cargo says so to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

/// This program as one of the movers.
#[derive(Debug, Parser)]
struct Mover {
    #[command(flatten)]
    job: mover::Job,
}

fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 100..=100_000) => Ok(count),
        _ => Err("must be between 100 and 100 000, of which SQS lets all be in flight".to_owned()),
    }
}

fn main() -> Result<()> {
    // As many threads as the daemon has for its calls; the small clients are the faster for it, too.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    if std::env::args().nth(1).as_deref() == Some(mover::WORD) {
        return runtime.block_on(mover::run(Mover::parse_from(std::env::args().skip(1)).job));
    }
    let flags = Flags::parse();
    let plan = speed::Plan {
        messages: flags.messages,
        in_flight: flags.in_flight.max(1),
        delays: vec![flags.delay, 0],
        rounds: flags.rounds,
        only: flags.only,
        python: flags.python,
    };
    if let Some(messages) = flags.deep {
        return runtime.block_on(deep::measure(messages));
    }
    let report = runtime.block_on(async {
        let mut stack = stack::Stack::start().await?;
        let turns = speed::all(&mut stack, &plan).await?;
        let harm = if plan.only.is_empty() {
            harm::all(&mut stack, flags.struck).await?
        } else {
            Vec::new()
        };
        anyhow::Ok(report::Report::new(&plan, &turns, harm))
    })?;
    if flags.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{report}");
    }
    Ok(())
}
