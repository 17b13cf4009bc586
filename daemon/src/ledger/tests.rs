mod audit;
mod chain;
mod returned;
mod taken;

use std::path::Path;

use super::*;
use crate::letter::event_id;
use crate::redrive::tests::plan;

const QUEUE: &str = "arn:aws:sqs:eu-west-1:123456789012:dlq";

fn world(instance: &str) -> World {
    World {
        account: "123456789012".to_owned(),
        region: "eu-west-1".to_owned(),
        endpoint: String::new(),
        instance: instance.to_owned(),
    }
}

fn task(id: &str, planned: u64) -> Task {
    Task {
        operation_id: id.to_owned(),
        plan: Plan {
            planned,
            ..plan(&format!("plan-{id}"))
        },
    }
}

async fn begun(dir: &Path, id: &str, chosen: &[&str]) -> Ledger {
    let ledger = Ledger::open(dir).unwrap();
    let (world, _) = ledger.enter(world("")).await.unwrap();
    let chosen = chosen.iter().map(|&id| id.to_owned()).collect();
    ledger
        .begin(world, task(id, 3), QUEUE, chosen, Some(1000))
        .await
        .unwrap();
    ledger
}

fn arrival(message_id: &str) -> Arrival {
    Arrival {
        message_id: message_id.to_owned(),
        receipt_handle: format!("handle-{message_id}"),
        request_id: None,
        signature: "Boom".to_owned(),
        refused: None,
        repeat_within: None,
    }
}

fn outcome(message_id: &str, step: Step) -> Outcome {
    Outcome {
        message_id: message_id.to_owned(),
        step,
    }
}

async fn intend(ledger: &Ledger, operation: &str, everything: bool, id: &str) -> Verdict {
    let verdicts = ledger
        .intend(operation, QUEUE, everything, vec![arrival(id)], Vec::new())
        .await
        .unwrap();
    assert_eq!(verdicts.len(), 1);
    verdicts[0]
}

#[tokio::test]
async fn what_was_sent_is_deleted_only() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = begun(dir.path(), "one", &[]).await;
    assert_eq!(intend(&ledger, "one", true, "a").await, Verdict::Send);
    ledger
        .settle("one", vec![outcome("a", Step::Sent("new".to_owned()))])
        .await
        .unwrap();
    assert_eq!(intend(&ledger, "one", true, "a").await, Verdict::Delete);
    ledger
        .settle("one", vec![outcome("a", Step::Deleted)])
        .await
        .unwrap();
    assert_eq!(intend(&ledger, "one", true, "a").await, Verdict::Delete);
    ledger
        .end("one", OperationState::Completed, None)
        .await
        .unwrap();
    // Also by the next operation on the same queue.
    let (world, _) = ledger.enter(world("")).await.unwrap();
    ledger
        .begin(world, task("two", 1), QUEUE, Vec::new(), None)
        .await
        .unwrap();
    assert_eq!(intend(&ledger, "two", true, "a").await, Verdict::Delete);
    let history = ledger.history(QUEUE, "a").await.unwrap();
    let states: Vec<_> = history.iter().map(|entry| entry.state.as_str()).collect();
    assert_eq!(states, ["intent", "sent", "deleted"]);
    assert_eq!(history[1].note.as_deref(), Some("new"));
}

#[tokio::test]
async fn what_came_back_is_not_taken_again() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = begun(dir.path(), "one", &[]).await;
    intend(&ledger, "one", true, "a").await;
    ledger
        .settle("one", vec![outcome("a", Step::Sent("new".to_owned()))])
        .await
        .unwrap();
    // A redrive policy keeps the id that the send got.
    assert_eq!(intend(&ledger, "one", true, "new").await, Verdict::Hold);
    // The record of a failed invocation is a message of its own, which names the request.
    let record = Arrival {
        request_id: Some("new".to_owned()),
        ..arrival("record")
    };
    let verdicts = ledger
        .intend("one", QUEUE, true, vec![record], Vec::new())
        .await
        .unwrap();
    assert_eq!(verdicts, [Verdict::Hold]);
    // The next operation takes it.
    let (world, _) = ledger.enter(world("")).await.unwrap();
    ledger
        .begin(world, task("two", 1), QUEUE, Vec::new(), None)
        .await
        .unwrap();
    assert_eq!(intend(&ledger, "two", true, "new").await, Verdict::Send);
}

