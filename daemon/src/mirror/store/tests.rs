use patterns_core::failed::Filter;

use super::*;
use crate::letter::tests::letter;
use crate::letter::{Attribute, AttributeValue};
use crate::mirror::search::condition;

const QUEUE: &str = "arn:aws:sqs:eu-west-1:123456789012:dlq";

async fn store(dir: &Path) -> Store {
    Store::open(dir, "here".to_owned()).await.unwrap()
}

fn received(message_id: &str, receives: u32) -> Letter {
    let mut letter = letter(message_id, &format!(r#"{{"m":"{message_id}"}}"#));
    letter
        .system
        .insert("ApproximateReceiveCount".to_owned(), receives.to_string());
    letter
}

#[tokio::test]
async fn only_a_complete_scan_forgets() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path()).await;
    store
        .met(QUEUE, 1, vec![received("a", 4), received("b", 4)])
        .await
        .unwrap();
    assert_eq!(store.finish(QUEUE, 1, true).await.unwrap(), 2);
    store.met(QUEUE, 2, vec![received("a", 5)]).await.unwrap();
    assert_eq!(store.finish(QUEUE, 2, false).await.unwrap(), 2);
    // Also when the clock went back since.
    store.met(QUEUE, 0, vec![received("a", 6)]).await.unwrap();
    assert_eq!(store.finish(QUEUE, 0, true).await.unwrap(), 1);
    let list = store
        .list(vec![QUEUE.to_owned()], Condition::default(), 10)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(list[0].message_id, "a");
    // 6 receives, 3 of them looks of ours.
    assert_eq!(list[0].receives, 3);
    assert_eq!(store.remove(QUEUE, &["a".to_owned()]).await.unwrap(), 0);
}

#[tokio::test]
async fn an_event_is_found_by_its_leading_digits() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path()).await;
    store.met(QUEUE, 1, vec![received("a", 1)]).await.unwrap();
    let id = event_id(QUEUE, "a");
    let found = store.find(&id[..4]).await.unwrap();
    assert_eq!(found[0].0.id, id);
    assert_eq!(found[0].1.body, r#"{"m":"a"}"#);
    assert!(store.find("zz").await.unwrap().is_empty());
    let chosen = store
        .chosen(QUEUE, vec![id.clone(), "unknown".to_owned()])
        .await
        .unwrap();
    assert_eq!(chosen.keys().collect::<Vec<_>>(), [&id]);
}

#[tokio::test]
async fn another_world_begins_empty() {
    let dir = tempfile::tempdir().unwrap();
    let here = store(dir.path()).await;
    here.met(QUEUE, 1, vec![received("a", 1)]).await.unwrap();
    drop(here);
    assert_eq!(store(dir.path()).await.count(QUEUE).await.unwrap(), 1);
    let there = Store::open(dir.path(), "there".to_owned()).await.unwrap();
    assert_eq!(there.count(QUEUE).await.unwrap(), 0);
}

fn record(function: &str, error_type: &str, message: &str, payload: &str) -> String {
    format!(
        r#"{{"timestamp":"2026-01-02T03:04:05Z","requestContext":{{"requestId":"r","functionArn":"arn:aws:lambda:eu-west-1:1:function:{function}",
        "condition":"RetriesExhausted"}},"requestPayload":{payload},"responsePayload":{{"errorType":"{error_type}","errorMessage":"{message}"}}}}"#
    )
}

/// A queue with one event of each kind.
async fn searchable(dir: &Path) -> Store {
    let store = store(dir).await;
    let mut plain = letter(
        "plain",
        r#"{"orderId":123,"sum":12345678901234567890123,"gift":true,"items":[{"sku":"A-1"}]}"#,
    );
    plain
        .attributes
        .insert("channel".to_owned(), crate::letter::tests::text("100%_web"));
    let letters = vec![
        plain,
        letter("text", "order 123 is no JSON, says Ärger"),
        letter(
            "mail",
            &record(
                "mail",
                "Refused",
                "no such address 17",
                r#"{"orderId":"1234"}"#,
            ),
        ),
        letter(
            "post",
            &record(
                "post",
                "Refused",
                "no such address 18",
                r#"{"orderId":123}"#,
            ),
        ),
        letter("slow", &record("mail", "Timeout", "3.00 s", "{}")),
    ];
    store.met(QUEUE, 1, letters).await.unwrap();
    store
}

async fn found(store: &Store, filter: &Filter) -> Vec<String> {
    let condition = condition(filter).unwrap();
    let queues = vec![QUEUE.to_owned(), "arn:other".to_owned()];
    let rows = store.list(queues, condition, 10).await.unwrap().unwrap();
    let mut ids: Vec<_> = rows.into_iter().map(|row| row.message_id).collect();
    ids.sort();
    ids
}

#[tokio::test]
async fn words_and_fields_are_searched() {
    let dir = tempfile::tempdir().unwrap();
    let store = searchable(dir.path()).await;
    for (query, expected) in [
        ("", &["mail", "plain", "post", "slow", "text"][..]),
        ("123", &["mail", "plain", "post", "text"]),
        ("body.orderId:123", &["plain", "post"]),
        ("body.orderId:123*", &["mail", "plain", "post"]),
        ("body.sum:12345678901234567890123", &["plain"]),
        ("body.gift:true", &["plain"]),
        ("body.gift:1", &[]),
        ("body.items[0].sku:a-1", &["plain"]),
        ("body.requestContext.requestId:r", &[]),
        ("error_type:refused", &["mail", "post"]),
        ("error_type:Refus", &[]),
        ("error_message:\"no such address 17\"", &["mail"]),
        ("\"such address\" mail", &["mail"]),
        ("attribute.channel:100%_web", &["plain"]),
        ("attribute.channel:100%xweb", &[]),
        ("100%_", &["plain"]),
        ("says Ärger", &["text"]),
        ("message_id:slow", &["slow"]),
        (
            "signature:\"Refused: no such address #\"",
            &["mail", "post"],
        ),
        ("' OR 1=1 --", &[]),
    ] {
        let filter = Filter {
            query: Some(query.to_owned()),
            ..Filter::default()
        };
        assert_eq!(found(&store, &filter).await, expected, "{query}");
    }
}

