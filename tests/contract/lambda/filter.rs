//! Filter criteria of event source mappings.

use aws_sdk_lambda::error::ProvideErrorMetadata as _;
use aws_sdk_lambda::types::{Filter, FilterCriteria};
use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::json;

use super::bench::{Bench, mapping, wait_until};
use super::event_source::{bodies, send};

fn criteria(patterns: &[&str]) -> FilterCriteria {
    let filters = patterns
        .iter()
        .map(|pattern| Filter::builder().pattern(*pattern).build())
        .collect();
    FilterCriteria::builder().set_filters(Some(filters)).build()
}

/// AWS Lambda developer guide, "Using event filtering with an Amazon SQS event source": a message that does not match is deleted from
/// the queue, and a body of another kind than the pattern does not match.
#[tokio::test(flavor = "multi_thread")]
async fn f28_messages_that_match_no_filter_are_deleted_and_never_delivered() {
    let bench = Bench::start().await;
    let (url, arn) = bench
        .queue("source", &[(QueueAttributeName::VisibilityTimeout, "60")])
        .await;
    bench.create("f", 5).await;
    let given = [
        r#"{"kind":"order","total":120}"#,
        r#"{"kind":"order","total":99}"#,
        r#"{"kind":"refund-late"}"#,
        r#"{"kind":"other"}"#,
        "order",
    ];
    send(&bench, &url, &given).await;
    let order = json!({"body": {"kind": ["order"], "total": [{"numeric": [">=", 100]}]}});
    let refund = json!({"body": {"kind": [{"prefix": "refund"}], "total": [{"exists": false}]}});
    let criteria = criteria(&[&order.to_string(), &refund.to_string()]);
    let request = mapping(&bench, &arn).filter_criteria(criteria.clone());
    let created = request.send().await.unwrap();
    assert_eq!(created.filter_criteria(), Some(&criteria));

    wait_until("the queue is empty", || async {
        bench.depth(&url).await == (0, 0)
    })
    .await;
    let mut delivered = bodies(&bench);
    delivered.sort();
    assert_eq!(delivered, [given[0], given[2]]);
    bench.stop().await;
}

/// AWS Lambda developer guide, "Control which events Lambda sends to your function": patterns are checked, and at most five; an empty
/// list removes them.
#[tokio::test(flavor = "multi_thread")]
async fn f28_filters_are_checked_and_can_be_removed() {
    let bench = Bench::start().await;
    let (_, arn) = bench
        .queue("source", &[(QueueAttributeName::VisibilityTimeout, "60")])
        .await;
    bench.create("f", 5).await;
    let fine = r#"{"body":{"kind":["order"]}}"#;
    for patterns in [
        vec![r#"{"body":{"kind":"order"}}"#],
        vec!["{"],
        vec![fine; 6],
    ] {
        let request = mapping(&bench, &arn).filter_criteria(criteria(&patterns));
        let error = request.send().await.unwrap_err();
        assert_eq!(error.code(), Some("InvalidParameterValueException"));
    }
    let request = mapping(&bench, &arn).filter_criteria(criteria(&[fine]));
    let uuid = request.send().await.unwrap().uuid.unwrap();
    let update = bench.lambda.update_event_source_mapping().uuid(uuid);
    let updated = update.filter_criteria(criteria(&[])).send().await.unwrap();
    assert_eq!(updated.filter_criteria(), None);
    bench.stop().await;
}