#[tokio::test]
async fn a_choice_is_a_choice() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = begun(dir.path(), "one", &["a", "b"]).await;
    assert_eq!(intend(&ledger, "one", false, "other").await, Verdict::Hold);
    assert_eq!(intend(&ledger, "one", false, "a").await, Verdict::Send);
    ledger
        .settle("one", vec![outcome("a", Step::Failed("no".to_owned()))])
        .await
        .unwrap();
    assert_eq!(intend(&ledger, "one", false, "a").await, Verdict::Hold);
    ledger
        .end("one", OperationState::Completed, None)
        .await
        .unwrap();
    let redrive = ledger.redrive("one").await.unwrap().unwrap();
    assert_eq!((redrive.failed, redrive.sent), (1, 0));
    assert_eq!(redrive.error.as_deref(), Some("no"));
    let history = ledger.history(QUEUE, "b").await.unwrap();
    assert_eq!(history[0].state, "skipped");
}

#[tokio::test]
async fn a_crash_leaves_intents_in_doubt_and_sent_ones_to_delete() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = begun(dir.path(), "one", &[]).await;
    for id in ["intent", "sent", "deleted"] {
        intend(&ledger, "one", true, id).await;
    }
    ledger
        .settle(
            "one",
            vec![
                outcome("sent", Step::Sent("n1".to_owned())),
                outcome("deleted", Step::Sent("n2".to_owned())),
                outcome("deleted", Step::Deleted),
            ],
        )
        .await
        .unwrap();
    drop(ledger);

    let ledger = Ledger::open(dir.path()).unwrap();
    let (world, strangers) = ledger.enter(world("")).await.unwrap();
    assert_eq!(strangers, 0);
    assert_eq!(
        ledger.unfinished(world).await.unwrap(),
        [(task("one", 3), Standing::Running)]
    );
    let left = ledger.leftover("one", Timestamp::UNIX_EPOCH).await.unwrap();
    assert_eq!(left.sent, [("sent".to_owned(), "handle-sent".to_owned())]);
    assert_eq!(
        left.intent,
        [("intent".to_owned(), "handle-intent".to_owned())]
    );
    // Met again, it is sent again, and listed.
    assert_eq!(intend(&ledger, "one", true, "intent").await, Verdict::Send);
    assert_eq!(
        ledger.doubts("one").await.unwrap(),
        (vec![event_id(QUEUE, "intent")], 1)
    );
    ledger
        .settle("one", vec![outcome("intent", Step::Sent("n3".to_owned()))])
        .await
        .unwrap();
    let redrive = ledger.redrive("one").await.unwrap().unwrap();
    assert_eq!((redrive.sent, redrive.deleted), (3, 1));
    assert_eq!(redrive.in_doubt_count, 1);
}

#[tokio::test]
async fn what_certainly_was_not_sent_is_not_in_doubt() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = begun(dir.path(), "one", &[]).await;
    intend(&ledger, "one", true, "a").await;
    ledger
        .settle(
            "one",
            vec![outcome("a", Step::Postponed(Some("slow down".to_owned())))],
        )
        .await
        .unwrap();
    assert_eq!(intend(&ledger, "one", true, "a").await, Verdict::Send);
    assert_eq!(ledger.doubts("one").await.unwrap().1, 0);
}

#[tokio::test]
async fn an_event_without_answers_is_left_alone_after_three() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = begun(dir.path(), "one", &[]).await;
    for _ in 0..3 {
        assert_eq!(intend(&ledger, "one", true, "a").await, Verdict::Send);
        ledger
            .settle(
                "one",
                vec![outcome("a", Step::Unknown("silence".to_owned()))],
            )
            .await
            .unwrap();
    }
    assert_eq!(intend(&ledger, "one", true, "a").await, Verdict::Failed);
    assert_eq!(intend(&ledger, "one", true, "a").await, Verdict::Hold);
    assert_eq!(ledger.doubts("one").await.unwrap().1, 1);
}