#[tokio::test]
async fn groups_and_times_select() {
    let dir = tempfile::tempdir().unwrap();
    let store = searchable(dir.path()).await;
    let group = Filter {
        group: Some("Refused: no such address #".to_owned()),
        ..Filter::default()
    };
    assert_eq!(found(&store, &group).await, ["mail", "post"]);
    let both = Filter {
        query: Some("17".to_owned()),
        ..group.clone()
    };
    assert_eq!(found(&store, &both).await, ["mail"]);
    let sent: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
    let from = Filter {
        from: Some(sent),
        ..group.clone()
    };
    assert_eq!(found(&store, &from).await.len(), 2);
    let until = Filter {
        until: Some(sent),
        ..group.clone()
    };
    assert!(found(&store, &until).await.is_empty());
    let place = Evidence::Record {
        function: "mail".to_owned(),
    };
    let at_mail = condition(&group).unwrap().at_places(&[place]);
    let chosen = store.matching(QUEUE, at_mail, 10).await.unwrap().unwrap();
    let ids: Vec<_> = chosen.into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, ["mail"]);
}

#[tokio::test]
async fn what_failed_alike_at_one_place_is_a_group() {
    let dir = tempfile::tempdir().unwrap();
    let store = searchable(dir.path()).await;
    let more = letter(
        "more",
        &record("mail", "Refused", "no such address 19", "{}"),
    );
    store.met(QUEUE, 1, vec![more]).await.unwrap();
    let groups = store.groups(vec![QUEUE.to_owned()], 10).await.unwrap();
    let seen: Vec<_> = groups
        .iter()
        .map(|group| (group.signature.as_str(), group.count))
        .collect();
    assert_eq!(seen[0], ("Refused: no such address #", 2));
    assert!(seen.contains(&("Refused: no such address #", 1)));
    assert!(seen.contains(&("Timeout: # s", 1)));
    assert!(seen.contains(&("no error recorded", 2)));
    assert_eq!(groups[0].error_type.as_deref(), Some("Refused"));
    assert!(
        groups[0]
            .sample_message
            .as_ref()
            .unwrap()
            .starts_with("no such address 1")
    );
    assert!(groups[0].first <= groups[0].last);
}

#[tokio::test]
async fn a_message_is_kept_whole() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path()).await;
    let mut whole = letter("a", "body\u{1f600}\n");
    whole.receipt_handle = String::new();
    let binary = AttributeValue::Binary(vec![0, 1, 255]);
    for (name, data_type, value) in [
        ("blob", "Binary.png", binary),
        ("count", "Number.int", AttributeValue::Text("7".to_owned())),
        ("name", "String", AttributeValue::Text("ä".to_owned())),
    ] {
        let data_type = data_type.to_owned();
        whole
            .attributes
            .insert(name.to_owned(), Attribute { data_type, value });
    }
    whole
        .system
        .insert("AWSTraceHeader".to_owned(), "Root=1-2-3".to_owned());
    store.met(QUEUE, 1, vec![whole.clone()]).await.unwrap();
    let found = store.find(&event_id(QUEUE, "a")).await.unwrap();
    assert_eq!(found[0].1, whole);
}

#[tokio::test]
async fn pages_hold_every_message_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path()).await;
    let letters = (0..25).map(|number| letter(&number.to_string(), "twelve bytes"));
    store.met(QUEUE, 1, letters.collect()).await.unwrap();
    store
        .met("arn:other", 1, vec![letter("other", "b")])
        .await
        .unwrap();
    for (limit, bytes, size) in [(10, 1 << 20, 10), (100, 30, 3)] {
        let (mut met, mut after) = (Vec::new(), String::new());
        loop {
            let queues = vec![QUEUE.to_owned()];
            let page = store.page(queues, after, limit, bytes).await.unwrap();
            assert!(page.len() <= size);
            let Some((last, _)) = page.last() else { break };
            after = last.id.clone();
            met.extend(page.into_iter().map(|(_, letter)| letter.message_id));
        }
        met.sort_by_key(|id| id.parse::<u32>().unwrap());
        let all: Vec<_> = (0..25).map(|number| number.to_string()).collect();
        assert_eq!(met, all);
    }
}

#[tokio::test]
async fn a_hundred_thousand_events_are_searched_within_the_limit() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path()).await;
    for chunk in 0..100 {
        let letters = (0..1000).map(|number| {
            let number = chunk * 1000 + number;
            let padding = "x".repeat(500);
            letter(
                &number.to_string(),
                &format!(r#"{{"orderId":{number},"padding":"{padding}"}}"#),
            )
        });
        store.met(QUEUE, 1, letters.collect()).await.unwrap();
    }
    for (query, expected) in [("body.orderId:99999", 1), (":4242,", 1), ("padding", 1000)] {
        let filter = Filter {
            query: Some(query.to_owned()),
            ..Filter::default()
        };
        let condition = condition(&filter).unwrap();
        let rows = store
            .list(vec![QUEUE.to_owned()], condition, 1000)
            .await
            .unwrap();
        assert_eq!(rows.unwrap().len(), expected, "{query}");
    }
    let groups = store.groups(vec![QUEUE.to_owned()], 10).await.unwrap();
    assert_eq!((groups.len(), groups[0].count), (1, 100_000));
}
