#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use proptest::prelude::*;

use super::super::{receive::MAX_IN_FLIGHT, *};
use super::{DLQ, Step, content, depth, receive_one, steps};

fn fifo(attributes: &[(&str, &str)]) -> Queue {
    let mut settings = Settings::fifo();
    let attributes = attributes
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    settings.change(&attributes.collect()).unwrap();
    Queue::new(settings, Life::default())
}

/// Sends a message whose body, and deduplication id, is `id`.
fn send_in(queue: &mut Queue, now: i64, group: &str, id: &str) -> Accepted {
    let content = Content {
        body: id.into(),
        group_id: Some(group.into()),
        deduplication_id: Some(id.into()),
        ..content(now)
    };
    queue.send(now, content, None)
}

fn ids(deliveries: &[Delivery]) -> Vec<&str> {
    deliveries
        .iter()
        .map(|delivery| &*delivery.content.body)
        .collect()
}

fn receive_ten(queue: &mut Queue, now: i64) -> Vec<Delivery> {
    queue.receive(now, 10, 30, true).unwrap().deliveries
}

#[test]
fn a_group_is_received_in_order_and_by_one_consumer_at_a_time() {
    let mut queue = fifo(&[]);
    for (group, id) in [("a", "a1"), ("b", "b1"), ("a", "a2"), ("a", "a3")] {
        send_in(&mut queue, 0, group, id);
    }
    let two = queue.receive(0, 2, 30, true).unwrap().deliveries;
    assert_eq!(ids(&two), ["a1", "a2"], "as many of one group as possible");
    let rest = receive_ten(&mut queue, 0);
    assert_eq!(ids(&rest), ["b1"], "group a is held");
    assert!(queue.delete(0, two[0].ticket));
    assert!(receive_ten(&mut queue, 0).is_empty(), "a2 is still held");
    queue.change_visibility(0, two[1].ticket, 0).unwrap();
    assert_eq!(ids(&receive_ten(&mut queue, 0)), ["a2", "a3"]);
    assert_eq!(
        ids(&receive_ten(&mut queue, 30_000)),
        ["b1", "a2", "a3"],
        "what comes back comes in its place"
    );
}

#[test]
fn a_duplicate_is_accepted_and_not_kept_for_five_minutes_also_after_the_first_was_deleted() {
    let mut queue = fifo(&[]);
    let first = send_in(&mut queue, 0, "a", "one");
    let delivery = receive_one(&mut queue, 0).unwrap();
    assert!(queue.delete(0, delivery.ticket));
    assert_eq!(send_in(&mut queue, 299_999, "b", "one"), first);
    assert_eq!(depth(&mut queue, 299_999), (0, 0, 0));
    let later = send_in(&mut queue, 300_000, "b", "one");
    assert_eq!(depth(&mut queue, 300_000), (1, 0, 0));
    assert!(later.sequence_number > first.sequence_number);
}

#[test]
fn with_the_group_as_scope_the_same_id_in_two_groups_is_of_two_messages() {
    let mut queue = fifo(&[("DeduplicationScope", "messageGroup")]);
    for group in ["a", "b", "a"] {
        send_in(&mut queue, 0, group, "one");
    }
    assert_eq!(depth(&mut queue, 0), (2, 0, 0));
}

#[test]
fn in_a_fifo_dead_letter_queue_the_retention_starts_again_and_the_message_id_deduplicates() {
    let mut source = fifo(&[(
        "RedrivePolicy",
        r#"{"deadLetterTargetArn":"arn:dlq","maxReceiveCount":1}"#,
    )]);
    send_in(&mut source, 0, "a", "first");
    send_in(&mut source, 0, "a", "second");
    let first = receive_one(&mut source, 0).unwrap();
    assert_eq!(ids(std::slice::from_ref(&first)), ["first"]);
    let mut taken = source.receive(30_000, 10, 30, true).unwrap();
    assert_eq!(
        ids(&taken.deliveries),
        ["second"],
        "the group goes on behind what was moved"
    );
    let mut target = fifo(&[("MessageRetentionPeriod", "60")]);
    target.accept(30_000, taken.dead.pop().unwrap(), DLQ);
    assert_eq!(target.advance(89_999), 0);
    let delivery = receive_one(&mut target, 31_000).unwrap();
    assert_eq!(delivery.content.sent_at, 30_000);
    assert_eq!(delivery.content.group_id.as_deref(), Some("a"));
    let id = first.content.message_id.to_string();
    assert_eq!(delivery.content.deduplication_id.as_deref(), Some(&*id));
    assert_eq!(delivery.dead_letter_source.as_deref(), Some(DLQ));
    assert_eq!(target.advance(90_000), 1);
}

