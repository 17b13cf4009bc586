//! What came back, and what settled.

use std::collections::BTreeSet;
use std::time::Duration;

use patterns_core::operation::Verification;

use super::*;
use crate::mirror::signature::NO_ERROR;

fn met(message_id: &str, signature: &str) -> Met {
    Met {
        message_id: message_id.to_owned(),
        request_id: None,
        signature: signature.to_owned(),
    }
}

fn verified(id: &str, window_seconds: u64) -> Task {
    let mut task = task(id, 3);
    task.plan.verification = Verification {
        window_seconds: Some(window_seconds),
        returns_to: vec!["dlq".to_owned()],
        ..Verification::default()
    };
    task
}

/// A ledger with an operation that sent these messages, each as `new-` and its id, and ended.
async fn sent(dir: &Path, task: Task, ids: &[&str]) -> (Ledger, i64) {
    let ledger = Ledger::open(dir).unwrap();
    let (world, _) = ledger.enter(world("")).await.unwrap();
    let id = task.operation_id.clone();
    ledger
        .begin(world, task, QUEUE, Vec::new(), None)
        .await
        .unwrap();
    send(&ledger, &id, ids).await;
    ledger
        .end(&id, OperationState::Completed, None)
        .await
        .unwrap();
    (ledger, world)
}

async fn send(ledger: &Ledger, operation: &str, ids: &[&str]) {
    for id in ids {
        assert_eq!(intend(ledger, operation, true, id).await, Verdict::Send);
        let sent = outcome(id, Step::Sent(format!("new-{id}")));
        ledger.settle(operation, vec![sent]).await.unwrap();
    }
}

async fn counts(ledger: &Ledger, operation: &str) -> (u64, u64, u64) {
    let redrive = ledger.redrive(operation).await.unwrap().unwrap();
    (redrive.settled, redrive.returned, redrive.returned_alike)
}

fn one(id: &str) -> BTreeSet<String> {
    BTreeSet::from([id.to_owned()])
}

fn ended(id: &str) -> BTreeSet<(String, bool)> {
    BTreeSet::from([(id.to_owned(), true)])
}

#[tokio::test]
async fn what_came_back_is_recognised_once_whenever_it_is_met() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = sent(dir.path(), verified("one", 60), &["a", "b", "c"]).await;
    drop(ledger);
    let ledger = Ledger::open(dir.path()).unwrap();
    let (world, _) = ledger.enter(world("")).await.unwrap();
    let back = || {
        vec![
            met("new-a", "Boom"),
            met("stranger", "Boom"),
            met("new-b", "Bang"),
        ]
    };
    let returned = ledger.returned(world, QUEUE, back()).await.unwrap();
    assert_eq!(returned, one("one"));
    assert_eq!(counts(&ledger, "one").await, (0, 2, 1));
    assert!(
        ledger
            .returned(world, QUEUE, back())
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(counts(&ledger, "one").await, (0, 2, 1));
}

#[tokio::test]
async fn what_has_no_error_has_not_come_back_with_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(dir.path()).unwrap();
    let (world, _) = ledger.enter(world("")).await.unwrap();
    ledger
        .begin(world, verified("one", 60), QUEUE, Vec::new(), None)
        .await
        .unwrap();
    let arrived = Arrival {
        signature: NO_ERROR.to_owned(),
        ..arrival("a")
    };
    ledger
        .intend("one", QUEUE, true, vec![arrived], Vec::new())
        .await
        .unwrap();
    let sent = outcome("a", Step::Sent("new-a".to_owned()));
    ledger.settle("one", vec![sent]).await.unwrap();
    let back = vec![met("new-a", NO_ERROR)];
    ledger.returned(world, QUEUE, back).await.unwrap();
    assert_eq!(counts(&ledger, "one").await, (0, 1, 0));
}

#[tokio::test]
async fn a_failed_invocation_is_recognised_by_its_request() {
    let dir = tempfile::tempdir().unwrap();
    let mut task = verified("one", 60);
    task.plan.target.kind = OriginKind::Function;
    let (ledger, world) = sent(dir.path(), task, &["a"]).await;
    let record = Met {
        request_id: Some("new-a".to_owned()),
        ..met("record", "Boom")
    };
    let returned = ledger.returned(world, QUEUE, vec![record]).await.unwrap();
    assert_eq!(returned, one("one"));
}

#[tokio::test]
async fn what_is_where_it_was_sent_has_not_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, here) = sent(dir.path(), verified("one", 60), &["a"]).await;
    let orders = QUEUE.replace("dlq", "orders");
    let (there, _) = ledger.enter(world("second run")).await.unwrap();
    for (world, queue) in [(here, orders.as_str()), (there, QUEUE)] {
        let back = vec![met("new-a", "Boom")];
        assert!(
            ledger
                .returned(world, queue, back)
                .await
                .unwrap()
                .is_empty()
        );
    }
}

#[tokio::test]
async fn the_next_operation_that_takes_it_recognises_it_too() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, world) = sent(dir.path(), verified("one", 60), &["a"]).await;
    let next = verified("two", 60);
    ledger
        .begin(world, next, QUEUE, Vec::new(), None)
        .await
        .unwrap();
    send(&ledger, "two", &["new-a"]).await;
    assert_eq!(counts(&ledger, "one").await, (0, 1, 1));
    // While it runs, its own events are recognised and left alone.
    let verdict = intend(&ledger, "two", true, "new-new-a").await;
    assert_eq!(verdict, Verdict::Hold);
    assert_eq!(counts(&ledger, "two").await, (0, 1, 1));
}

