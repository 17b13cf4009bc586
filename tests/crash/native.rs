//! Redrives that a message move task of SQS carries out: whatever happens to the daemon or to the answer, one task is started,
//! and what it does is told.

use std::collections::HashMap;

use patterns_core::operation::{Manner, OperationState, Redrive, Selection};
use patterns_core::protocol::Request;
use serde_json::json;

use super::account::{Account, Route, arn};
use super::daemon::Daemon;
use super::events;

const EVENTS: usize = 60;
const ROUTE: Route = Route::Queue;

/// Some seconds for all events: something happens while they are moved.
const SLOWLY: f64 = 20.0;

struct Trial {
    account: Account,
    daemon: Daemon,
    /// Redrives so far.
    redrives: usize,
}

impl Trial {
    async fn start() -> Self {
        let account = Account::start(ROUTE).await;
        Self {
            daemon: Daemon::of(&account),
            account,
            redrives: 0,
        }
    }

    /// New failed events, and what the daemon answers when it is to let SQS move them; it ends at that point.
    async fn begin(&mut self, die_at: Option<&str>, rate: f64) -> Option<String> {
        self.redrives += 1;
        let events = events::make(ROUTE, self.redrives as u64, EVENTS);
        self.account.fail(ROUTE.dead_letters(), &events).await;
        self.daemon.start(die_at);
        let request = Request::Plan {
            dead_letter_queue: ROUTE.dead_letters().to_owned(),
            selection: Selection::Everything,
            to: None,
            manner: Manner {
                rate: Some(rate),
                native: true,
                ..Manner::default()
            },
            edit: None,
        };
        let plan = self.daemon.planned(request, EVENTS).await;
        assert!(plan.steps.is_empty() && plan.verification.unverified.is_some());
        self.daemon.carry_out(plan).await
    }

    /// The redrive when it has ended, whose id may not have been told.
    async fn ends(&mut self, id: Option<String>) -> Redrive {
        let daemon = &self.daemon;
        let newest = async || {
            let snapshot = daemon.snapshot().await?;
            snapshot.operations.first().map(|op| op.id().to_owned())
        };
        let id = match id {
            Some(id) => id,
            None => self.account.until("it is known", newest).await,
        };
        let ended = async || daemon.ended(&id).await;
        self.account.until("it has ended", ended).await
    }

    /// Each of the events was moved exactly once, by one task for each redrive.
    async fn all_are_moved_once(&mut self, about: &str) {
        let queue = ROUTE.dead_letters();
        assert_eq!(self.account.depth(queue).await, 0, "{about}");
        let tasks = self.account.sqs.list_message_move_tasks();
        let tasks = tasks.source_arn(arn(queue)).max_results(10).send().await;
        assert_eq!(tasks.unwrap().results().len(), self.redrives, "{about}");
        let mut copies: HashMap<String, usize> = HashMap::new();
        for line in self.account.witnessed().await {
            if line.event == "sent" && line.queue.as_deref() == Some(ROUTE.target()) {
                *copies.entry(line.body.clone().unwrap()).or_default() += 1;
            }
        }
        assert_eq!(copies.len(), self.redrives * EVENTS, "{about}");
        assert!(copies.values().all(|copies| *copies == 1), "{about}");
    }
}

fn must_be_moved(redrive: &Redrive, about: &str) {
    let figures = (redrive.state, redrive.moved, redrive.sent, redrive.skipped);
    let all = Some(EVENTS as u64);
    assert_eq!(
        figures,
        (OperationState::Completed, all, 0, 0),
        "{about}: {redrive:?}"
    );
    assert!(redrive.judged(), "{about}: there is nothing to wait for");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_task_is_started_once_wherever_the_daemon_ends() {
    let mut trial = Trial::start().await;
    for point in [
        "after_begin:1",
        "before_move:1",
        "after_move:1",
        "before_end:1",
        "after_end:1",
    ] {
        let id = trial.begin(Some(point), 500.0).await;
        trial.daemon.dies(point).await;
        trial.daemon.start(None);
        must_be_moved(&trial.ends(id).await, point);
        trial.daemon.stop().await;
        trial.all_are_moved_once(point).await;
    }
    trial.account.local.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_task_goes_on_without_the_daemon_and_without_answers() {
    let mut trial = Trial::start().await;
    // It began, and nobody was told.
    let lost = json!([
        {"operation": "StartMessageMoveTask", "times": 1, "fault": {"kind": "reset"}},
        {"operation": "ListMessageMoveTasks", "share": 0.5, "times": 4, "fault": {"kind": "error", "error": "throttling"}},
    ]);
    trial.account.faults(&lost).await;
    let id = trial.begin(None, SLOWLY).await;
    trial.account.something_happens(EVENTS).await;
    trial.daemon.kill().await;
    trial.account.faults(&json!([])).await;
    trial.daemon.start(None);
    must_be_moved(&trial.ends(id).await, "killed");
    trial.daemon.stop().await;
    trial.all_are_moved_once("killed").await;

    // Stopped gracefully, it is followed by the next daemon.
    let id = trial.begin(None, SLOWLY).await;
    trial.account.something_happens(1).await;
    trial.daemon.stop().await;
    trial.daemon.start(None);
    must_be_moved(&trial.ends(id).await, "stopped");
    trial.daemon.stop().await;
    trial.all_are_moved_once("stopped").await;
    trial.account.local.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_cancelled_is_not_moved_on() {
    let mut trial = Trial::start().await;
    let id = trial.begin(None, 5.0).await.unwrap();
    let daemon = &trial.daemon;
    let some = async || {
        daemon
            .operation(&id)
            .await?
            .moved
            .filter(|moved| *moved > 0)
    };
    trial.account.until("some are moved", some).await;
    let request = Request::Cancel { id: id.clone() };
    // Killed right then, it is cancelled all the same.
    drop(trial.daemon.ask(request).await);
    trial.daemon.kill().await;
    trial.daemon.start(None);
    let ended = trial.ends(Some(id)).await;
    assert_eq!(ended.state, OperationState::Cancelled, "{ended:?}");
    let moved = ended.moved.unwrap();
    let left = trial.account.depth(ROUTE.dead_letters()).await;
    assert_eq!(
        (moved + left, ended.skipped),
        (EVENTS as u64, left),
        "{ended:?}"
    );
    trial.daemon.stop().await;
    trial.account.local.stop().await;
}