#[tokio::test]
async fn a_refused_arrival_is_written_down() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = begun(dir.path(), "one", &[]).await;
    let arrivals = vec![
        Arrival {
            refused: Some(Step::Skipped("elsewhere".to_owned())),
            ..arrival("a")
        },
        Arrival {
            refused: Some(Step::Failed("no payload".to_owned())),
            ..arrival("b")
        },
    ];
    let verdicts = ledger
        .intend("one", QUEUE, true, arrivals, Vec::new())
        .await
        .unwrap();
    assert_eq!(verdicts, [Verdict::Skipped, Verdict::Failed]);
    let redrive = ledger.redrive("one").await.unwrap().unwrap();
    assert_eq!((redrive.skipped, redrive.failed), (1, 1));
}

#[tokio::test]
async fn another_world_is_not_resumed_and_its_messages_mean_nothing_here() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = begun(dir.path(), "one", &[]).await;
    intend(&ledger, "one", true, "a").await;
    ledger
        .settle("one", vec![outcome("a", Step::Sent("new".to_owned()))])
        .await
        .unwrap();
    let (there, strangers) = ledger.enter(world("second run")).await.unwrap();
    assert_eq!(strangers, 1);
    assert_eq!(ledger.unfinished(there).await.unwrap(), []);
    assert_eq!(ledger.recent(there, 10).await.unwrap(), []);
    ledger
        .begin(there, task("two", 1), QUEUE, Vec::new(), None)
        .await
        .unwrap();
    assert_eq!(intend(&ledger, "two", true, "a").await, Verdict::Send);
}

#[tokio::test]
async fn a_plan_runs_once() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = begun(dir.path(), "one", &[]).await;
    let (world, _) = ledger.enter(world("")).await.unwrap();
    let mut again = task("two", 3);
    again.plan.plan_id = "plan-one".to_owned();
    assert!(
        ledger
            .begin(world, again, QUEUE, Vec::new(), None)
            .await
            .is_err()
    );
    assert_eq!(
        ledger.of_plan("plan-one").await.unwrap().as_deref(),
        Some("one")
    );
}

#[tokio::test]
async fn what_somebody_wished_is_not_overruled_by_a_question() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = begun(dir.path(), "one", &[]).await;
    let (world, _) = ledger.enter(world("")).await.unwrap();
    let cancelled = ledger.obey("one", Standing::Cancelling, Some(1000));
    cancelled.await.unwrap();
    assert!(!ledger.ask("one", "why".to_owned()).await.unwrap());
    let standing = ledger.standing(world, "one").await.unwrap();
    assert_eq!(standing, Some(Standing::Cancelling));
}

#[tokio::test]
async fn what_is_not_known_to_be_deleted_can_be_doubted_and_old_intents_are_let_be() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = begun(dir.path(), "one", &[]).await;
    for id in ["deleted", "sent", "intent"] {
        intend(&ledger, "one", true, id).await;
    }
    let outcomes = vec![
        outcome("deleted", Step::Sent("n-1".to_owned())),
        outcome("deleted", Step::Deleted),
        outcome("sent", Step::Sent("n-2".to_owned())),
    ];
    ledger.settle("one", outcomes).await.unwrap();
    ledger.doubt_undeleted("one").await.unwrap();
    let doubts = ledger.doubts("one").await.unwrap();
    assert_eq!(doubts, (vec![event_id(QUEUE, "sent")], 1));
    let left = |since| ledger.leftover("one", since);
    let all = left(Timestamp::UNIX_EPOCH).await.unwrap();
    assert_eq!((all.sent.len(), all.intent.len()), (1, 1));
    let none = left(Timestamp::MAX).await.unwrap();
    assert_eq!((none.sent.len(), none.intent.len()), (1, 0));
}
