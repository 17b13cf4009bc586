//! Accounts and tokens through the gateway, and what the other journeys of this stack share.

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_lambda::types::Environment;
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{World, eventually};

pub const STACK: &str = "service-communication";

/// The stack's API and its clients.
pub struct Services {
    pub world: World,
    http: reqwest::Client,
    pub lambda: aws_sdk_lambda::Client,
    pub dynamo: aws_sdk_dynamodb::Client,
    pub sqs: aws_sdk_sqs::Client,
}

/// What the gateway answered.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub json: Value,
}

impl Services {
    /// Starts the stack with faults to order, and without a daemon, which nothing here needs.
    pub fn start() -> Self {
        let world = World::start_with(&["--admin", "--no-daemon"]);
        let sdk = world.sdk();
        Self {
            http: reqwest::Client::new(),
            lambda: aws_sdk_lambda::Client::new(&sdk),
            dynamo: aws_sdk_dynamodb::Client::new(&sdk),
            sqs: aws_sdk_sqs::Client::new(&sdk),
            world,
        }
    }

    /// A request whose answer is JSON. `headers` are `name: value`.
    pub async fn call(&self, method: Method, path: &str, headers: &[&str], body: &str) -> Reply {
        let url = format!("{}{path}", self.world.api(STACK));
        let mut request = self.http.request(method, url);
        for header in headers {
            let (name, value) = header.split_once(": ").unwrap();
            request = request.header(name, value);
        }
        let answer = request.body(body.to_owned()).send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let text = answer.text().await.unwrap();
        let json = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{status}: {text:?}"));
        Reply {
            status,
            headers,
            json,
        }
    }

    pub async fn get(&self, path: &str, headers: &[&str]) -> Reply {
        self.call(Method::GET, path, headers, "").await
    }

    pub async fn post(&self, path: &str, headers: &[&str], body: &Value) -> Reply {
        let headers = [headers, &["content-type: application/json"]].concat();
        let body = body.to_string();
        self.call(Method::POST, path, &headers, &body).await
    }

    /// Registers `name` and gives its `authorization` header and its account's id.
    pub async fn register(&self, name: &str) -> (String, String) {
        let account = json!({"email": format!("{name}@example.com"), "name": name, "password": "correct horse"});
        let reply = self.post("/auth/register", &[], &account).await;
        assert_eq!(reply.status, 201, "{}", reply.json);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (
            format!("authorization: Bearer {}", text(&reply.json["token"])),
            text(&reply.json["user"]["id"]),
        )
    }

    /// Changes a function's environment, as an operator would.
    pub async fn configure(&self, function: &str, variables: &[(&str, &str)]) {
        let name = format!("{STACK}-{function}");
        let lambda = &self.lambda;
        let found = lambda.get_function_configuration().function_name(&name);
        let found = found.send().await.unwrap().environment.unwrap();
        let mut all = found.variables.unwrap();
        for (name, value) in variables {
            all.insert((*name).to_owned(), (*value).to_owned());
        }
        let environment = Environment::builder().set_variables(Some(all)).build();
        let update = lambda.update_function_configuration().function_name(&name);
        update.environment(environment).send().await.unwrap();
    }

    /// Lets this go wrong from now on, instead of what was set before.
    pub async fn faults(&self, rules: &Value) {
        let url = format!("{}/_patterns/faults", self.world.endpoint_url);
        let body = json!({"seed": 1, "rules": rules}).to_string();
        let answer = self.http.put(url).body(body).send().await.unwrap();
        assert!(answer.status().is_success(), "{:?}", answer.text().await);
    }

    /// Hands over what stayed in the outbox, as if it had been there for long and was due.
    pub async fn sweep(&self) {
        let table = format!("{STACK}-OutboxTable");
        let kept = self.dynamo.scan().table_name(&table).send().await.unwrap();
        for item in kept.items() {
            let update = self.dynamo.update_item().table_name(&table);
            update
                .key("pk", item["pk"].clone())
                .update_expression("SET writtenAt = :long_ago REMOVE notBefore")
                .expression_attribute_values(":long_ago", AttributeValue::N("0".to_owned()))
                .send()
                .await
                .unwrap();
        }
        let sweep = self.lambda.invoke();
        let swept = sweep.function_name(format!("{STACK}-sweep-outbox"));
        let swept = swept.send().await.unwrap();
        assert!(swept.function_error.is_none(), "{swept:?}");
    }