#[test]
fn a_new_delay_holds_for_the_messages_of_a_fifo_queue_that_nobody_received() {
    let mut queue = fifo(&[]);
    send_in(&mut queue, 0, "a", "one");
    let mut delayed = Settings::fifo();
    delayed
        .change(&BTreeMap::from([(
            "DelaySeconds".to_owned(),
            "10".to_owned(),
        )]))
        .unwrap();
    queue.configure(1_000, delayed);
    assert_eq!(depth(&mut queue, 9_999), (0, 1, 0));
    assert_eq!(depth(&mut queue, 10_000), (1, 0, 0));
    send_in(&mut queue, 10_000, "a", "two");
    queue.configure(10_000, Settings::fifo());
    assert_eq!(depth(&mut queue, 10_000), (2, 0, 0));
}

#[test]
fn a_receive_attempt_is_repeated_with_its_handles_until_something_happens_to_its_messages() {
    let mut queue = fifo(&[]);
    send_in(&mut queue, 0, "a", "one");
    send_in(&mut queue, 0, "a", "two");
    let first = queue.receive(0, 10, 30, true).unwrap();
    queue.remember(0, "attempt", &first);
    let tickets = |taken: &Taken| -> Vec<_> {
        let deliveries = taken.deliveries.iter();
        deliveries
            .map(|delivery| (delivery.ticket, delivery.receive_count))
            .collect()
    };
    let again = queue.receive_again(20_000, "attempt", 30).unwrap();
    assert_eq!(tickets(&again), tickets(&first));
    assert_eq!(
        depth(&mut queue, 49_999),
        (0, 0, 2),
        "the timeout starts again"
    );
    assert!(queue.receive_again(49_999, "another", 30).is_none());
    queue
        .change_visibility(49_999, first.deliveries[0].ticket, 60)
        .unwrap();
    assert!(queue.receive_again(49_999, "attempt", 30).is_none());
}

#[test]
fn a_full_fifo_queue_gives_nothing_and_no_error() {
    let mut queue = fifo(&[]);
    for number in 0..=MAX_IN_FLIGHT {
        send_in(&mut queue, 0, &number.to_string(), &number.to_string());
    }
    let all = queue.receive(0, MAX_IN_FLIGHT + 1, 30, true).unwrap();
    assert_eq!(all.deliveries.len(), MAX_IN_FLIGHT);
    let none = queue.receive(0, 1, 30, true).unwrap();
    assert!(none.deliveries.is_empty());
}

proptest! {
    /// Whatever consumers do, a group is delivered in the order it was sent, and never to two at a time.
    #[test]
    fn groups_keep_their_order(steps in steps()) {
        let mut queue = fifo(&[]);
        let (mut now, mut sent) = (0_i64, 0_u64);
        // Tickets by group, with the time until they hold their message.
        let mut held: Vec<(u64, Ticket, i64)> = Vec::new();
        let mut done = BTreeSet::new();
        for step in steps {
            held.retain(|(_, _, until)| *until > now);
            match step {
                Step::Send(_) => {
                    send_in(&mut queue, now, &(sent % 3).to_string(), &sent.to_string());
                    sent += 1;
                }
                Step::Receive { max, visibility } => {
                    let taken = queue.receive(now, max, visibility + 1, true).unwrap();
                    let before = held.clone();
                    let mut last = BTreeMap::new();
                    for delivery in taken.deliveries {
                        let sequence = delivery.ticket.sequence;
                        let group = sequence % 3;
                        prop_assert!(before.iter().all(|(of, _, _)| *of != group), "group {group} is held");
                        let expected = (last.get(&group).map_or(group, |last| last + 3)..sent)
                            .step_by(3)
                            .find(|earlier| !done.contains(earlier));
                        prop_assert_eq!(Some(sequence), expected);
                        last.insert(group, sequence);
                        held.push((group, delivery.ticket, now + i64::from(visibility + 1) * 1000));
                    }
                }
                Step::Delete(which) => {
                    if which < held.len() {
                        let (_, ticket, _) = held.remove(which);
                        prop_assert!(queue.delete(0, ticket));
                        done.insert(ticket.sequence);
                    }
                }
                Step::Change(which, seconds) => {
                    if let Some((_, ticket, until)) = held.get_mut(which) {
                        prop_assert_eq!(queue.change_visibility(now, *ticket, seconds), Ok(()));
                        *until = now + i64::from(seconds) * 1000;
                    }
                    held.retain(|(_, _, until)| *until > now);
                }
                Step::Purge => {
                    queue.purge(0);
                    held.clear();
                    done.extend(0..sent);
                }
                Step::Wait(milliseconds) => now += milliseconds,
            }
        }
    }
}
