//! One event through several redrives.

use std::collections::BTreeMap;

use patterns_core::operation::{Edit, Verification};

use super::*;
use crate::mirror::signature::NO_ERROR;

/// What is different from one redrive to the next.
#[derive(Clone, Copy)]
struct Try {
    revision: &'static str,
    edited: bool,
    error: &'static str,
    /// The error before the first.
    first: &'static str,
}

const SAME: Try = Try {
    revision: "r-1",
    edited: false,
    error: "Boom",
    first: "Boom",
};

/// A ledger in which a message was redriven as often as there are tries and came back each time; its last id.
async fn redriven(dir: &Path, tries: &[Try]) -> (Ledger, String) {
    let ledger = Ledger::open(dir).unwrap();
    let (world, _) = ledger.enter(world("")).await.unwrap();
    let first = tries.first().map_or("Boom", |try_| try_.first);
    let (mut id, mut error) = ("m".to_owned(), first);
    for (number, try_) in tries.iter().enumerate() {
        let mut task = task(&format!("op-{number}"), 1);
        task.plan.edit = try_.edited.then(|| Edit::Payload("{}".to_owned()));
        task.plan.verification = Verification {
            revisions: BTreeMap::from([("notify".to_owned(), try_.revision.to_owned())]),
            ..Verification::default()
        };
        let operation = task.operation_id.clone();
        ledger
            .begin(world, task, QUEUE, Vec::new(), None)
            .await
            .unwrap();
        let arrived = Arrival {
            signature: error.to_owned(),
            ..arrival(&id)
        };
        let verdicts = ledger
            .intend(&operation, QUEUE, true, vec![arrived], Vec::new())
            .await
            .unwrap();
        assert_eq!(verdicts, [Verdict::Send]);
        let next = format!("{id}'");
        let outcomes = vec![outcome(&id, Step::Sent(next.clone()))];
        ledger.settle(&operation, outcomes).await.unwrap();
        let met = Met {
            message_id: next.clone(),
            request_id: None,
            signature: try_.error.to_owned(),
        };
        ledger.returned(world, QUEUE, vec![met]).await.unwrap();
        (id, error) = (next, try_.error);
    }
    (ledger, id)
}

async fn loops(tries: &[Try], revision: &str) -> bool {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, last) = redriven(dir.path(), tries).await;
    let now = BTreeMap::from([("notify".to_owned(), revision.to_owned())]);
    let loops = ledger.loops(QUEUE, now).await.unwrap();
    // Those that it was before are in no queue any more, and stay in the ledger.
    loops.contains(&(last, "Boom".to_owned()))
}

#[tokio::test]
async fn an_event_that_always_fails_alike_is_a_loop_until_something_changes() {
    assert!(!loops(&[SAME; 2], "r-1").await);
    assert!(loops(&[SAME; 3], "r-1").await);
    assert!(loops(&[SAME; 4], "r-1").await);
    assert!(
        !loops(&[SAME; 4], "r-2").await,
        "the function is another now"
    );
    let before = Try {
        revision: "r-0",
        ..SAME
    };
    assert!(!loops(&[before, SAME, SAME], "r-1").await);
    let edited = Try {
        edited: true,
        ..SAME
    };
    assert!(!loops(&[SAME, edited, SAME], "r-1").await);
    let other = Try {
        error: "Bang",
        ..SAME
    };
    assert!(!loops(&[SAME, other, SAME], "r-1").await);
}

#[tokio::test]
async fn an_event_without_a_recorded_error_loops_too() {
    let dir = tempfile::tempdir().unwrap();
    let none = Try {
        error: NO_ERROR,
        first: NO_ERROR,
        ..SAME
    };
    let (ledger, last) = redriven(dir.path(), &[none; 3]).await;
    let now = BTreeMap::from([("notify".to_owned(), "r-1".to_owned())]);
    let loops = ledger.loops(QUEUE, now).await.unwrap();
    assert!(loops.contains(&(last, NO_ERROR.to_owned())), "{loops:?}");
}

#[tokio::test]
async fn its_history_goes_back_to_the_first_failure() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, last) = redriven(dir.path(), &[SAME; 2]).await;
    let messages = ["m", "m'", &last].map(|id| (QUEUE.to_owned(), id.to_owned()));
    let counts = ledger.redriven(messages.to_vec()).await.unwrap();
    assert_eq!(counts, [0, 1, 2]);

    let history = ledger.history(QUEUE, &last).await.unwrap();
    let states: Vec<_> = history.iter().map(|entry| entry.state.as_str()).collect();
    assert_eq!(
        states,
        ["intent", "sent", "returned", "intent", "sent", "returned"]
    );
    let ids = [event_id(QUEUE, "m'"), event_id(QUEUE, &last)];
    let note = history[5].note.as_deref();
    assert_eq!(
        note,
        Some(format!("{} is back as {}: Boom", ids[0], ids[1]).as_str())
    );
    // Seen from the first, it ends where it became another.
    let history = ledger.history(QUEUE, "m").await.unwrap();
    assert_eq!(history.len(), 3);
    assert!(
        history[2]
            .note
            .as_ref()
            .unwrap()
            .ends_with(&format!("{}: Boom", ids[0]))
    );
}
