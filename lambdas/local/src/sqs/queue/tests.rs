#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod fifo;

use proptest::prelude::*;

use super::{receive::MAX_IN_FLIGHT, *};
use crate::sqs::message::new_id;

const DLQ: &str = "arn:dlq";

fn content(sent_at: i64) -> Content {
    Content {
        message_id: new_id(),
        body: "x".into(),
        attributes: BTreeMap::new(),
        trace_header: None,
        group_id: None,
        deduplication_id: None,
        sent_at,
    }
}

fn queue(attributes: &[(&str, &str)]) -> Queue {
    let mut settings = Settings::default();
    let attributes = attributes
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    settings.change(&attributes.collect()).unwrap();
    Queue::new(settings, Life::default())
}

fn send(queue: &mut Queue, now: i64) {
    queue.send(now, content(now), None);
}

fn receive_one(queue: &mut Queue, now: i64) -> Option<Delivery> {
    queue.receive(now, 1, 30, true).unwrap().deliveries.pop()
}

fn depth(queue: &mut Queue, now: i64) -> (usize, usize, usize) {
    let depth = queue.depth(now);
    (depth.visible, depth.delayed, depth.in_flight)
}

#[test]
fn a_message_is_visible_then_in_flight_then_visible_again_then_gone() {
    let mut queue = queue(&[]);
    send(&mut queue, 0);
    assert_eq!(depth(&mut queue, 0), (1, 0, 0));
    let first = receive_one(&mut queue, 1_000).unwrap();
    assert_eq!((first.receive_count, first.first_received), (1, 1_000));
    assert_eq!(depth(&mut queue, 30_999), (0, 0, 1));
    assert_eq!(queue.next_change(), Some(31_000));
    assert!(receive_one(&mut queue, 30_999).is_none());
    let second = receive_one(&mut queue, 31_000).unwrap();
    assert_eq!((second.receive_count, second.first_received), (2, 1_000));
    assert!(
        !queue.delete(0, first.ticket),
        "the handle of an older receive deletes nothing"
    );
    assert!(queue.delete(0, second.ticket));
    assert!(!queue.delete(0, second.ticket));
    assert_eq!(depth(&mut queue, 31_000), (0, 0, 0));
}

#[test]
fn the_latest_handle_deletes_even_after_the_timeout() {
    let mut queue = queue(&[]);
    send(&mut queue, 0);
    let delivery = receive_one(&mut queue, 0).unwrap();
    assert_eq!(depth(&mut queue, 30_000), (1, 0, 0));
    assert!(queue.delete(0, delivery.ticket));
}

#[test]
fn delays_end_by_themselves_and_the_senders_wins_over_the_queues() {
    let mut queue = queue(&[("DelaySeconds", "10")]);
    send(&mut queue, 0);
    queue.send(0, content(0), Some(0));
    queue.send(0, content(0), Some(20));
    assert_eq!(depth(&mut queue, 9_999), (1, 2, 0));
    assert_eq!(queue.next_change(), Some(10_000));
    assert_eq!(depth(&mut queue, 10_000), (2, 1, 0));
    assert_eq!(depth(&mut queue, 20_000), (3, 0, 0));
}

#[test]
fn visibility_changes_while_in_flight_only_and_within_twelve_hours() {
    let mut queue = queue(&[]);
    send(&mut queue, 0);
    let delivery = receive_one(&mut queue, 0).unwrap();
    queue.change_visibility(1_000, delivery.ticket, 4).unwrap();
    assert_eq!(depth(&mut queue, 4_999), (0, 0, 1));
    assert_eq!(
        queue.change_visibility(1_001, delivery.ticket, 43_200),
        Err(NotChanged::BeyondLimit)
    );
    assert_eq!(depth(&mut queue, 5_000), (1, 0, 0));
    assert_eq!(
        queue.change_visibility(5_000, delivery.ticket, 4),
        Err(NotChanged::NotInFlight)
    );
    let again = receive_one(&mut queue, 5_000).unwrap();
    assert_eq!(
        queue.change_visibility(5_000, delivery.ticket, 0),
        Err(NotChanged::Unknown)
    );
    queue.change_visibility(5_000, again.ticket, 0).unwrap();
    assert_eq!(depth(&mut queue, 5_000), (1, 0, 0));
}

#[test]
fn after_the_last_receive_the_next_one_moves_it_with_its_history() {
    let mut source = queue(&[(
        "RedrivePolicy",
        r#"{"deadLetterTargetArn":"arn:dlq","maxReceiveCount":2}"#,
    )]);
    send(&mut source, 5);
    receive_one(&mut source, 10).unwrap();
    receive_one(&mut source, 30_010).unwrap();
    assert_eq!(
        depth(&mut source, 60_010),
        (1, 0, 0),
        "it moves at the next receive, not at the end of the timeout"
    );
    let kept = source.receive(60_010, 1, 0, false).unwrap();
    assert_eq!(
        (kept.deliveries.len(), kept.dead.len()),
        (1, 0),
        "without a target it stays"
    );
    let mut taken = source.receive(60_011, 10, 30, true).unwrap();
    assert!(taken.deliveries.is_empty());
    assert_eq!(depth(&mut source, 60_011), (0, 0, 0));

    let mut target = queue(&[]);
    target.accept(60_011, taken.dead.pop().unwrap(), DLQ);
    let delivery = receive_one(&mut target, 60_012).unwrap();
    assert_eq!(delivery.content.sent_at, 5);
    assert_eq!((delivery.receive_count, delivery.first_received), (4, 10));
    assert_eq!(delivery.dead_letter_source.as_deref(), Some(DLQ));
}