#[tokio::test]
async fn what_was_not_looked_for_after_its_window_has_not_settled() {
    let dir = tempfile::tempdir().unwrap();
    let before = Timestamp::now();
    let (ledger, world) = sent(dir.path(), verified("one", 60), &["a", "b", "c"]).await;
    let after = Timestamp::now();
    let window = Duration::from_mins(1);
    assert_eq!(ledger.unjudged(world).await.unwrap(), ended("one"));
    let due = ledger.to_judge("one").await.unwrap().due.unwrap();
    let earliest = before.as_millisecond() + 60_000;
    assert!((earliest..=earliest + 120_000).contains(&due.as_millisecond()));

    ledger.judge("one", before + window / 2).await.unwrap();
    assert_eq!(counts(&ledger, "one").await, (0, 0, 0));
    assert_eq!(ledger.unjudged(world).await.unwrap(), ended("one"));

    let back = vec![met("new-a", "Boom")];
    ledger.returned(world, QUEUE, back).await.unwrap();
    ledger.judge("one", after + window).await.unwrap();
    assert_eq!(counts(&ledger, "one").await, (2, 1, 1));
    assert!(ledger.redrive("one").await.unwrap().unwrap().judged());
    assert!(ledger.unjudged(world).await.unwrap().is_empty());

    // One that comes back later than ever expected did not settle.
    let late = vec![met("new-b", "Boom")];
    ledger.returned(world, QUEUE, late).await.unwrap();
    assert_eq!(counts(&ledger, "one").await, (1, 2, 2));
}

#[tokio::test]
async fn what_cannot_be_verified_never_settles_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let mut task = verified("one", 60);
    task.plan.verification.unverified = Some("nobody knows".to_owned());
    let (ledger, world) = sent(dir.path(), task, &["a"]).await;
    assert!(ledger.unjudged(world).await.unwrap().is_empty());
    ledger.judge("one", Timestamp::MAX).await.unwrap();
    let redrive = ledger.redrive("one").await.unwrap().unwrap();
    assert_eq!((redrive.sent, redrive.settled), (1, 0));
    assert_eq!(redrive.unverified.as_deref(), Some("nobody knows"));
}

#[tokio::test]
async fn a_ledger_from_before_returns_were_kept_is_read_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.db");
    let old = rusqlite::Connection::open(&path).unwrap();
    old.execute_batch(schema::STEPS[0]).unwrap();
    old.execute_batch("INSERT INTO worlds VALUES (1, '123456789012', 'eu-west-1', '', '')")
        .unwrap();
    let plan = serde_json::to_string(&plan("plan-one")).unwrap();
    old.execute(
        "INSERT INTO operations VALUES ('one', 1, 'plan-one', ?1, ?2, 'completed', NULL, NULL, 1, 2)",
        [QUEUE, &plan],
    )
    .unwrap();
    old.execute(
        "INSERT INTO events VALUES ('one', 'a', ?1, 'deleted', 0, 0, NULL, 'new-a', NULL, 1, 1, 1)",
        [QUEUE],
    )
    .unwrap();
    drop(old);

    let ledger = Ledger::open(dir.path()).unwrap();
    let (world, _) = ledger.enter(world("")).await.unwrap();
    let back = || vec![met("new-a", "Boom")];
    let orders = QUEUE.replace("dlq", "orders");
    assert!(
        ledger
            .returned(world, &orders, back())
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        ledger.returned(world, QUEUE, back()).await.unwrap(),
        one("one")
    );
    // How it failed before was not written down, so it is not said that it failed alike.
    assert_eq!(counts(&ledger, "one").await, (0, 1, 0));
    let redrive = ledger.redrive("one").await.unwrap().unwrap();
    assert!(redrive.unverified.is_some() && redrive.judged());
    send_another(&ledger, world).await;
}

async fn send_another(ledger: &Ledger, world: i64) {
    let task = verified("two", 60);
    ledger
        .begin(world, task, QUEUE, Vec::new(), None)
        .await
        .unwrap();
    send(ledger, "two", &["b"]).await;
    assert_eq!(counts(ledger, "two").await, (0, 0, 0));
}

#[tokio::test]
async fn a_verification_that_came_to_nothing_says_why_and_keeps_what_came_back() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, world) = sent(dir.path(), verified("one", 60), &["a", "b"]).await;
    let back = vec![met("new-a", "Boom")];
    ledger.returned(world, QUEUE, back).await.unwrap();
    let why = "it holds too much".to_owned();
    ledger.give_up("one", why.clone()).await.unwrap();
    let redrive = ledger.redrive("one").await.unwrap().unwrap();
    assert_eq!((redrive.returned, redrive.unverified), (1, Some(why)));
    assert!(ledger.unjudged(world).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_a_paused_operation_sent_is_judged_and_stays_open() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(dir.path()).unwrap();
    let (world, _) = ledger.enter(world("")).await.unwrap();
    let begun = ledger.begin(world, verified("one", 0), QUEUE, Vec::new(), None);
    begun.await.unwrap();
    send(&ledger, "one", &["a"]).await;
    assert!(ledger.unjudged(world).await.unwrap().is_empty());
    assert!(ledger.ask("one", "why".to_owned()).await.unwrap());
    let paused = BTreeSet::from([("one".to_owned(), false)]);
    assert_eq!(ledger.unjudged(world).await.unwrap(), paused);
    let due = ledger.to_judge("one").await.unwrap().due.unwrap();
    ledger.judge("one", due).await.unwrap();
    assert_eq!(counts(&ledger, "one").await, (1, 0, 0));
    assert_eq!(ledger.unjudged(world).await.unwrap(), paused);
}
