#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
use serde_json::{Value, json};

use super::*;

fn rules(rules: Value) -> Vec<Rule> {
    serde_json::from_value(rules).unwrap()
}

fn sqs<'a>(operation: &'a str, queue: &'a str) -> Call<'a> {
    Call {
        service: Service::Sqs,
        operation,
        resource: Some(queue),
    }
}

#[test]
fn a_rule_strikes_what_it_is_about_after_so_many_calls_and_so_often() {
    let faults = Faults::default();
    let rule = json!([{
        "service": "sqs", "operation": "SendMessage", "resource": "q",
        "after": 2, "times": 3,
        "fault": {"kind": "error", "error": "throttling"},
    }]);
    faults.set(1, rules(rule)).unwrap();
    for other in [sqs("SendMessage", "other"), sqs("DeleteMessage", "q")] {
        assert_eq!(faults.strike(other), Strike::default());
    }
    let struck: Vec<_> = (0..8)
        .map(|_| faults.strike(sqs("SendMessage", "q")).error.is_some())
        .collect();
    assert_eq!(
        struck,
        [false, false, true, true, true, false, false, false]
    );
    assert_eq!((faults.rules()[0].seen, faults.rules()[0].struck), (8, 3));
}

#[test]
fn the_same_seed_strikes_the_same_calls_and_rules_add_up() {
    let all = json!([
        {"share": 0.5, "fault": {"kind": "delay", "ms": 5}},
        {"share": 0.5, "fault": {"kind": "reset"}},
        {"fault": {"kind": "delay", "ms": 1}},
        {"fault": {"kind": "entries", "error": "internal", "share": 0.5}},
    ]);
    let run = |seed| {
        let faults = Faults::default();
        faults.set(seed, rules(all.clone())).unwrap();
        (0..50)
            .map(|_| faults.strike(sqs("SendMessageBatch", "q")))
            .collect::<Vec<_>>()
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
    let delays: Vec<_> = run(7)
        .iter()
        .map(|strike| strike.delay.as_millis())
        .collect();
    assert!(delays.contains(&6) && delays.contains(&1), "{delays:?}");
    let resets = run(7)
        .iter()
        .filter(|strike| strike.broken.is_some())
        .count();
    assert!((10..40).contains(&resets), "{resets}");
    let failed = run(7)
        .iter()
        .flat_map(|strike| strike.entries.unwrap().1)
        .filter(|fails| *fails)
        .count();
    assert!((180..320).contains(&failed), "{failed}");
}

#[test]
fn entries_are_of_batches_of_sqs_only() {
    let faults = Faults::default();
    let rule = json!([{"times": 1, "fault": {"kind": "entries", "error": "internal"}}]);
    faults.set(1, rules(rule)).unwrap();
    let invoke = Call {
        service: Service::Lambda,
        operation: "Invoke",
        resource: None,
    };
    for other in [invoke, sqs("SendMessage", "q")] {
        assert_eq!(faults.strike(other), Strike::default());
    }
    let strike = faults.strike(sqs("SendMessageBatch", "q"));
    assert_eq!(strike.entries, Some((Failure::Internal, [true; 10])));
}

#[test]
fn rules_that_make_no_sense_are_refused_and_the_old_ones_hold() {
    let faults = Faults::default();
    faults
        .set(1, rules(json!([{"fault": {"kind": "truncate"}}])))
        .unwrap();
    let many: Vec<_> = (0..101)
        .map(|_| json!({"fault": {"kind": "reset"}}))
        .collect();
    for (bad, why) in [
        (
            json!([{"share": 1.5, "fault": {"kind": "reset"}}]),
            "rule 1: a share",
        ),
        (
            json!([{"fault": {"kind": "reset"}}, {"fault": {"kind": "entries", "error": "internal", "share": -1.0}}]),
            "rule 2: a share",
        ),
        (
            json!([{"fault": {"kind": "delay", "ms": 600_001}}]),
            "at most 600000 ms",
        ),
        (json!(many), "101 rules"),
    ] {
        let refused = faults.set(1, rules(bad)).unwrap_err().to_string();
        assert!(refused.contains(why), "{refused}");
    }
    assert_eq!(faults.rules().len(), 1);
}

#[test]
fn entries_that_fail_leave_the_request_and_come_back_in_the_answer() {
    let body =
        json!({"QueueUrl": "u", "Entries": [{"Id": "a"}, {"Id": "b"}, {"Id": "c"}]}).to_string();
    let held = hold_back(
        body.as_bytes(),
        "DeleteMessageBatch",
        Failure::Internal,
        &[false, true, false],
    )
    .unwrap();
    let rest: Value = serde_json::from_slice(&held.rest.unwrap()).unwrap();
    assert_eq!(rest["Entries"], json!([{"Id": "a"}, {"Id": "c"}]));
    let answer = json!({"Successful": [{"Id": "a"}], "Failed": [{"Id": "c"}]}).to_string();
    let answer: Value =
        serde_json::from_str(&add(answer.as_bytes(), held.failures).unwrap()).unwrap();
    assert_eq!(answer["Failed"][1]["Id"], "b");
    assert_eq!(answer["Failed"][1]["SenderFault"], false);

    let whole = hold_back(body.as_bytes(), "X", Failure::Throttling, &[true; 10]).unwrap();
    assert!(whole.rest.is_none());
    assert_eq!(whole.failures.len(), 3);
    assert!(hold_back(body.as_bytes(), "X", Failure::Throttling, &[false; 10]).is_none());
    let entries: Vec<_> = (0..11).map(|id| json!({"Id": id.to_string()})).collect();
    for refused in [
        json!(entries),
        json!([{"Id": "a"}, {"Id": "a"}]),
        json!([{}, {}]),
    ] {
        let body = json!({ "Entries": refused }).to_string();
        let held = hold_back(body.as_bytes(), "X", Failure::Throttling, &[true; 10]);
        assert!(held.is_none(), "SQS refuses it as a whole: {body}");
    }
    assert!(hold_back(b"{}", "X", Failure::Throttling, &[true; 10]).is_none());
    assert!(hold_back(b"\xff", "X", Failure::Throttling, &[true; 10]).is_none());
}
