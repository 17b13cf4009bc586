//! What the services behind the gateway refuse, and how they say that they are not well.

use aws_sdk_dynamodb::types::AttributeValue;
use reqwest::Method;
use serde_json::{Value, json};

use crate::service_communication::{STACK, Services};

const JSON: &str = "content-type: application/json";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_is_refused_with_the_reason_behind_the_gateway_too() {
    let services = Services::start();
    let (auth, user) = services.register("ada").await;
    let large = json!({"to": "x".repeat(140_000)}).to_string();
    let form = "content-type: application/x-www-form-urlencoded";
    let key = "idempotency-key: k-1";
    for path in ["/notifications/send", "/notifications/bulk", "/checkout"] {
        for (kind, body, status, part) in [
            (JSON, "", 400, "Request body is required"),
            (JSON, "{", 400, "Invalid JSON in request body"),
            (JSON, "[]", 400, "JSON object"),
            (JSON, &large, 413, "131072 bytes"),
            (form, "{}", 415, "application/json"),
        ] {
            let headers = [auth.as_str(), key, kind];
            let refused = services.call(Method::POST, path, &headers, body).await;
            assert_eq!(
                refused.status, status,
                "{path} {body:.20}: {}",
                refused.json
            );
            let message = refused.json["message"].as_str().unwrap();
            assert!(message.contains(part), "{path}: {message}");
        }
    }
    let headers = [auth.as_str(), form];
    let refused = services.call(Method::PUT, "/auth/me", &headers, "{}").await;
    assert_eq!(refused.status, 415, "{}", refused.json);

    // The empty path is the gateway's, too.
    let root = services.get("/", &["x-correlation-id: root-7"]).await;
    assert_eq!(
        (root.status, &root.json["error"]),
        (404, &json!("Route not found"))
    );
    assert_eq!(root.headers["x-correlation-id"], "root-7");

    // A login that says nothing, and one with more than an address can hold.
    for (credentials, status) in [
        (json!({}), 400),
        (json!({"email": "ada@example.com"}), 400),
        (json!({"password": "correct horse"}), 400),
        (
            json!({"email": format!("{}@b.example", "a".repeat(3_000)), "password": "x"}),
            401,
        ),
        (
            json!({"email": " ADA@example.com ", "password": "correct horse"}),
            200,
        ),
    ] {
        let reply = services.post("/auth/login", &[], &credentials).await;
        assert_eq!(reply.status, status, "{}", reply.json);
    }

    // A token outlives its account.
    let gone = services.dynamo.delete_item();
    let gone = gone.table_name(format!("{STACK}-AccountsTable"));
    let key = AttributeValue::S(format!("USER#{user}"));
    gone.key("pk", key).send().await.unwrap();
    let me = services.get("/auth/me", &[&auth]).await;
    assert_eq!(
        (me.status, &me.json["error"]),
        (401, &json!("User not found"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn services_say_how_they_are_and_addresses_are_services_too() {
    let services = Services::start();
    let table = format!("{STACK}-AccountsTable");
    services
        .configure("auth", &[("ACCOUNTS_TABLE", "gone")])
        .await;
    services
        .configure("notifications", &[("NOTIFICATIONS_TABLE", "gone")])
        .await;
    let all = services.get("/health/all", &[]).await;
    assert_eq!(all.status, 503, "{}", all.json);
    let is = |service: &str| all.json["services"][service]["status"].clone();
    assert_eq!(is("auth"), "unhealthy", "{}", all.json);
    assert_eq!(is("notifications"), "degraded", "{}", all.json);
    services
        .configure("auth", &[("ACCOUNTS_TABLE", &table)])
        .await;

    // A bulk of two under one key is two notifications, however often it is asked for.
    let table = format!("{STACK}-NotificationsTable");
    services
        .configure("notifications", &[("NOTIFICATIONS_TABLE", &table)])
        .await;
    let (auth, _) = services.register("ada").await;
    let mail = json!({"to": "a@b.example", "subject": "s", "body": "b", "type": "email"});
    let bulk = json!({"notifications": [mail, mail]});
    let headers = [auth.as_str(), "idempotency-key: bulk-1"];
    let first = services.post("/notifications/bulk", &headers, &bulk).await;
    assert_eq!(first.status, 202, "{}", first.json);
    let ids = |reply: &Value| {
        let taken = reply["notifications"].as_array().unwrap().iter();
        taken.map(|one| one["id"].clone()).collect::<Vec<_>>()
    };
    let again = services.post("/notifications/bulk", &headers, &bulk).await;
    assert_eq!(ids(&first.json), ids(&again.json));
    assert_ne!(ids(&first.json)[0], ids(&first.json)[1]);
    let unkeyed = services.post("/notifications/bulk", &[&auth], &bulk).await;
    assert_ne!(ids(&first.json), ids(&unkeyed.json));
    assert_eq!(services.world.items(&table).await.len(), 4);

    // A service may be an address instead of a function.
    let routes = format!("tasks={}", services.world.api("internal-handoff"));
    services
        .configure("gateway", &[("GATEWAY_ROUTES", &routes)])
        .await;
    let task = json!({"title": "through the gateway"});
    let made = services.post("/tasks", &[], &task).await;
    assert_eq!(made.status, 201, "{}", made.json);
    let path = format!("/tasks/{}", made.json["id"].as_str().unwrap());
    let shown = services.get(&path, &["x-correlation-id: http-7"]).await;
    assert_eq!((shown.status, &shown.json["title"]), (200, &task["title"]));
    assert_eq!(shown.headers["x-correlation-id"], "http-7");
}