    /// Ids of the events in the outbox.
    pub async fn outbox(&self) -> Vec<String> {
        let table = format!("{STACK}-OutboxTable");
        let kept = self.dynamo.scan().table_name(table).send().await.unwrap();
        kept.items()
            .iter()
            .map(|item| item["pk"].as_s().unwrap().clone())
            .collect()
    }

    pub async fn queue_url(&self, queue: &str) -> String {
        let found = self
            .sqs
            .get_queue_url()
            .queue_name(format!("{STACK}-{queue}"));
        found.send().await.unwrap().queue_url.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_made_used_and_left() {
    let services = Services::start();
    let ada = json!({"email": "Ada@Example.com", "name": "Ada", "password": "correct horse"});
    let registered = services.post("/auth/register", &[], &ada).await;
    assert_eq!(registered.status, 201, "{}", registered.json);
    let user = &registered.json["user"];
    assert_eq!(user["email"], "Ada@Example.com");
    assert!(user.get("passwordHash").is_none() && user.get("password").is_none());

    // The address is taken in any spelling.
    let again = json!({"email": "ada@example.COM", "name": "Eve", "password": "another one"});
    let refused = services.post("/auth/register", &[], &again).await;
    assert_eq!(refused.status, 409, "{}", refused.json);
    assert_eq!(refused.json["error"], "User already exists");

    let login = |email: &str, password: &str| json!({"email": email, "password": password});
    let right = login("ADA@example.com", "correct horse");
    let logged_in = services.post("/auth/login", &[], &right).await;
    assert_eq!(logged_in.status, 200, "{}", logged_in.json);
    let token = logged_in.json["token"].as_str().unwrap();
    assert_ne!(registered.json["token"], token, "each login has its own");
    let auth = format!("authorization: Bearer {token}");

    // Nobody learns whether an address has an account.
    let wrong = services
        .post("/auth/login", &[], &login("ada@example.com", "wrong"))
        .await;
    let unknown = services
        .post("/auth/login", &[], &login("eve@example.com", "wrong"))
        .await;
    for refused in [&wrong, &unknown] {
        assert_eq!(refused.status, 401);
        assert_eq!(refused.json["message"], "Invalid credentials");
    }

    let verified = services.get("/auth/verify", &[&auth]).await;
    assert_eq!(verified.status, 200);
    assert_eq!(
        verified.json,
        json!({"userId": user["id"], "email": "Ada@Example.com"})
    );
    let me = services.get("/auth/me", &[&auth]).await;
    assert_eq!((me.status, &me.json), (200, user));

    services.register("grace").await;
    let change = async |body: Value| {
        let headers = [auth.as_str(), "content-type: application/json"];
        services
            .call(Method::PUT, "/auth/me", &headers, &body.to_string())
            .await
    };
    assert_eq!(change(json!({})).await.status, 400);
    assert_eq!(change(json!({"email": "nobody"})).await.status, 400);
    assert_eq!(
        change(json!({"email": "Grace@example.com"})).await.status,
        409
    );
    let changed = change(json!({"name": "Ada L.", "email": "lovelace@example.com"})).await;
    assert_eq!(changed.status, 200, "{}", changed.json);
    assert_eq!(changed.json["name"], "Ada L.");
    let old = services.post("/auth/login", &[], &right).await;
    assert_eq!(old.status, 401, "the old address is nobody's");
    services.register("ada").await;

    for _ in 0..2 {
        let left = services.post("/auth/logout", &[&auth], &json!({})).await;
        assert_eq!(
            (left.status, &left.json),
            (200, &json!({"message": "Logged out"}))
        );
    }
    let after = services.get("/auth/verify", &[&auth]).await;
    assert_eq!(
        (after.status, &after.json["error"]),
        (401, &json!("Invalid token"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_account_is_refused_with_its_reason() {
    let services = Services::start();
    for body in [
        json!({}),
        json!({"email": "a@b.example", "name": "a"}),
        json!({"email": " ", "name": "a", "password": "correct horse"}),
    ] {
        let refused = services.post("/auth/register", &[], &body).await;
        assert_eq!(refused.status, 400);
        assert_eq!(
            refused.json["error"],
            "email, name, and password are required"
        );
    }
    for (field, value) in [
        ("email", json!("nobody")),
        ("name", json!("x".repeat(101))),
        ("password", json!("short")),
        ("password", json!(12_345_678)),
    ] {
        let mut body = json!({"email": "a@b.example", "name": "a", "password": "correct horse"});
        body[field] = value;
        let refused = services.post("/auth/register", &[], &body).await;
        assert_eq!(refused.status, 400, "{}", refused.json);
        assert_eq!(
            refused.json["fields"][0]["field"], field,
            "{}",
            refused.json
        );
    }
    for (headers, body, status) in [
        (&["content-type: application/json"][..], "{", 400),
        (&["content-type: application/json"], "[]", 400),
        (
            &["content-type: application/x-www-form-urlencoded"],
            "{}",
            415,
        ),
        (&["content-type: application/json"], "", 400),
    ] {
        let refused = services
            .call(Method::POST, "/auth/register", headers, body)
            .await;
        assert_eq!(refused.status, status, "{body}: {}", refused.json);
    }
    let huge = json!({"name": "x".repeat(200_000)});
    assert_eq!(
        services.post("/auth/register", &[], &huge).await.status,
        413
    );
    // It reaches the gateway as base64; as the text that it is each byte would be two, and more than a function takes.
    let quotes = "\"".repeat(4_000_000);
    let binary = ["content-type: application/octet-stream"];
    let refused = services
        .call(Method::POST, "/auth/register", &binary, &quotes)
        .await;
    assert_eq!(refused.status, 413, "{}", refused.json);
    assert_eq!(refused.json["error"], "Request body is larger than 6 MB");
    assert!(refused.json["correlationId"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_token_or_not_any_more_is_refused_with_its_reason() {
    let services = Services::start();
    let (auth, _) = services.register("ada").await;
    let token = auth.strip_prefix("authorization: Bearer ").unwrap();
    let forged = "authorization: Bearer AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    for (headers, reason) in [
        (vec![], "Missing or invalid token"),
        (
            vec![format!("authorization: Basic {token}")],
            "Missing or invalid token",
        ),
        (
            vec![format!("authorization: Bearer {token}x")],
            "Missing or invalid token",
        ),
        (
            vec!["authorization: Bearer ".to_owned()],
            "Missing or invalid token",
        ),
        (vec![forged.to_owned()], "Invalid token"),
    ] {
        let headers: Vec<_> = headers.iter().map(String::as_str).collect();
        for path in ["/auth/verify", "/auth/me"] {
            let refused = services.get(path, &headers).await;
            assert_eq!(refused.status, 401, "{headers:?}: {}", refused.json);
            assert_eq!(refused.json["error"], reason, "{headers:?}");
        }
    }

    // An hour later. DynamoDB still has the session, as it may for days.
    let table = format!("{STACK}-AccountsTable");
    let items = services
        .dynamo
        .scan()
        .table_name(&table)
        .send()
        .await
        .unwrap();
    let stored = format!("{:?}", items.items());
    assert!(!stored.contains(token), "only its digest is kept");
    assert!(!stored.contains("correct horse"));
    let mut keys = items.items().iter().map(|item| item["pk"].clone());
    let session = keys.find(|pk| pk.as_s().unwrap().starts_with("SESSION#"));
    let past = services.dynamo.update_item().table_name(&table);
    past.key("pk", session.unwrap())
        .update_expression("SET validUntil = :past")
        .expression_attribute_values(":past", AttributeValue::N("1".to_owned()))
        .send()
        .await
        .unwrap();
    let expired = services.get("/auth/verify", &[&auth]).await;
    assert_eq!(
        (expired.status, &expired.json["error"]),
        (401, &json!("Token expired"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_registrations_at_once_exactly_one_is_made() {
    let services = Services::start();
    let account = json!({"email": "ada@example.com", "name": "Ada", "password": "correct horse"});
    let tries = (0..8).map(async |_| {
        // On a busy machine eight passwords may take longer than the gateway waits.
        eventually("the gateway knows what came of it", async || {
            let reply = services.post("/auth/register", &[], &account).await;
            (reply.status != 504).then_some(reply.status)
        })
        .await
    });
    let statuses = futures::future::join_all(tries).await;
    let made = statuses.iter().filter(|status| **status == 201).count();
    let refused = statuses.iter().filter(|status| **status == 409).count();
    assert!(made <= 1 && made + refused == 8, "{statuses:?}");
    let login = services.post("/auth/login", &[], &account).await;
    assert_eq!(login.status, 200, "{login:?}");
}
