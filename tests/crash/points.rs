//! The daemon's end at every labelled place of a redrive, for the first, second and third time that it comes there.

use std::collections::HashSet;

use patterns_core::operation::{Edit, OperationState};
use patterns_daemon::{IN_HAND_MAX, POINTS};
use serde_json::json;

use super::account::{Account, Route};
use super::daemon::Daemon;
use super::events;
use super::verdict::Verdict;

/// Enough for three batches.
const EVENTS: usize = 60;

/// How often one run comes to a place.
fn times(point: &str) -> u32 {
    match point {
        "before_begin" | "after_begin" | "before_deleted" | "after_deleted" | "before_end"
        | "after_end" => 1,
        _ => 3,
    }
}

fn is_of_functions(point: &str) -> bool {
    matches!(point, "before_invoke" | "after_invoke")
}

fn is_of_edits(point: &str) -> bool {
    matches!(point, "before_keep" | "after_keep")
}

/// Ends the daemon at each of the points, and after each lets another finish the redrive.
async fn end_at_each(route: Route, edit: Option<Edit>, points: impl Iterator<Item = &str>) {
    let mut account = Account::start(route).await;
    let mut daemon = Daemon::of(&account);
    let queue = route.dead_letters();
    let (mut ends, mut duplicates, mut in_doubt, mut swept) = (0, 0, 0, 0);
    for point in points {
        for time in 1..=times(point) {
            let about = format!("{point}:{time}");
            let told = account.witnessed().await.len();
            ends += 1;
            let mut events = events::make(route, ends, EVENTS);
            account.fail(queue, &events).await;
            daemon.start(Some(&about));
            let plan = daemon.plan(queue, EVENTS, edit.clone()).await;
            if edit.is_some() {
                events::edit(&mut events);
            }
            let snapshot = daemon.snapshot().await.unwrap();
            let earlier: HashSet<_> = snapshot
                .operations
                .iter()
                .map(|operation| operation.id().to_owned())
                .collect();
            if point.ends_with("release") {
                // What is refused for now is released.
                let slow = json!([{"operation": "SendMessageBatch", "times": 3,
                    "fault": {"kind": "error", "error": "throttling"}}]);
                account.faults(&slow).await;
            }
            let started = daemon.carry_out(plan).await;
            while daemon.ended_by_itself().is_none() {
                let snapshot = daemon.snapshot().await;
                let past =
                    snapshot
                        .as_ref()
                        .zip(started.as_ref())
                        .is_some_and(|(snapshot, operation)| {
                            let operation = snapshot.operation(operation);
                            operation.is_some_and(|operation| operation.state().ended())
                        });
                assert!(!past, "never at {about}\n{}", daemon.log());
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            account.faults(&json!([])).await;
            account.settle().await;
            account.uncover();
            daemon.start(None);
            let operation = match started {
                Some(operation) => operation,
                // Nothing was written down, so nothing happened.
                None if point == "before_begin" => daemon.redrive(queue, EVENTS).await,
                None => {
                    let known = async || {
                        let snapshot = daemon.snapshot().await?;
                        let running = snapshot.operations.iter();
                        let running = running.filter(|operation| !earlier.contains(operation.id()));
                        running.map(|operation| operation.id().to_owned()).next()
                    };
                    account.until("the operation is known", known).await
                }
            };
            let redrive = account
                .until(&about, async || daemon.ended(&operation).await)
                .await;
            swept += daemon.sweep(&mut account, queue).await;
            daemon.stop().await;
            assert_eq!(redrive.state, OperationState::Completed, "{about}");
            let doubts = daemon.doubts(&operation);
            let verdict = Verdict::of(&account.witnessed().await[told..], route, &events);
            verdict.must_hold(&doubts, &about);
            assert_eq!(
                (verdict.events, verdict.left),
                (EVENTS, 0),
                "{about}: {verdict}"
            );
            if edit.is_some() {
                assert_eq!(daemon.originals(&operation), EVENTS, "{about}");
            }
            assert!(
                verdict.duplicates.len() <= IN_HAND_MAX,
                "{about}: {verdict}"
            );
            duplicates += verdict.duplicates.len();
            in_doubt += doubts.len();
        }
    }
    println!(
        "points on the way to {}{}: {ends} ends of {EVENTS} events each: lost 0, altered 0, duplicates {duplicates}, \
         in doubt {in_doubt}, unlisted 0; deleted by the next redrive {swept}",
        route.target(),
        if edit.is_some() { ", edited" } else { "" }
    );
    account.local.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_at_any_place_loses_nothing_on_the_way_to_a_queue() {
    let points = POINTS
        .into_iter()
        .filter(|point| !is_of_functions(point) && !is_of_edits(point));
    end_at_each(Route::Queue, None, points).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_at_any_invocation_loses_nothing_on_the_way_to_a_function() {
    let points = POINTS.into_iter().filter(|point| is_of_functions(point));
    end_at_each(Route::Function, None, points).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_around_an_edited_send_keeps_the_original_and_sends_the_edited_one() {
    let points = ["before_keep", "after_keep", "after_send", "after_sent"];
    end_at_each(Route::Queue, Some(events::marking()), points.into_iter()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_around_an_edited_invocation_keeps_the_original_and_sends_the_edited_one() {
    let points = ["after_keep", "after_invoke"];
    end_at_each(Route::Function, Some(events::marking()), points.into_iter()).await;
}
