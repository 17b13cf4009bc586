//! Edited redrives at a canned AWS.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use patterns_core::operation::{Edit, Level, Manner, Operation, OperationState, Plan, Selection};
use patterns_core::problem::{Problem, ProblemKind};
use patterns_core::protocol::{REASON_MAX, Reply, Request};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::original;
use crate::aws::canned::{Answer, aws};
use crate::letter::event_id;
use crate::letter::tests::letter;
use crate::mirror::store::Store;
use crate::plan::Frozen;
use crate::redrive::tests::{
    LONG, OPERATION, account, daemon, knows_dlq, plan, shown, unfinished_of,
};

const DLQ: &str = "arn:aws:sqs:eu-west-1:123456789012:dlq";

/// An account whose dead-letter queue gives out those bodies until one is deleted; what is sent is told. Its first message is `m-0`.
fn holding(
    bodies: &'static [&'static str],
    sent: Arc<Mutex<Vec<String>>>,
) -> impl Fn(&str, &Value) -> Answer {
    let deleted = AtomicBool::new(false);
    move |operation, body| match operation {
        "ReceiveMessage" if !deleted.load(Ordering::SeqCst) => {
            let messages: Vec<_> = bodies
                .iter()
                .enumerate()
                .map(|(index, body)| {
                    let id = format!("m-{index}");
                    let digest = letter(&id, body).body_md5();
                    json!({"MessageId": id, "ReceiptHandle": id, "Body": body, "MD5OfBody": digest})
                })
                .collect();
            json!({ "Messages": messages }).into()
        }
        "SendMessageBatch" => {
            let entries = body["Entries"].as_array().unwrap();
            let successful: Vec<_> = entries
                .iter()
                .map(|entry| {
                    let text = entry["MessageBody"].as_str().unwrap();
                    sent.lock().unwrap().push(text.to_owned());
                    let digest = letter("new", text).body_md5();
                    let new_id = format!("new-{}", entry["Id"].as_str().unwrap());
                    json!({"Id": entry["Id"], "MessageId": new_id, "MD5OfMessageBody": digest})
                })
                .collect();
            json!({"Successful": successful, "Failed": []}).into()
        }
        "DeleteMessageBatch" => {
            deleted.store(true, Ordering::SeqCst);
            let entries = body["Entries"].as_array().unwrap();
            let successful: Vec<_> = entries
                .iter()
                .map(|entry| json!({"Id": entry["Id"]}))
                .collect();
            json!({"Successful": successful, "Failed": []}).into()
        }
        _ => account(operation, body),
    }
}

fn to_mail(planned: u64) -> Plan {
    Plan {
        planned,
        selection: Selection::Everything,
        edit: Some(Edit::Patch(
            json!([{"op": "replace", "path": "/channel", "value": "mail"}]),
        )),
        ..plan("plan-1")
    }
}

