//! Watches the queues, dead-letter queues and functions of an AWS account, mirrors failed events, and carries out redrives
//! and bursts. It owns the state: whoever looks or asks does so through its Unix socket, and may leave at any time.
//!
//! ```text
//! AWS ── aws/ ──> watch ──readings──> state ──snapshot──> api ──> dashboard
//!           \                          ^                   |
//!            \── mirror, redrive ──────┴──── command <─────┘
//!                          └─ ledger
//! ```
//!
//! - `aws`: the only folder that speaks to AWS; `watch`: when to ask; `state`: the one writer of the snapshot
//! - `topology`, `origin`: which failures go where, and where an event failed
//! - `mirror`: a copy of what dead-letter queues hold; `claim`: who may receive from them
//! - `plan`, `lint`, `redrive`, `ledger`: from a selection to events processed again, exactly accounted for
//! - `burst`, `tasks`, `delivery`, `pattern`: load, tasks, and rehearsed outages of our pattern stacks
//! - `command`, `replies`, `api`, `socket`, `systemd`: how the daemon is asked, started and stopped
//! - `database`: one SQLite file, one connection, one thread, group commit; `state_dir`: where they are;
//!   `lock`: files that one process holds

mod api;
mod aws;
mod burst;
mod claim;
mod cli;
mod command;
mod database;
mod delivery;
mod edit;
mod ledger;
mod letter;
mod lint;
mod lock;
mod mirror;
mod origin;
mod pattern;
mod plan;
mod redrive;
mod replies;
mod socket;
mod state;
mod state_dir;
mod systemd;
mod tasks;
#[cfg(test)]
mod tests;
mod topology;
mod watch;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use patterns_core::config::Config;
use patterns_core::problem::Problem;
use patterns_core::protocol::{Hello, PROTOCOL};
use patterns_core::snapshot::Snapshot;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use aws::Aws;
use burst::Bursts;
use claim::Claims;
use command::Commands;
use ledger::Ledger;
use mirror::store::Store;
use mirror::{Keeper, Mirror};
use pattern::Patterns;
use redrive::Engine;
use state::State;
use watch::Watch;

pub use aws::RETRY_WAITS;
pub use cli::cli;
pub use redrive::{DIE_AT, IN_HAND_MAX, POINTS};
pub use state_dir::StateDir;

/// Batches under way may finish for this long once the daemon is asked to stop.
const DRAIN: Duration = Duration::from_secs(20);

/// What the daemon is started with.
#[derive(Debug)]
pub struct Settings {
    /// The configuration, flags already in it.
    pub config: Config,
    /// Where the databases are.
    pub state_dir: StateDir,
}

/// Runs the daemon on `listener` until `shutdown`, then lets the batches under way finish.
pub async fn run(
    settings: Settings,
    listener: UnixListener,
    shutdown: impl Future<Output = ()>,
) -> Result<(), Problem> {
    let Settings { config, state_dir } = settings;
    let aws = Aws::connect(&config).await?;
    let hello = Hello {
        protocol: PROTOCOL,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        started_at: Timestamp::now(),
        state_dir: state_dir.path().display().to_string(),
        account_id: None,
        region: Some(aws.region.clone()),
        endpoint_url: aws.endpoint_url.clone(),
        read_only: config.read_only,
    };
    let stop = CancellationToken::new();
    let tracker = TaskTracker::new();
    let api = api::Api {
        commands: work(&config, state_dir.path(), aws, &stop, &tracker).await?,
        replies: replies::Replies::default(),
        hello: Arc::new(hello),
        stop: stop.clone(),
    };
    let serve = tokio::spawn(api::serve(api, listener));
    systemd::ready();
    shutdown.await;
    systemd::stopping();
    tracing::info!("stopping; batches under way finish first");
    stop.cancel();
    tracker.close();
    let drained = async {
        tracker.wait().await;
        // The streams end with `stop`; what was asked before is answered.
        let _ = serve.await;
    };
    if tokio::time::timeout(DRAIN, drained).await.is_err() {
        tracing::warn!(
            "some work did not finish in time; the ledger knows it, and it goes on at the next start"
        );
    }
    Ok(())
}

/// Puts the parts together and starts those that work by themselves.
async fn work(
    config: &Config,
    state_dir: &Path,
    aws: Aws,
    stop: &CancellationToken,
    tracker: &TaskTracker,
) -> Result<Commands, Problem> {
    let ledger = Ledger::open(state_dir).map_err(ledger::disk)?;
    let instance = config.instance.clone().unwrap_or_default();
    let endpoint = aws.endpoint_url.clone().unwrap_or_default();
    let world = format!("{} {endpoint} {instance}", aws.region);
    let store = Store::open(state_dir, world).await.map_err(mirror::disk)?;
    let patterns = Patterns::new(&config.patterns)?;
    let state = State::start(Snapshot {
        endpoint_url: aws.endpoint_url.clone(),
        read_only: config.read_only,
        patterns: config.patterns.keys().cloned().collect(),
        ..state::beginning(&aws.region)
    });
    let claims = Claims::default();
    let keeper = Keeper {
        aws: aws.clone(),
        ledger: ledger.clone(),
        instance: instance.clone(),
        claims: claims.clone(),
        state: state.clone(),
        stop: stop.clone(),
        tracker: tracker.clone(),
    };
    let mirror = Mirror::start(store, keeper);
    let watch = Watch {
        aws: aws.clone(),
        claims: claims.clone(),
        mirror: mirror.clone(),
        state: state.clone(),
        refresh: tokio::sync::watch::Sender::new(()),
    };
    let engine = Engine {
        aws: aws.clone(),
        ledger,
        mirror: mirror.clone(),
        claims,
        state: state.clone(),
        watch: watch.clone(),
        stop: stop.clone(),
        tracker: tracker.clone(),
        instance,
        running: Arc::default(),
        claimed: Arc::default(),
    };
    if !config.read_only
        && let Err(error) = engine.claim_unfinished().await
    {
        // Whoever reads the ledger next shows it as a problem.
        tracing::warn!(%error, "unfinished redrives could not be read");
    }
    watch.start(&config.watch, stop, tracker);
    if !config.read_only {
        let judge = engine.clone();
        tracker.spawn(async move { judge.judge_idle().await });
    }
    let (past, stopped, read_only) = (engine.clone(), stop.clone(), config.read_only);
    tracker.spawn(async move {
        let take_up = async {
            past.show_past().await;
            // A read-only daemon changes nothing, not even what it once began.
            if !read_only {
                past.resume().await;
            }
        };
        stopped.run_until_cancelled(take_up).await;
    });
    let bursts = Bursts {
        patterns: patterns.clone(),
        state: state.clone(),
        stop: stop.clone(),
        tracker: tracker.clone(),
        busy: Arc::default(),
    };
    Ok(Commands {
        read_only: config.read_only,
        aws,
        state,
        mirror,
        plans: Arc::default(),
        engine,
        bursts,
        patterns,
        watch,
    })
}