#[test]
fn retention_counts_from_the_original_send() {
    let mut target = queue(&[("MessageRetentionPeriod", "60")]);
    let dead = Dead {
        content: Arc::new(content(0)),
        receive_count: 3,
        first_received: Some(1),
    };
    target.accept(50_000, dead, DLQ);
    assert_eq!(
        target.depth(59_999).oldest_age_ms,
        Some(9_999),
        "its age counts from the move"
    );
    assert_eq!(target.advance(59_999), 0);
    assert_eq!(target.advance(60_000), 1);
    assert_eq!(depth(&mut target, 60_000), (0, 0, 0));
}

#[test]
fn a_shorter_retention_expires_what_is_there() {
    let mut queue = queue(&[]);
    send(&mut queue, 0);
    send(&mut queue, 1);
    let mut shorter = Settings::default();
    shorter
        .change(&BTreeMap::from([(
            "MessageRetentionPeriod".to_owned(),
            "60".to_owned(),
        )]))
        .unwrap();
    assert_eq!(depth(&mut queue, 60_000), (2, 0, 0));
    queue.configure(60_000, shorter);
    assert_eq!(depth(&mut queue, 60_000), (1, 0, 0));
}

#[test]
fn a_message_received_three_times_no_longer_counts_for_the_age() {
    let mut queue = queue(&[]);
    send(&mut queue, 0);
    for round in 0..3 {
        receive_one(&mut queue, round * 30_000).unwrap();
    }
    send(&mut queue, 90_000);
    assert_eq!(queue.depth(91_000).oldest_age_ms, Some(1_000));
}

#[test]
fn at_most_120_000_are_in_flight() {
    let mut queue = queue(&[]);
    for _ in 0..=MAX_IN_FLIGHT {
        send(&mut queue, 0);
    }
    assert_eq!(
        queue
            .receive(0, MAX_IN_FLIGHT + 1, 30, true)
            .unwrap()
            .deliveries
            .len(),
        MAX_IN_FLIGHT
    );
    assert_eq!(queue.receive(0, 1, 30, true).unwrap_err(), OverLimit);
    assert_eq!(
        queue.receive(30_000, 1, 30, true).unwrap().deliveries.len(),
        1
    );
}

#[derive(Clone, Debug)]
enum Step {
    Send(Option<u32>),
    Receive { max: usize, visibility: u32 },
    Delete(usize),
    Change(usize, u32),
    Purge,
    Wait(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => proptest::option::of(0..20_u32).prop_map(Step::Send),
        6 => (1..11_usize, 0..20_u32).prop_map(|(max, visibility)| Step::Receive { max, visibility }),
        4 => (0..64_usize).prop_map(Step::Delete),
        3 => (0..64_usize, 0..20_u32).prop_map(|(which, seconds)| Step::Change(which, seconds)),
        1 => Just(Step::Purge),
        5 => (1..15_000_i64).prop_map(Step::Wait),
    ];
    proptest::collection::vec(step, 1..120)
}

proptest! {
    /// Every message that was sent is visible, delayed, in flight, deleted, moved, expired or purged, and in one of these only.
    #[test]
    fn no_message_is_lost_or_doubled(steps in steps()) {
        let mut queue = queue(&[
            ("MessageRetentionPeriod", "60"),
            ("RedrivePolicy", r#"{"deadLetterTargetArn":"arn:dlq","maxReceiveCount":3}"#),
        ]);
        let (mut now, mut sent, mut gone) = (0, 0, 0);
        let mut tickets = Vec::new();
        for step in steps {
            // Counted here, because every operation lets messages expire first.
            gone += queue.advance(now);
            match step {
                Step::Send(delay) => {
                    queue.send(now, content(now), delay);
                    sent += 1;
                }
                Step::Receive { max, visibility } => {
                    let taken = queue.receive(now, max, visibility, true).unwrap();
                    prop_assert!(taken.deliveries.len() <= max);
                    gone += taken.dead.len();
                    for delivery in taken.deliveries {
                        prop_assert!(delivery.receive_count <= 3);
                        prop_assert!(!tickets.contains(&delivery.ticket), "every receive has a handle of its own");
                        tickets.push(delivery.ticket);
                    }
                }
                Step::Delete(which) => {
                    if let Some(ticket) = tickets.get(which) {
                        gone += usize::from(queue.delete(0, *ticket));
                    }
                }
                Step::Change(which, seconds) => {
                    if let Some(ticket) = tickets.get(which) {
                        let in_flight = queue.places.in_flight();
                        let changed = queue.change_visibility(now, *ticket, seconds).is_ok();
                        prop_assert_eq!(queue.places.in_flight(), in_flight - usize::from(changed && seconds == 0));
                    }
                }
                Step::Purge => gone += queue.purge(0),
                Step::Wait(milliseconds) => now += milliseconds,
            }
            let held = queue.places.visible() + queue.places.delayed() + queue.places.in_flight();
            prop_assert_eq!(held, queue.messages.len());
            prop_assert_eq!(sent, held + gone);
        }
    }
}