#[tokio::test]
async fn what_is_edited_is_sent_and_its_original_kept() {
    let dir = tempfile::tempdir().unwrap();
    let sent = Arc::new(Mutex::new(Vec::new()));
    let bodies = &[
        r#"{"channel": "fax", "n": 1}"#,
        "not json",
        r#"{ "channel" : "mail" }"#,
    ];
    let aws = aws(holding(bodies, sent.clone())).await;
    // As after a crash: the edit comes out of the ledger.
    drop(unfinished_of(dir.path(), &aws, to_mail(3)).await);
    let commands = daemon(dir.path(), aws, false, &CancellationToken::new()).await;
    shown(&commands, OPERATION, OperationState::Completed).await;
    let redrive = commands.engine.operation(OPERATION).await.unwrap();
    assert_eq!((redrive.sent, redrive.failed), (2, 1));
    assert!(redrive.error.unwrap().contains("not JSON"));
    assert_eq!(
        *sent.lock().unwrap(),
        [r#"{"channel":"mail","n":1}"#, r#"{ "channel" : "mail" }"#]
    );
    let show = |id: String| commands.carry_out(Request::FailedShow { id }, None);
    let Reply::Event(detail) = show(event_id(DLQ, "m-0")).await.unwrap() else {
        panic!("no event");
    };
    assert_eq!(detail.payload, json!({"channel": "fax", "n": 1}));
    let states: Vec<_> = detail
        .history
        .iter()
        .map(|entry| entry.state.as_str())
        .collect();
    assert_eq!(states, ["intent", "edited", "sent", "deleted"]);
    // What was not changed is not kept.
    assert!(show(event_id(DLQ, "m-2")).await.is_err());
    // It comes back under the id that its send got. This mirror's queue is empty, so another one holds it.
    let other = tempfile::tempdir().unwrap();
    let back = Store::open(other.path(), String::new()).await.unwrap();
    back.met(DLQ, 1, vec![letter("new-0", "{}")]).await.unwrap();
    let (row, _) = back.find(&event_id(DLQ, "new-0")).await.unwrap().remove(0);
    let (store, ledger) = (&commands.mirror.store, &commands.engine.ledger);
    let before = original::before(store, ledger, &row).await.unwrap();
    assert_eq!(before, Some(json!({"channel": "fax", "n": 1})));
}

#[tokio::test]
async fn nothing_is_sent_whose_original_cannot_be_kept() {
    let dir = tempfile::tempdir().unwrap();
    let sent = Arc::new(Mutex::new(Vec::new()));
    let aws = aws(holding(&[r#"{"channel": "fax"}"#], sent.clone())).await;
    let commands = daemon(dir.path(), aws, false, &CancellationToken::new()).await;
    knows_dlq(&commands).await;
    commands.mirror.store.refuse_writes(true).await;
    commands.plans.keep(Frozen {
        plan: to_mail(1),
        message_ids: Vec::new(),
    });
    let start = commands.engine.start(&commands.plans, "plan-1", None);
    let id = start.await.unwrap().operation_id;
    let mut snapshots = commands.state.snapshots();
    let waits = snapshots.wait_for(|snapshot| {
        matches!(snapshot.operation(&id), Some(Operation::Redrive(redrive))
            if redrive.error.as_ref().is_some_and(|why| why.contains("history.db")))
    });
    tokio::time::timeout(LONG, waits).await.unwrap().unwrap();
    assert!(sent.lock().unwrap().is_empty());
    commands.mirror.store.refuse_writes(false).await;
    shown(&commands, &id, OperationState::Completed).await;
    assert_eq!(*sent.lock().unwrap(), [r#"{"channel":"mail"}"#]);
}

#[tokio::test]
async fn a_plan_shows_what_its_edit_makes_and_what_it_does_not_fit() {
    let dir = tempfile::tempdir().unwrap();
    let aws = aws(account).await;
    let commands = daemon(dir.path(), aws, false, &CancellationToken::new()).await;
    let mut snapshots = commands.state.snapshots();
    let known = snapshots
        .wait_for(|snapshot| !snapshot.account_id.is_empty() && snapshot.queue("dlq").is_some());
    tokio::time::timeout(LONG, known).await.unwrap().unwrap();
    // Nobody looks at the queue any more, which is empty.
    let _claim = commands.engine.claims.of("dlq").take().await;
    let letters = vec![letter("m-0", r#"{"channel":"fax"}"#), letter("m-1", "text")];
    commands.mirror.store.met(DLQ, 1, letters).await.unwrap();
    let plan = |ids: &[&str], edit: Edit| {
        let request = Request::Plan {
            dead_letter_queue: "dlq".to_owned(),
            selection: Selection::Chosen(ids.iter().map(|id| event_id(DLQ, id)).collect()),
            to: None,
            manner: Manner::default(),
            edit: Some(edit),
        };
        commands.carry_out(request, None)
    };
    let start = |plan_id: &str, reason: Option<String>| {
        let request = Request::Start {
            plan_id: plan_id.to_owned(),
            reason,
            force: false,
        };
        commands.carry_out(request, None)
    };
    let patch = || to_mail(1).edit.unwrap();
    let Reply::Plan(both) = plan(&["m-0", "m-1"], patch()).await.unwrap() else {
        panic!("no plan");
    };
    assert_eq!(both.edits.len(), 1);
    assert!(both.edits[0].after.contains("mail"));
    let stop = &both.outlook.lint[0];
    assert_eq!((stop.level, stop.forcible), (Level::Stop, true));
    assert!(stop.what.contains("1 of 2"), "{stop:?}");
    let kind = |answer: Result<Reply, Problem>| answer.unwrap_err().kind;
    assert_eq!(
        kind(start(&both.plan_id, None).await),
        ProblemKind::Conflict
    );
    let long = Some("x".repeat(REASON_MAX + 1));
    assert_eq!(kind(start(&both.plan_id, long).await), ProblemKind::Usage);
    let payload = || Edit::Payload("{}".to_owned());
    assert_eq!(
        kind(plan(&["m-0", "m-1"], payload()).await),
        ProblemKind::Usage
    );
    assert_eq!(
        kind(plan(&["m-0", "m-9"], patch()).await),
        ProblemKind::NotFound
    );
    assert!(plan(&["m-1"], payload()).await.is_ok());
}
