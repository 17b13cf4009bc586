//! The daemon's end at every labelled place of a redrive, for the first, second and third time that it comes there.

use std::collections::HashSet;

use futures::{StreamExt, stream};
use patterns_core::operation::{Edit, OperationState};
use patterns_daemon::{IN_HAND_MAX, POINTS};
use serde_json::json;

use super::account::{Account, Route};
use super::daemon::Daemon;
use super::verdict::Verdict;
use super::{events, ramp, take_back};

/// Enough for three batches.
const EVENTS: usize = 60;

/// How often one run comes to a place, as far as that differs from what is done on the way to a queue.
fn times(route: Route, point: &str) -> u32 {
    match point {
        _ if route == Route::Function && !is_of_functions(point) => 1,
        "before_begin" | "after_begin" | "before_deleted" | "after_deleted" | "before_end"
        | "after_end" => 1,
        _ => 3,
    }
}

fn is_of_functions(point: &str) -> bool {
    matches!(point, "before_invoke" | "after_invoke")
}

fn is_of_moves(point: &str) -> bool {
    matches!(point, "before_move" | "after_move")
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
        for time in 1..=times(route, point) {
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
                account.faults(&route.refuses_for_now()).await;
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

/// All places on a way but those of edits.
fn on_the_way(route: Route) -> impl Iterator<Item = &'static str> {
    POINTS.into_iter().filter(move |point| {
        let of_queues = matches!(*point, "before_send" | "after_send");
        let elsewhere = match route {
            Route::Queue | Route::Fifo => is_of_functions(point),
            Route::Function => of_queues,
        };
        !elsewhere && !is_of_edits(point) && !is_of_moves(point)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_at_any_place_loses_nothing_on_the_way_to_a_queue() {
    end_at_each(Route::Queue, None, on_the_way(Route::Queue)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_at_any_place_loses_nothing_on_the_way_to_a_function() {
    end_at_each(Route::Function, None, on_the_way(Route::Function)).await;
}

/// In steps of 1, 5 and 25: the second time is in the second or third of them.
fn second(point: &str) -> u32 {
    match point {
        "before_begin" | "after_begin" | "before_end" | "after_end" | "before_release"
        | "after_release" => 1,
        "before_invoke" | "after_invoke" => 3,
        _ => 2,
    }
}

/// Ends at each of the places, some at a time: they wait more than they work.
async fn each_alone<F: Future<Output = (usize, usize)>>(
    about: &str,
    points: impl Iterator<Item = &'static str>,
    end_at: impl Fn(u64, &'static str) -> F,
) {
    const AT_ONCE: usize = 8;
    let ends = (1..).zip(points).map(|(seed, point)| end_at(seed, point));
    let ends: Vec<_> = stream::iter(ends).buffer_unordered(AT_ONCE).collect().await;
    println!(
        "points {about}: {} ends: lost 0, altered 0, duplicates {}, in doubt {}, unlisted 0",
        ends.len(),
        ends.iter().map(|(duplicates, _)| duplicates).sum::<usize>(),
        ends.iter().map(|(_, in_doubt)| in_doubt).sum::<usize>(),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_at_any_place_of_a_step_to_a_queue_keeps_to_the_steps() {
    let route = Route::Queue;
    each_alone("in steps to orders", on_the_way(route), |seed, point| {
        ramp::end_at(route, seed, point, second(point))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_at_any_place_of_a_step_to_a_function_keeps_to_the_steps() {
    let route = Route::Function;
    each_alone("in steps to notify", on_the_way(route), |seed, point| {
        ramp::end_at(route, seed, point, second(point))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_at_any_place_of_taking_back_loses_nothing() {
    each_alone("taken back", on_the_way(Route::Queue), |seed, point| {
        take_back::end_at(seed, point, 1)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_around_an_edited_send_keeps_the_original_and_sends_the_edited_one() {
    let points = ["before_keep", "after_keep", "after_send", "after_sent"];
    end_at_each(Route::Queue, Some(events::marking()), points.into_iter()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_around_an_edited_invocation_keeps_the_original_and_sends_the_edited_one() {
    let points = ["before_keep", "after_keep", "after_invoke", "after_sent"];
    end_at_each(Route::Function, Some(events::marking()), points.into_iter()).await;
}
