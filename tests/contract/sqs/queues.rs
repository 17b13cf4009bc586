//! Queues as a whole.

use aws_sdk_sqs::types::QueueAttributeName;

use super::bench::{Bench, refused};

/// "Amazon SQS API Reference: `PurgeQueue`": messages in flight go too, and a second purge within 60 seconds is refused.
#[tokio::test]
async fn f19_a_purge_takes_messages_in_flight_and_is_allowed_once_a_minute() {
    let bench = Bench::new().await;
    let queue = bench.queue("purge", &[]).await;
    bench.send(&queue, "1").await;
    bench.receive_one(&queue, 30).await;
    bench.send(&queue, "2").await;
    assert_eq!(bench.depth(&queue).await, (1, 1));
    let purge = || bench.sqs.purge_queue().queue_url(&queue.url).send();
    purge().await.unwrap();
    assert_eq!(bench.depth(&queue).await, (0, 0));
    let error = purge().await.err().unwrap().into_service_error();
    assert!(error.is_purge_queue_in_progress(), "{error:?}");
}

/// "Amazon SQS API Reference: `DeleteQueue`": a queue of the same name can be created again after 60 seconds only.
#[tokio::test]
async fn the_name_of_a_deleted_queue_is_taken_for_a_minute() {
    let bench = Bench::new().await;
    let queue = bench.queue("deleted", &[]).await;
    let delete = bench.sqs.delete_queue().queue_url(&queue.url);
    delete.send().await.unwrap();
    let create = bench.sqs.create_queue().queue_name(&queue.name);
    let error = create.send().await.err().unwrap().into_service_error();
    assert!(error.is_queue_deleted_recently(), "{error:?}");
    let get = bench.sqs.get_queue_url().queue_name(&queue.name);
    let error = get.send().await.err().unwrap().into_service_error();
    assert!(error.is_queue_does_not_exist(), "{error:?}");
}

/// "Amazon SQS API Reference: `CreateQueue`": creating again with other attributes is refused, with the same ones it is not.
#[tokio::test]
async fn a_queue_is_created_once() {
    let bench = Bench::new().await;
    let delay = |value| (QueueAttributeName::DelaySeconds, value);
    let queue = bench.queue("once", &[delay("5")]).await;
    assert_eq!(bench.queue("once", &[delay("5")]).await.url, queue.url);
    let create = bench.sqs.create_queue().queue_name(&queue.name);
    let create = create.attributes(QueueAttributeName::DelaySeconds, "6");
    let error = create.send().await.err().unwrap().into_service_error();
    assert!(error.is_queue_name_exists(), "{error:?}");
}

/// "Amazon SQS API Reference: `ListQueues`": pages of at most `MaxResults`, to the end.
#[tokio::test]
async fn queues_are_listed_in_pages() {
    let bench = Bench::new().await;
    for name in ["paged-1", "paged-2", "paged-3"] {
        bench.queue(name, &[]).await;
    }
    let list = bench.sqs.list_queues();
    let list = list.queue_name_prefix(bench.cloud.name("paged-"));
    let first = list.clone().max_results(2).send().await.unwrap();
    assert_eq!(first.queue_urls().len(), 2);
    let token = first.next_token().unwrap();
    let second = list.max_results(2).next_token(token).send().await.unwrap();
    assert_eq!(second.queue_urls().len(), 1);
    assert_eq!(second.next_token(), None);
    assert!(!first.queue_urls().contains(&second.queue_urls()[0]));
}

/// "Amazon SQS cost allocation tags": tags are added, replaced and removed by key.
#[tokio::test]
async fn tags_are_kept() {
    let bench = Bench::new().await;
    let queue = bench.queue("tagged", &[]).await;
    for (key, value) in [("a", "1"), ("b", "2"), ("a", "3")] {
        let tag = bench.sqs.tag_queue().queue_url(&queue.url);
        tag.tags(key, value).send().await.unwrap();
    }
    let untag = bench.sqs.untag_queue().queue_url(&queue.url);
    untag.tag_keys("b").send().await.unwrap();
    let list = bench.sqs.list_queue_tags().queue_url(&queue.url);
    let tags = list.send().await.unwrap().tags.unwrap();
    assert_eq!(
        tags.into_iter().collect::<Vec<_>>(),
        [("a".to_owned(), "3".to_owned())]
    );
}

/// "Amazon SQS API Reference: `SetQueueAttributes`": values out of range are refused and nothing is changed.
#[tokio::test]
async fn attributes_have_ranges() {
    let bench = Bench::new().await;
    let queue = bench.queue("ranges", &[]).await;
    for (name, value) in [
        (QueueAttributeName::VisibilityTimeout, "43201"),
        (QueueAttributeName::DelaySeconds, "901"),
        (QueueAttributeName::MessageRetentionPeriod, "59"),
        (QueueAttributeName::MaximumMessageSize, "1048577"),
        (QueueAttributeName::ReceiveMessageWaitTimeSeconds, "21"),
    ] {
        let before = bench.attribute(&queue, name.clone()).await;
        let set = bench.sqs.set_queue_attributes().queue_url(&queue.url);
        let set = set.attributes(name.clone(), value).send().await;
        assert_eq!(refused(set).0, "InvalidAttributeValue");
        assert_eq!(bench.attribute(&queue, name).await, before);
    }
}
