//! The audit and single outcomes.

use patterns_core::operation::OperationState;

use super::*;
use crate::ledger::{Note, Requester};

async fn verbs(ledger: &Ledger) -> Vec<(String, Option<u32>)> {
    let entries = ledger.audit(None, 0).await.unwrap();
    entries
        .into_iter()
        .map(|entry| (entry.verb, entry.uid))
        .collect()
}

/// A ledger with an operation that was started, paused, resumed and ended.
async fn ended(dir: &Path) -> Ledger {
    let ledger = Ledger::open(dir).unwrap();
    let (world, _) = ledger.enter(world("local")).await.unwrap();
    let why = Requester {
        uid: Some(1000),
        reason: Some("ticket 7".to_owned()),
    };
    ledger
        .begin(
            world,
            task("one", 2),
            QUEUE,
            vec!["m-2".to_owned(), "m-1".to_owned()],
            why,
        )
        .await
        .unwrap();
    let stand = |standing, uid| ledger.obey("one", standing, uid);
    stand(Standing::Paused, Some(1000)).await.unwrap();
    stand(Standing::Running, Some(0)).await.unwrap();
    ledger
        .end("one", OperationState::Completed, None)
        .await
        .unwrap();
    ledger
}

#[tokio::test]
async fn what_was_done_why_and_how_it_ended_is_told_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = ended(dir.path()).await;
    let import = Note::of("import", Some(1), serde_json::json!({"messages": 3}));
    ledger.note(import).await.unwrap();
    let verb = |verb: &str, uid| (verb.to_owned(), uid);
    assert_eq!(
        verbs(&ledger).await,
        [
            verb("start", Some(1000)),
            verb("pause", Some(1000)),
            verb("resume", Some(0)),
            verb("ended", None),
            verb("import", Some(1)),
        ]
    );
    let mine = ledger.audit(Some("one".to_owned()), 1).await.unwrap();
    let numbers: Vec<_> = mine.iter().map(|entry| entry.number).collect();
    assert_eq!(numbers, [2, 3, 4]);
    assert_eq!(mine[2].detail["events"]["skipped"], 2);
    assert_eq!(
        mine[2].detail["outcomes_sha256"].as_str().unwrap().len(),
        64
    );
    let redrive = ledger.redrive("one").await.unwrap().unwrap();
    assert_eq!(redrive.reason.as_deref(), Some("ticket 7"));
    assert_eq!(redrive.requested_by, Some(1000));
    assert_eq!(ledger.forged().await.unwrap(), None);
    let start = ledger.audit(None, 0).await.unwrap().remove(0);
    assert_eq!(start.plan_hash.unwrap().len(), 64);
    assert_eq!(start.detail["planned"], 2);
}

#[tokio::test]
async fn nobody_changes_the_audit_unnoticed() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = ended(dir.path()).await;
    let by_hand = |sql: &'static str| {
        ledger
            .database
            .write(move |connection| Ok(connection.execute_batch(sql)?))
    };
    for sql in [
        "UPDATE audit SET uid = 0 WHERE number = 2",
        "DELETE FROM audit WHERE number = 4",
    ] {
        let error = by_hand(sql).await.unwrap_err();
        assert!(error.to_string().contains("never"), "{error}");
    }
    assert_eq!(ledger.forged().await.unwrap(), None);
    by_hand("DROP TRIGGER audit_is_not_changed; DROP TRIGGER audit_is_not_shortened")
        .await
        .unwrap();
    by_hand("UPDATE audit SET uid = 0 WHERE number = 2")
        .await
        .unwrap();
    assert_eq!(ledger.forged().await.unwrap(), Some(2));
    by_hand("UPDATE audit SET uid = 1000 WHERE number = 2; DELETE FROM audit WHERE number = 3")
        .await
        .unwrap();
    assert_eq!(ledger.forged().await.unwrap(), Some(3));
}

#[tokio::test]
async fn an_operation_and_its_entry_are_there_together_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = ended(dir.path()).await;
    let (world, _) = ledger.enter(world("local")).await.unwrap();
    let by_hand = ledger.database.write(|connection| {
        Ok(connection.execute_batch(
            "CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no room'); END",
        )?)
    });
    by_hand.await.unwrap();
    let begun = ledger.begin(world, task("two", 1), QUEUE, Vec::new(), None);
    assert!(begun.await.is_err());
    assert!(ledger.redrive("two").await.unwrap().is_none());
}

#[tokio::test]
async fn outcomes_come_in_pages() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = ended(dir.path()).await;
    let outcomes = ledger.outcomes("one", None).await.unwrap();
    let told: Vec<_> = outcomes
        .iter()
        .map(|outcome| (outcome.message_id.as_str(), outcome.state.as_str()))
        .collect();
    assert_eq!(told, [("m-2", "skipped"), ("m-1", "skipped")]);
    assert!(outcomes[0].reason.is_some());
    let after = |id: &str| ledger.outcomes("one", Some(id.to_owned()));
    assert_eq!(after("m-2").await.unwrap(), outcomes[1..]);
    assert_eq!(after("m-1").await.unwrap(), []);
    assert_eq!(after("unknown").await.unwrap(), []);
}
