//! Taking back.

use patterns_core::operation::OperationState;

use super::*;

const ORDERS: &str = "arn:aws:sqs:eu-west-1:123456789012:orders";

fn back(id: &str) -> Task {
    let mut task = task(id, 2);
    task.plan.takes_back = Some("one".to_owned());
    task.plan.dead_letter_queue = "orders".to_owned();
    task.plan.target.name = "dlq".to_owned();
    task
}

#[tokio::test]
async fn what_is_taken_back_is_told_of_the_operation_that_sent_it() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = begun(dir.path(), "one", &["a", "b", "c"]).await;
    for id in ["a", "b"] {
        assert_eq!(intend(&ledger, "one", false, id).await, Verdict::Send);
        let sent = outcome(id, Step::Sent(format!("new-{id}")));
        ledger.settle("one", vec![sent]).await.unwrap();
    }
    ledger
        .end("one", OperationState::Completed, None)
        .await
        .unwrap();
    let mut unsettled = ledger.unsettled("one", 10).await.unwrap();
    unsettled.sort();
    assert_eq!(unsettled, ["new-a", "new-b"]);
    let (world, _) = ledger.enter(world("")).await.unwrap();
    ledger
        .begin(world, back("two"), ORDERS, unsettled, Some(1000))
        .await
        .unwrap();
    let arrivals = vec![arrival("new-a")];
    let verdicts = ledger.intend("two", ORDERS, false, arrivals, Vec::new());
    assert_eq!(verdicts.await.unwrap(), [Verdict::Send]);
    let taken = vec![outcome("new-a", Step::Sent("again-a".to_owned()))];
    let of = Taken {
        of: "one".to_owned(),
        back_in: QUEUE.to_owned(),
    };
    ledger.settle_taken("two", taken, of).await.unwrap();
    ledger
        .end("two", OperationState::Completed, None)
        .await
        .unwrap();
    let one = ledger.redrive("one").await.unwrap().unwrap();
    assert_eq!((one.sent, one.taken_back, one.returned), (2, 1, 0));
    let two = ledger.redrive("two").await.unwrap().unwrap();
    assert_eq!((two.sent, two.skipped), (1, 1));
    let outcomes = ledger.outcomes("one", None).await.unwrap();
    let states: Vec<_> = outcomes
        .iter()
        .map(|outcome| outcome.state.as_str())
        .collect();
    assert_eq!(states, ["taken_back", "sent", "skipped"]);
    assert_eq!(outcomes[0].returned_as, Some(event_id(QUEUE, "again-a")));
    let missed = ledger
        .outcomes("two", Some("new-a".to_owned()))
        .await
        .unwrap();
    assert!(
        missed[0]
            .reason
            .as_ref()
            .unwrap()
            .contains("consumer's hands")
    );
    // It is where it was put, so it did not come back.
    let met = Met {
        message_id: "again-a".to_owned(),
        request_id: None,
        signature: String::new(),
    };
    assert!(
        ledger
            .returned(world, QUEUE, vec![met])
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(ledger.unsettled("one", 10).await.unwrap(), ["new-b"]);
}
