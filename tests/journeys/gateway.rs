//! The gateway: what it forwards, and what it says when a service does not answer.

use std::time::Instant;

use reqwest::Method;
use serde_json::json;

use crate::service_communication::{STACK, Services};
use crate::world::eventually;

/// The original's proxy cut the prefix off, and every service answered 404.
#[tokio::test(flavor = "multi_thread")]
async fn d11_the_gateway_keeps_the_whole_path() {
    let services = Services::start();
    let reply = services.get("/auth/verify", &[]).await;
    assert_eq!(reply.status, 401, "auth itself answered: {}", reply.json);
    assert_eq!(reply.json["error"], "Missing or invalid token");
    let (auth, _) = services.register("ada").await;
    let path = "/notifications/status/a%2Fb%20c?x=1";
    let reply = services.get(path, &[&auth]).await;
    assert_eq!(reply.json["error"], "Notification not found");
    for wrong in ["/auth", "/auth/verify/", "/auth/nothing"] {
        let reply = services.get(wrong, &[]).await;
        assert_eq!(
            (reply.status, &reply.json["error"]),
            (404, &json!("Route not found"))
        );
    }
    let wrong = services.call(Method::DELETE, "/auth/login", &[], "").await;
    assert_eq!(wrong.status, 405);
    assert_eq!(wrong.headers["allow"], "POST");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_names_its_request_and_tells_how_long_it_took() {
    let services = Services::start();
    let mine = "x-correlation-id: order-7_a.b";
    for (path, status) in [
        ("/auth/verify", 401),
        ("/notifications/stats", 200),
        ("/nowhere", 404),
        ("/health", 200),
        ("/health/all", 200),
        ("/api/services", 200),
    ] {
        let reply = services.get(path, &[mine]).await;
        assert_eq!(reply.status, status, "{path}: {}", reply.json);
        assert_eq!(reply.headers["x-correlation-id"], "order-7_a.b", "{path}");
        let took = reply.headers["x-response-time"].to_str().unwrap();
        assert!(took.ends_with("ms"), "{took}");
        if status >= 400 {
            assert_eq!(reply.json["correlationId"], "order-7_a.b", "{path}");
            assert_eq!(reply.json["message"], reply.json["error"], "{path}");
        }
    }
    let long = format!("x-correlation-id: {}", "x".repeat(129));
    for wrong in ["x-correlation-id: two words", long.as_str()] {
        let reply = services.get("/auth/verify", &[wrong]).await;
        let given = reply.headers["x-correlation-id"].to_str().unwrap();
        assert_eq!(given.len(), 36, "a new one instead of {wrong}: {given}");
        assert_eq!(reply.json["correlationId"], given, "auth was told the same");
    }

    let health = services.get("/health", &[]).await.json;
    assert_eq!(
        (&health["status"], &health["service"]),
        (&json!("healthy"), &json!("gateway"))
    );
    let all = services.get("/health/all", &[]).await.json;
    for service in ["auth", "notifications"] {
        assert_eq!(all["services"][service]["status"], "healthy", "{all}");
        assert_eq!(
            all["services"][service]["health"]["service"], service,
            "{all}"
        );
    }
    let listed = services.get("/api/services", &[]).await.json;
    assert_eq!(listed["services"][0]["path"], "/auth");
    assert_eq!(listed["services"][0]["circuit"], "closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_circuit_opens_when_a_service_is_down_and_closes_when_it_is_back() {
    let services = Services::start();
    services
        .configure("gateway", &[("CIRCUIT_PAUSE_SECONDS", "1")])
        .await;
    let auth = format!("{STACK}-auth");
    let stop = services
        .lambda
        .put_function_concurrency()
        .function_name(&auth);
    stop.reserved_concurrent_executions(0).send().await.unwrap();
    for _ in 0..5 {
        let reply = services.get("/auth/verify", &[]).await;
        assert_eq!(reply.status, 502, "{}", reply.json);
        assert_eq!(reply.json["error"], "Service auth unavailable");
        assert_eq!(reply.json["service"], "auth");
    }
    let reply = services.get("/auth/verify", &[]).await;
    assert_eq!(reply.status, 503, "{}", reply.json);
    assert_eq!(reply.json["service"], "auth");
    assert_eq!(reply.headers["retry-after"], "1");
    let listed = services.get("/api/services", &[]).await.json;
    assert_eq!(listed["services"][0]["circuit"], "open");
    assert_eq!(
        listed["services"][1]["circuit"], "closed",
        "each has its own"
    );
    assert_eq!(services.get("/notifications/stats", &[]).await.status, 200);
    let all = services.get("/health/all", &[]).await;
    assert_eq!(
        (all.status, &all.json["services"]["auth"]["status"]),
        (503, &json!("unhealthy"))
    );

    let start = services
        .lambda
        .delete_function_concurrency()
        .function_name(&auth);
    start.send().await.unwrap();
    eventually("a probe closes the circuit", async || {
        (services.get("/auth/verify", &[]).await.status == 401).then_some(())
    })
    .await;
    let listed = services.get("/api/services", &[]).await.json;
    assert_eq!(listed["services"][0]["circuit"], "closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_service_is_a_504_and_whoever_needs_it_says_503() {
    let services = Services::start();
    let (auth, _) = services.register("ada").await;
    let slow = json!([{"service": "lambda", "operation": "Invoke", "resource": format!("{STACK}-auth"),
        "fault": {"kind": "delay", "ms": 8000}}]);
    services.faults(&slow).await;
    let mail = json!({"to": "a@b.example", "subject": "s", "body": "b", "type": "email"});
    let began = Instant::now();
    let headers = [auth.as_str()];
    let (verify, send) = futures::join!(
        services.get("/auth/verify", &headers),
        services.post("/notifications/send", &headers, &mail)
    );
    assert!(began.elapsed().as_secs() < 7, "nobody waits for it");
    assert_eq!(verify.status, 504, "{}", verify.json);
    assert_eq!(verify.json["service"], "auth");
    assert_eq!(send.status, 503, "{}", send.json);
    assert_eq!(send.json["service"], "auth");
    services.faults(&json!([])).await;
    let accepted = services.post("/notifications/send", &headers, &mail).await;
    assert_eq!(accepted.status, 202, "{}", accepted.json);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_101st_request_of_a_minute_is_told_to_wait() {
    let services = Services::start();
    for number in 1..=100 {
        let reply = services.get("/api/services", &[]).await;
        assert_eq!(reply.status, 200, "request {number}");
    }
    let reply = services.get("/auth/verify", &[]).await;
    assert_eq!(reply.status, 429, "{}", reply.json);
    assert_eq!(reply.json["error"], "Too many requests");
    let wait: u64 = reply.headers["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    let monitor = services.get("/health", &[]).await;
    assert_eq!(monitor.status, 200, "a monitor is never locked out");
}
