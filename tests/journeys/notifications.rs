//! Notifications: taken with a token, queued, delivered once, and where they are in between.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_sqs::types::QueueAttributeName;
use futures::{StreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::handoff::logs;
use crate::killed::functions;
use crate::service_communication::{STACK, Services};
use crate::world::{eventually, signal};

fn mail() -> Value {
    json!({"to": "a@b.example", "subject": "s", "body": "b", "type": "email"})
}

fn mail_with(name: &str, value: impl Into<Value>) -> Value {
    let mut mail = mail();
    mail[name] = value.into();
    mail
}

/// Waits until a notification has `status`, and gives what is shown then.
async fn has_status(services: &Services, id: &str, status: &str) -> Value {
    eventually(&format!("{id} is {status}"), async || {
        let reply = services
            .get(&format!("/notifications/status/{id}"), &[])
            .await;
        (reply.json["status"] == status).then_some(reply.json)
    })
    .await
}

/// Status polls count as requests.
async fn unlimited(services: &Services) {
    let limit = [("RATE_LIMIT_PER_MINUTE", "1000000")];
    services.configure("gateway", &limit).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d12_a_welcome_mail_carries_the_correlation_id_into_its_queue_and_its_dead_letter() {
    let services = Services::start();
    unlimited(&services).await;
    let failing = [("DELIVERY_FAIL_RATE", "1")];
    services.configure("send-notification", &failing).await;
    let account = json!({"email": "ada@example.com", "name": "Ada", "password": "correct horse"});
    let headers = ["x-correlation-id: c-12"];
    let registered = services.post("/auth/register", &headers, &account).await;
    assert_eq!(registered.status, 201, "{}", registered.json);
    let id = format!(
        "welcome-email-{}",
        registered.json["user"]["id"].as_str().unwrap()
    );
    let failed = has_status(&services, &id, "failed").await;
    assert_eq!(failed["attemptsMade"], 3, "{failed}");
    assert!(
        failed["failedReason"].as_str().unwrap().contains("503"),
        "{failed}"
    );

    let dead_letters = services.queue_url("notifications-dlq").await;
    let message = eventually("the dead letter", async || {
        let receive = services.sqs.receive_message().queue_url(&dead_letters);
        let receive = receive.message_attribute_names("All").visibility_timeout(0);
        receive.send().await.unwrap().messages?.pop()
    })
    .await;
    let attributes = message.message_attributes.unwrap();
    assert_eq!(attributes["correlationId"].string_value(), Some("c-12"));
    let envelope: Value = serde_json::from_str(&message.body.unwrap()).unwrap();
    assert_eq!(envelope["correlationId"], "c-12");
    assert_eq!(envelope["id"], id.as_str());
    assert_eq!(envelope["payload"]["notification"]["to"], "ada@example.com");
    let stats = services.get("/notifications/stats", &[]).await.json;
    assert_eq!(
        stats,
        json!({"waiting": 0, "active": 0, "completed": 0, "failed": 1})
    );

    // The operator heals the provider and redrives: the same event, delivered once.
    services
        .configure("send-notification", &[("DELIVERY_FAIL_RATE", "0")])
        .await;
    let attributes = services.sqs.get_queue_attributes().queue_url(&dead_letters);
    let attributes = attributes.attribute_names(QueueAttributeName::QueueArn);
    let attributes = attributes.send().await.unwrap().attributes.unwrap();
    let redrive = services.sqs.start_message_move_task();
    let redrive = redrive.source_arn(&attributes[&QueueAttributeName::QueueArn]);
    redrive.send().await.unwrap();
    let delivered = has_status(&services, &id, "delivered").await;
    assert_eq!(delivered["attemptsMade"], 4, "{delivered}");
    assert!(delivered["finishedOn"].is_string() && delivered["processedOn"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn registering_does_not_depend_on_the_queue_of_welcome_mails() {
    let services = Services::start();
    unlimited(&services).await;
    let down = json!([{"service": "sqs", "operation": "SendMessage", "resource": format!("{STACK}-notifications"),
        "fault": {"kind": "error", "error": "unavailable"}}]);
    services.faults(&down).await;
    let (auth, user) = services.register("ada").await;
    let id = format!("welcome-email-{user}");
    assert_eq!(services.outbox().await, std::slice::from_ref(&id));
    assert_eq!(services.get("/auth/verify", &[&auth]).await.status, 200);
    services.faults(&json!([])).await;
    services.sweep().await;
    let delivered = has_status(&services, &id, "delivered").await;
    assert_eq!(delivered["attemptsMade"], 1, "{delivered}");
    assert!(services.outbox().await.is_empty());
}

/// The original looked whether it was sent, sent, and then noted it: two at once sent twice.
#[tokio::test(flavor = "multi_thread")]
async fn d13_the_same_notification_at_once_is_taken_and_delivered_once() {
    let services = Services::start();
    unlimited(&services).await;
    let (auth, _) = services.register("ada").await;
    let headers = [auth.as_str()];
    let wanted = mail_with("id", "order-7");
    let tries = (0..6).map(|_| services.post("/notifications/send", &headers, &wanted));
    let replies = futures::future::join_all(tries).await;
    for reply in &replies {
        assert_eq!((reply.status, &reply.json), (202, &replies[0].json));
    }
    assert_eq!(replies[0].json["id"], "order-7");
    assert_eq!(replies[0].json["status"], "queued");
    let delivered = has_status(&services, "order-7", "delivered").await;
    assert_eq!(delivered["attemptsMade"], 1);
    assert_eq!(delivered["progress"], 100);
    assert_eq!(delivered["data"]["to"], "a…@b.example", "{delivered}");

    // The event itself once more, as a redrive or a second send of the SDK would bring it.
    let queue = services.queue_url("notifications").await;
    let event = json!({"id": "order-7", "action": "send_notification", "correlationId": "c",
        "payload": {"notification": mail()}});
    let again = services.sqs.send_message().queue_url(&queue);
    again.message_body(event.to_string()).send().await.unwrap();
    eventually("it is consumed", async || {
        let stats = services.get("/notifications/stats", &[]).await.json;
        (stats["waiting"] == 0 && stats["active"] == 0).then_some(())
    })
    .await;
    let after = services
        .get("/notifications/status/order-7", &[])
        .await
        .json;
    assert_eq!(after, delivered);
    let stats = services.get("/notifications/stats", &[]).await.json;
    assert_eq!(stats["completed"], 2, "with the welcome mail: {stats}");

    // The id stands for this notification of this sender.
    let mut other = wanted.clone();
    other["body"] = json!("something else");
    assert_eq!(
        services
            .post("/notifications/send", &headers, &other)
            .await
            .status,
        422
    );
    let (eve, _) = services.register("eve").await;
    assert_eq!(
        services
            .post("/notifications/send", &[&eve], &wanted)
            .await
            .status,
        409
    );

    // An Idempotency-Key is an id of the sender's own.
    let keyed = [auth.as_str(), "idempotency-key: k-1"];
    let first = services.post("/notifications/send", &keyed, &mail()).await;
    let second = services.post("/notifications/send", &keyed, &mail()).await;
    assert_eq!((first.status, &first.json), (202, &second.json));
    let eves = services
        .post(
            "/notifications/send",
            &[&eve, "idempotency-key: k-1"],
            &mail(),
        )
        .await;
    assert_ne!(first.json["id"], eves.json["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_taken_without_the_word_of_auth() {
    let services = Services::start();
    let forged = "authorization: Bearer AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    for (headers, reason) in [
        (&[][..], "Missing or invalid token"),
        (&["authorization: Bearer x"], "Missing or invalid token"),
        (&[forged], "Invalid token"),
    ] {
        for path in ["/notifications/send", "/notifications/bulk"] {
            let refused = services.post(path, headers, &mail()).await;
            assert_eq!(
                (refused.status, &refused.json["error"]),
                (401, &json!(reason))
            );
        }
    }
    let (auth, _) = services.register("ada").await;
    let stop = services.lambda.put_function_concurrency();
    let stop = stop.function_name(format!("{STACK}-auth"));
    stop.reserved_concurrent_executions(0).send().await.unwrap();
    let refused = services
        .post("/notifications/send", &[&auth], &mail())
        .await;
    assert_eq!(refused.status, 503, "{}", refused.json);
    assert_eq!(refused.json["service"], "auth");
    let stats = services.get("/notifications/stats", &[]).await;
    assert_eq!(stats.status, 200, "what does not need auth works");
}

#[tokio::test(flavor = "multi_thread")]
async fn notifications_are_checked_before_any_is_taken() {
    let services = Services::start();
    let (auth, _) = services.register("ada").await;
    let headers = [auth.as_str()];
    for missing in ["to", "subject", "body", "type"] {
        let refused = services
            .post(
                "/notifications/send",
                &headers,
                &mail_with(missing, Value::Null),
            )
            .await;
        assert_eq!(refused.status, 400);
        assert_eq!(
            refused.json["error"],
            "to, subject, body, and type are required"
        );
    }
    for (field, value) in [
        ("type", json!("fax")),
        ("type", json!(5)),
        ("priority", json!("urgent")),
        ("scheduledFor", json!("tomorrow")),
        ("to", json!("nobody")),
    ] {
        let refused = services
            .post("/notifications/send", &headers, &mail_with(field, value))
            .await;
        assert_eq!(refused.status, 400, "{}", refused.json);
        assert_eq!(
            refused.json["fields"][0]["field"], field,
            "{}",
            refused.json
        );
    }
    let bulk = json!({"notifications": [mail_with("id", "one"), mail_with("type", "fax")]});
    let refused = services.post("/notifications/bulk", &headers, &bulk).await;
    assert_eq!(refused.status, 400, "{}", refused.json);
    assert_eq!(refused.json["fields"][0]["field"], "notifications[1].type");
    assert_eq!(
        services.get("/notifications/status/one", &[]).await.status,
        404
    );
    for count in [0, 101] {
        let bulk = json!({"notifications": vec![mail(); count]});
        let refused = services.post("/notifications/bulk", &headers, &bulk).await;
        assert_eq!(refused.status, 400, "{}", refused.json);
    }
    let absurd = format!("/notifications/status/{}", "x".repeat(200));
    for path in [
        "/notifications/status/nobody",
        "/notifications/status/%00",
        &absurd,
    ] {
        let unknown = services.get(path, &[]).await;
        assert_eq!(
            (unknown.status, &unknown.json["error"]),
            (404, &json!("Notification not found"))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_urgent_and_later_ones_each_arrive_once_and_in_time() {
    let services = Services::start();
    unlimited(&services).await;
    let (auth, user) = services.register("ada").await;
    let headers = [auth.as_str()];
    has_status(&services, &format!("welcome-email-{user}"), "delivered").await;

    let many: Vec<_> = (0..20)
        .map(|number| mail_with("id", format!("many-{number}")))
        .collect();
    let bulk = json!({"notifications": many});
    let taken = services.post("/notifications/bulk", &headers, &bulk).await;
    assert_eq!(
        (taken.status, &taken.json["accepted"]),
        (202, &json!(20)),
        "{}",
        taken.json
    );
    assert_eq!(
        taken.json["notifications"][19]["id"], "many-19",
        "in their order"
    );
    let again = services.post("/notifications/bulk", &headers, &bulk).await;
    assert_eq!(again.json, taken.json);
    let deliveries = eventually("all are delivered", async || {
        let deliveries = services.world.deliveries(STACK).await;
        let done = |(_, status, _): &(String, String, u64)| status == "DELIVERED";
        (deliveries.len() == 21 && deliveries.iter().all(done)).then_some(deliveries)
    })
    .await;
    assert!(deliveries.iter().all(|(_, _, attempts)| *attempts == 1));

    // Urgent ones do not stand in the other queue: it is stopped, and they arrive.
    let mappings = services.lambda.list_event_source_mappings();
    let mappings = mappings.function_name(format!("{STACK}-send-notification"));
    let mappings = mappings
        .send()
        .await
        .unwrap()
        .event_source_mappings
        .unwrap();
    let pause = services.lambda.update_event_source_mapping();
    let pause = pause.uuid(mappings[0].uuid().unwrap());
    pause.enabled(false).send().await.unwrap();
    let mut urgent = mail_with("id", "urgent");
    urgent["priority"] = json!("high");
    assert_eq!(
        services
            .post("/notifications/send", &headers, &urgent)
            .await
            .status,
        202
    );
    let shown = has_status(&services, "urgent", "delivered").await;
    assert_eq!(shown["data"]["priority"], "high");

    // What is due soon waits in its queue, and what is due later in the outbox.
    let soon = Timestamp::now() + SignedDuration::from_secs(2);
    let mut wanted = urgent.clone();
    wanted["id"] = json!("soon");
    wanted["scheduledFor"] = json!(soon);
    let taken = services
        .post("/notifications/send", &headers, &wanted)
        .await;
    assert_eq!(taken.status, 202, "{}", taken.json);
    assert_eq!(taken.json["scheduledFor"], json!(soon));
    let shown = has_status(&services, "soon", "delivered").await;
    let finished: Timestamp = shown["finishedOn"].as_str().unwrap().parse().unwrap();
    assert!(finished >= soon, "{shown}");

    wanted["id"] = json!("later");
    wanted["scheduledFor"] = json!(Timestamp::now() + SignedDuration::from_hours(30));
    let taken = services
        .post("/notifications/send", &headers, &wanted)
        .await;
    assert_eq!(taken.status, 202, "{}", taken.json);
    let sweep = services
        .lambda
        .invoke()
        .function_name(format!("{STACK}-sweep-outbox"));
    sweep.send().await.unwrap();
    assert_eq!(services.outbox().await, ["later"], "not yet");
    let shown = services.get("/notifications/status/later", &[]).await.json;
    assert_eq!(shown["status"], "queued");
    services.sweep().await;
    has_status(&services, "later", "delivered").await;
}

/// Asks until the answer has one of `statuses`; what is asked here may be asked again.
async fn until(
    services: &Services,
    path: &str,
    headers: &[&str],
    body: &Value,
    statuses: &[u16],
) -> Value {
    eventually(
        &format!("{path} is answered with {statuses:?}"),
        async || {
            let reply = services.post(path, headers, body).await;
            statuses.contains(&reply.status).then_some(reply.json)
        },
    )
    .await
}

/// Twelve notifications: urgent, for soon, for later, and plain ones.
fn of_all_kinds() -> Vec<Value> {
    let soon = Timestamp::now() + SignedDuration::from_secs(3);
    let late = Timestamp::now() + SignedDuration::from_hours(30);
    let mut mails: Vec<_> = (0..12)
        .map(|number| mail_with("id", format!("one-{number}")))
        .collect();
    for (mail, (name, value)) in mails.iter_mut().zip([
        ("priority", json!("high")),
        ("priority", json!("high")),
        ("scheduledFor", json!(soon)),
        ("scheduledFor", json!(late)),
    ]) {
        mail[name] = value;
    }
    mails
}

/// Moves what is in a dead-letter queue back to its queue, as an operator would.
async fn redrive(services: &Services, dead_letters: &str) {
    let url = services.queue_url(dead_letters).await;
    let attributes = services.sqs.get_queue_attributes().queue_url(url);
    let attributes = attributes.attribute_names(QueueAttributeName::QueueArn);
    let attributes = attributes.send().await.unwrap().attributes.unwrap();
    let redrive = services.sqs.start_message_move_task();
    let redrive = redrive.source_arn(&attributes[&QueueAttributeName::QueueArn]);
    // Refused while the last one is still under way.
    let _ = redrive.send().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn notifications_are_neither_lost_nor_delivered_twice_when_functions_are_killed() {
    const CONSUMERS: [&str; 2] = ["send-notification", "send-priority-notification"];
    let services = Services::start();
    unlimited(&services).await;
    let forgiving = [("CIRCUIT_PAUSE_SECONDS", "1")];
    services.configure("gateway", &forgiving).await;
    for consumer in CONSUMERS {
        let slow = [("DELIVERY_LATENCY_MS", "100")];
        services.configure(consumer, &slow).await;
        let name = format!("{STACK}-{consumer}");
        services.world.limit(&name, 3).await;
    }
    let (auth, ada) = services.register("ada").await;
    let wanted = of_all_kinds();
    let many: Vec<_> = (0..10)
        .map(|number| mail_with("id", format!("many-{number}")))
        .collect();
    let bulk = json!({"notifications": many});

    let answered = Notify::new();
    let requests = async {
        let headers = [auth.as_str()];
        let single = stream::iter(&wanted).map(async |mail| {
            until(&services, "/notifications/send", &headers, mail, &[202]).await;
            answered.notify_one();
        });
        let accounts = stream::iter(0..4).then(async |number| {
            let account = json!({"email": format!("{number}@example.com"), "name": "Eve", "password": "correct horse"});
            // Whoever was killed after storing it has an account all the same.
            until(&services, "/auth/register", &[], &account, &[201, 409]).await;
            let account = until(&services, "/auth/login", &[], &account, &[200]).await;
            answered.notify_one();
            account["user"]["id"].as_str().unwrap().to_owned()
        });
        let together = async {
            let taken = until(&services, "/notifications/bulk", &headers, &bulk, &[202]).await;
            assert_eq!(taken["accepted"], 10, "{taken}");
            answered.notify_one();
        };
        let single = single.buffer_unordered(4).collect::<Vec<()>>();
        let (_, users, ()) = tokio::join!(single, accounts.collect::<Vec<_>>(), together);
        users
    };
    let mut killed = 0;
    let kills = async {
        loop {
            // Between two kills a request has to get through, or on a slow machine none ever would.
            answered.notified().await;
            tokio::time::sleep(Duration::from_millis(fastrand::u64(..100))).await;
            if let Some(pid) = fastrand::choice(&functions(services.world.pid())) {
                signal(*pid, Signal::KILL);
                killed += 1;
            }
        }
    };
    let users = tokio::select! {
        users = requests => users,
        () = kills => unreachable!("it never ends"),
    };
    assert!(killed > 0, "something was killed");

    let ids = wanted
        .iter()
        .chain(&many)
        .map(|mail| mail["id"].as_str().unwrap().to_owned());
    let welcome = users
        .iter()
        .chain([&ada])
        .map(|user| format!("welcome-email-{user}"));
    let expected: BTreeSet<_> = ids.chain(welcome).collect();
    let deliveries = eventually("each is delivered", async || {
        // What was killed half-way is swept, comes back when its visibility timeout ends, or is a dead letter.
        services.sweep().await;
        services.world.advance(Duration::from_mins(1)).await;
        for dead_letters in ["notifications-dlq", "priority-notifications-dlq"] {
            redrive(&services, dead_letters).await;
        }
        let deliveries = services.world.deliveries(STACK).await;
        let done = deliveries
            .iter()
            .filter(|(_, status, _)| status == "DELIVERED");
        (done.count() == expected.len()).then_some(deliveries)
    })
    .await;
    let keys = deliveries
        .iter()
        .map(|(key, ..)| key.trim_start_matches("DELIVERY#").to_owned());
    assert_eq!(keys.collect::<BTreeSet<_>>(), expected);
    assert!(services.outbox().await.is_empty());
    sent_once_an_attempt(&services, &CONSUMERS, &deliveries).await;
}

/// Nothing was sent but by an attempt that is in the log of deliveries.
async fn sent_once_an_attempt(
    services: &Services,
    consumers: &[&str],
    deliveries: &[(String, String, u64)],
) {
    let mut lines = Vec::new();
    for consumer in consumers {
        let function = format!("{STACK}-{consumer}");
        lines.extend(logs(&services.world, &function, "notification delivered").await);
    }
    for (key, _, attempts) in deliveries {
        let id = format!("\"{}\"", key.trim_start_matches("DELIVERY#"));
        let sent = lines.iter().filter(|line| line.contains(&id)).count() as u64;
        assert!(
            (1..=*attempts).contains(&sent),
            "{id} was sent {sent} times in {attempts} attempts"
        );
    }
}
