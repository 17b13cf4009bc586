//! A ledger that cannot be written: nothing is sent whose intent is not on the disk, and once there is room it goes on.
//!
//! The disk is full for the daemon alone: its files may not be written beyond some size (`RLIMIT_FSIZE`).

use std::collections::HashSet;

use patterns_core::operation::{Operation, OperationState};
use serde_json::json;

use super::account::{Account, Route};
use super::daemon::Daemon;
use super::events::{self, Event};
use super::verdict::Verdict;

const EVENTS: usize = 2_000;

/// Bytes of the journal that can be written, and of all other files: less than the intents of what can be under way.
const JOURNALED: u64 = 64 * 1024;

struct Full {
    account: Account,
    daemon: Daemon,
    events: Vec<Event>,
    operation: String,
}

/// A redrive midway, whose disk has just become full, and which says so.
async fn full() -> Full {
    let route = Route::Queue;
    let mut account = Account::start(route).await;
    let events = events::make(route, 1, EVENTS);
    account.fail(route.dead_letters(), &events).await;
    let mut daemon = Daemon::of(&account);
    daemon.start(None);
    let plan = daemon.plan(route.dead_letters(), EVENTS, None).await;
    // Slow enough that there is a midway.
    let slow = json!([{"operation": "SendMessageBatch", "fault": {"kind": "delay", "ms": 100}}]);
    account.faults(&slow).await;
    let operation = daemon.carry_out(plan).await.unwrap();
    while account.depth("orders").await == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    daemon.limit_files(Some(JOURNALED));
    let says_why = async || {
        let snapshot = daemon.snapshot().await?;
        let problem = snapshot
            .problems
            .iter()
            .find(|p| p.what.contains("ledger.db"));
        let complaint = snapshot.operation(&operation).and_then(|operation| {
            let Operation::Redrive(redrive) = operation else {
                return None;
            };
            redrive.error.clone().filter(|why| why.contains("ledger"))
        });
        problem.map(ToString::to_string).or(complaint)
    };
    account.until("it says why it waits", says_why).await;
    Full {
        account,
        daemon,
        events,
        operation,
    }
}

impl Full {
    /// Waits for the end of the redrive; then the witness counts.
    async fn conclude(mut self, about: &str) {
        self.account.faults(&json!([])).await;
        let (daemon, operation) = (&self.daemon, &self.operation);
        let ended = async || daemon.ended(operation).await;
        let redrive = self.account.until("the redrive ends", ended).await;
        self.daemon.stop().await;
        assert_eq!(redrive.state, OperationState::Completed, "{redrive:?}");
        let doubts = self.daemon.doubts(&self.operation);
        let verdict = Verdict::of(self.account.witnessed().await, Route::Queue, &self.events);
        let unlisted = verdict.unlisted(&doubts);
        println!(
            "{about}: {verdict}; in doubt {}, unlisted {unlisted}",
            doubts.len()
        );
        verdict.must_hold(&doubts, &about);
        assert_eq!((verdict.events, verdict.left), (EVENTS, 0));
        self.account.local.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_waited_for() {
    let full = full().await;
    full.daemon.limit_files(None);
    full.conclude("disk full for a while").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_on_a_full_disk_finds_every_send_in_the_ledger() {
    let mut full = full().await;
    full.daemon.kill().await;
    full.account.settle().await;
    let sums: HashSet<_> = full
        .account
        .witnessed()
        .await
        .iter()
        .filter(|line| line.event == "sent" && line.queue.as_deref() == Some("orders"))
        .map(|line| line.body.clone().unwrap())
        .collect();
    let intended = full.daemon.intended(&full.operation);
    let unknown = full.account.witnessed().await.iter().filter(|line| {
        let original = line.event == "sent" && line.queue.as_deref() == Some("orders-dlq");
        original
            && sums.contains(line.body.as_ref().unwrap())
            && !intended.contains(line.message_id.as_ref().unwrap())
    });
    assert_eq!(unknown.count(), 0, "sent without an intent");
    assert!(!sums.is_empty() && sums.len() < EVENTS);
    full.account.uncover();
    full.daemon.start(None);
    full.conclude("killed on a full disk").await;
}
