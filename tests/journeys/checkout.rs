//! Orders through the gateway: charged once or not at all, whatever happens to those who do it.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::handoff::logs;
use crate::killed;
use crate::service_communication::{Reply, STACK, Services};
use crate::world::eventually;

/// In cents.
const PRICE: u64 = 1999;

/// A shop that sells lamps, and a customer.
struct Shop {
    services: Services,
    customer: String,
}

type Item = HashMap<String, AttributeValue>;

impl Shop {
    async fn open(stock: u64) -> Self {
        let services = Services::start();
        let put = services.dynamo.put_item();
        let number = |value: u64| AttributeValue::N(value.to_string());
        put.table_name(format!("{STACK}-ProductsTable"))
            .item("pk", AttributeValue::S("PRODUCT#lamp".to_owned()))
            .item("price", number(PRICE))
            .item("stock", number(stock))
            .send()
            .await
            .unwrap();
        let (customer, _) = services.register("ada").await;
        Self { services, customer }
    }

    async fn buy(&self, key: &str, quantity: u64, method: &str) -> Reply {
        let body = json!({"sku": "lamp", "quantity": quantity, "paymentMethod": method});
        self.ask(key, &body).await
    }

    async fn ask(&self, key: &str, body: &Value) -> Reply {
        let key = format!("idempotency-key: {key}");
        let headers = [self.customer.as_str(), key.as_str()];
        self.services.post("/checkout", &headers, body).await
    }

    /// Buys a lamp and asks again until it is taken: where many ask at once, auth and the provider may take longer than they have.
    async fn bought(&self, key: &str) -> Reply {
        eventually(&format!("the order {key}"), async || {
            let reply = self.buy(key, 1, "card-1").await;
            let taken = matches!(reply.status, 201 | 202);
            assert!(taken || matches!(reply.status, 409 | 503), "{}", reply.json);
            taken.then_some(reply)
        })
        .await
    }

    async fn show(&self, id: &str) -> Reply {
        let path = format!("/checkout/{id}");
        self.services.get(&path, &[&self.customer]).await
    }

    /// Waits until an order is in that state for good. Looks into the table: the gateway limits how often a client may ask.
    async fn ends(&self, id: &str, state: &str) {
        eventually(&format!("order {id} is {state}"), async || {
            let orders = self.items("OrdersTable").await;
            let order = orders.iter().find(|order| text(order, "id") == id)?;
            (text(order, "state") == state).then_some(())
        })
        .await;
        let order = self.show(id).await;
        assert_eq!((order.status, &order.json["state"]), (200, &json!(state)));
    }

    async fn items(&self, table: &str) -> Vec<Item> {
        let scan = self.services.dynamo.scan();
        let found = scan.table_name(format!("{STACK}-{table}")).send().await;
        found.unwrap().items.unwrap()
    }

    async fn stock(&self) -> i64 {
        let products = self.items("ProductsTable").await;
        products[0]["stock"].as_n().unwrap().parse().unwrap()
    }

    /// What the provider did for an order, and how much of it.
    async fn charge(&self, id: &str) -> Option<(String, u64)> {
        let charges = self.items("PaymentsTable").await;
        let charge = charges
            .iter()
            .find(|charge| text(charge, "orderId") == id)?;
        let amount = charge["amount"].as_n().unwrap().parse().unwrap();
        Some((text(charge, "status"), amount))
    }

    async fn mailed(&self, mail: &str) {
        let delivered = (format!("DELIVERY#{mail}"), "DELIVERED".to_owned(), 1);
        eventually(mail, async || {
            let deliveries = self.services.world.deliveries(STACK).await;
            deliveries.contains(&delivered).then_some(())
        })
        .await;
    }

    /// Hands over what orders wait for and nobody handed over, as if it had been there for long.
    async fn sweep(&self) {
        for item in self.items("CheckoutOutboxTable").await {
            let update = self.services.dynamo.update_item();
            // One that is handed over meanwhile is not made anew.
            let _ = update
                .table_name(format!("{STACK}-CheckoutOutboxTable"))
                .key("pk", item["pk"].clone())
                .update_expression("SET writtenAt = :long_ago")
                .condition_expression("attribute_exists(pk)")
                .expression_attribute_values(":long_ago", AttributeValue::N("0".to_owned()))
                .send()
                .await;
        }
        let sweep = self.services.lambda.invoke();
        let swept = sweep.function_name(format!("{STACK}-sweep-orders"));
        let swept = swept.send().await.unwrap();
        assert!(swept.function_error.is_none(), "{swept:?}");
    }

    /// Ends processes of a function, and says how many.
    fn kill(&self, function: &str) -> usize {
        killed::kill(self.services.world.pid(), function)
    }
}

fn text(item: &Item, name: &str) -> String {
    item[name].as_s().unwrap().clone()
}

fn id(reply: &Reply) -> &str {
    reply.json["id"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_charged_at_once_and_confirmed_soon() {
    let shop = Shop::open(5).await;
    let made = shop.buy("key-1", 2, "card-1").await;
    assert_eq!(made.status, 201, "{}", made.json);
    assert_eq!(made.json["amount"], 2 * PRICE);
    assert!(made.headers.contains_key("x-correlation-id"));
    assert!(!made.json.to_string().contains("card-1"), "{}", made.json);
    let order = id(&made);
    assert_eq!(
        shop.charge(order).await,
        Some(("CHARGED".to_owned(), 2 * PRICE))
    );
    shop.ends(order, "CONFIRMED").await;
    assert_eq!(shop.stock().await, 3);
    shop.mailed(&format!("order_confirmed-{order}")).await;

    let again = shop.buy("key-1", 2, "card-1").await;
    assert_eq!(
        (again.status, &again.json),
        (201, &made.json),
        "the same answer"
    );
    let other = shop.buy("key-1", 1, "card-1").await;
    assert_eq!(other.status, 422, "{}", other.json);
    assert_eq!(shop.items("OrdersTable").await.len(), 1);

    // Another customer's key is another key, and another customer's order is nobody's.
    let (grace, _) = shop.services.register("grace").await;
    let headers = [grace.as_str(), "idempotency-key: key-1"];
    let body = json!({"sku": "lamp", "paymentMethod": "card-2"});
    let hers = shop.services.post("/checkout", &headers, &body).await;
    assert_eq!(hers.status, 201, "{}", hers.json);
    assert_ne!(id(&hers), order);
    assert_eq!(shop.show(id(&hers)).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_ordered_is_refused_and_costs_nothing() {
    let shop = Shop::open(5).await;
    let lamp = json!({"sku": "lamp", "paymentMethod": "card-1"});
    let customer = shop.customer.as_str();
    let unkeyed = shop.services.post("/checkout", &[customer], &lamp).await;
    assert_eq!(unkeyed.status, 400);
    let message = unkeyed.json["message"].as_str().unwrap();
    assert!(message.contains("Idempotency-Key is required"), "{message}");
    for (body, field) in [
        (json!({"paymentMethod": "card-1"}), "sku"),
        (json!({"sku": "sofa", "paymentMethod": "card-1"}), "sku"),
        (json!({"sku": "lamp"}), "paymentMethod"),
        (
            json!({"sku": "lamp", "quantity": 0, "paymentMethod": "c"}),
            "quantity",
        ),
        (
            json!({"sku": "lamp", "quantity": -1, "paymentMethod": "c"}),
            "quantity",
        ),
        (
            json!({"sku": "lamp", "quantity": 1.5, "paymentMethod": "c"}),
            "quantity",
        ),
        (json!({"sku": 5, "paymentMethod": "c"}), "sku"),
    ] {
        let refused = shop.ask("key-1", &body).await;
        assert_eq!(refused.status, 400, "{body}: {}", refused.json);
        assert_eq!(refused.json["fields"][0]["field"], field, "{body}");
    }
    let forged = format!("authorization: Bearer {}", "x".repeat(43));
    for token in [forged.as_str(), "authorization: Bearer x", "x-no: token"] {
        let headers = [token, "idempotency-key: key-1"];
        let refused = shop.services.post("/checkout", &headers, &lamp).await;
        assert_eq!(refused.status, 401, "{token}: {}", refused.json);
        assert_eq!(
            shop.services.get("/checkout/o-1", &[token]).await.status,
            401
        );
    }
    assert_eq!(shop.show("no-such-order").await.status, 404);
    assert_eq!(shop.show("%00").await.status, 404);
    let method = shop.services.get("/checkout", &[customer]).await;
    assert_eq!(
        (method.status, &method.headers["allow"]),
        (405, &"POST".parse().unwrap())
    );

    // Auth cannot say whose token it is.
    let ended = shop.services.lambda.put_function_concurrency();
    let ended = ended.function_name(format!("{STACK}-auth"));
    ended
        .reserved_concurrent_executions(0)
        .send()
        .await
        .unwrap();
    let refused = shop.buy("key-2", 1, "card-1").await;
    assert_eq!(refused.status, 503, "{}", refused.json);
    assert_eq!(refused.json["service"], "auth");

    assert!(shop.items("OrdersTable").await.is_empty());
    assert!(shop.items("PaymentsTable").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declined_card_and_an_empty_shelf_leave_nobody_out_of_pocket() {
    let shop = Shop::open(1).await;
    let decline = [("PAYMENT_DECLINE_MATCH", "stolen")];
    shop.services.configure("payment-provider", &decline).await;
    for _ in 0..2 {
        let declined = shop.buy("key-1", 1, "stolen-card").await;
        assert_eq!(declined.status, 402, "{}", declined.json);
        assert_eq!(declined.json["state"], "DECLINED");
        let charge = shop.charge(id(&declined)).await.unwrap();
        assert_eq!(charge.0, "DECLINED");
        assert_eq!(shop.show(id(&declined)).await.json["state"], "DECLINED");
    }
    assert_eq!(shop.items("OrdersTable").await.len(), 1);

    let made = shop.buy("key-2", 2, "card-1").await;
    assert_eq!(made.status, 201, "{}", made.json);
    let order = id(&made);
    shop.ends(order, "REFUNDED").await;
    assert_eq!(
        shop.charge(order).await,
        Some(("REFUNDED".to_owned(), 2 * PRICE))
    );
    assert_eq!(shop.stock().await, 1);
    shop.mailed(&format!("order_refunded-{order}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_without_an_answer_is_settled_and_charged_once() {
    let shop = Shop::open(5).await;
    // The provider charges, and says so when nobody listens any more.
    let late = [("PAYMENT_LATENCY_MS", "8000")];
    shop.services.configure("payment-provider", &late).await;
    let unknown = shop.buy("key-1", 1, "card-1").await;
    assert_eq!(unknown.status, 202, "{}", unknown.json);
    assert_eq!(unknown.json["state"], "PAYMENT_UNKNOWN");
    let order = id(&unknown);
    assert_eq!(
        shop.charge(order).await,
        Some(("CHARGED".to_owned(), PRICE))
    );

    let well = [("PAYMENT_LATENCY_MS", "0")];
    shop.services.configure("payment-provider", &well).await;
    shop.ends(order, "CONFIRMED").await;
    assert_eq!(
        shop.charge(order).await,
        Some(("CHARGED".to_owned(), PRICE))
    );
    assert_eq!(shop.items("PaymentsTable").await.len(), 1);
    let again = shop.buy("key-1", 1, "card-1").await;
    assert_eq!(
        (again.status, &again.json),
        (202, &unknown.json),
        "the same answer"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_down_charges_when_it_is_back() {
    let shop = Shop::open(5).await;
    let down = [
        ("PAYMENT_FAIL_RATE", "1"),
        ("PAYMENT_DECLINE_MATCH", "stolen"),
    ];
    shop.services.configure("payment-provider", &down).await;
    let good = shop.buy("key-1", 1, "card-1").await;
    let bad = shop.buy("key-2", 1, "stolen-card").await;
    assert_eq!((good.status, bad.status), (202, 202), "{}", good.json);
    assert_eq!(shop.charge(id(&good)).await, None);
    let up = [("PAYMENT_FAIL_RATE", "0")];
    shop.services.configure("payment-provider", &up).await;
    shop.ends(id(&good), "CONFIRMED").await;
    shop.ends(id(&bad), "DECLINED").await;
    shop.mailed(&format!("order_declined-{}", id(&bad))).await;
}

/// The provider takes its time: whoever asks again meanwhile is told to wait.
#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_being_answered_is_a_409_with_a_time_to_wait() {
    let shop = Shop::open(5).await;
    let slow = [("PAYMENT_LATENCY_MS", "2000")];
    shop.services.configure("payment-provider", &slow).await;
    let again = async {
        eventually("the order is stored", async || {
            (!shop.items("OrdersTable").await.is_empty()).then_some(())
        })
        .await;
        shop.buy("key-1", 1, "card-1").await
    };
    let (first, again) = tokio::join!(shop.buy("key-1", 1, "card-1"), again);
    assert_eq!(first.status, 201, "{}", first.json);
    assert_eq!(again.status, 409, "{}", again.json);
    assert!(again.headers.contains_key("retry-after"), "{again:?}");
    let later = shop.buy("key-1", 1, "card-1").await;
    assert_eq!((later.status, &later.json), (201, &first.json));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_stays_confirmed_when_its_mail_cannot_be_sent() {
    let shop = Shop::open(5).await;
    let down = [("DELIVERY_FAIL_RATE", "1")];
    shop.services.configure("send-notification", &down).await;
    let made = shop.buy("key-1", 1, "card-1").await;
    assert_eq!(made.status, 201, "{}", made.json);
    shop.ends(id(&made), "CONFIRMED").await;
    let mail = format!("order_confirmed-{}", id(&made));
    let dead_letters = shop.services.queue_url("notifications-dlq").await;
    eventually("the mail is a dead letter", async || {
        let receive = shop.services.sqs.receive_message().queue_url(&dead_letters);
        let receive = receive.max_number_of_messages(10).visibility_timeout(0);
        let found = receive.send().await.unwrap().messages.unwrap_or_default();
        let is_it = |body: &str| body.contains(&mail);
        let mut found = found.iter();
        found
            .any(|message| message.body().is_some_and(is_it))
            .then_some(())
    })
    .await;
    assert_eq!(shop.show(id(&made)).await.json["state"], "CONFIRMED");
    let charged = Some(("CHARGED".to_owned(), PRICE));
    assert_eq!(shop.charge(id(&made)).await, charged);
}

#[tokio::test(flavor = "multi_thread")]
async fn d12_everybody_who_works_on_an_order_knows_its_correlation_id() {
    let shop = Shop::open(5).await;
    let world = &shop.services.world;
    let table = format!("{STACK}-PaymentsTable");
    let broken = [("PAYMENTS_TABLE", "gone")];
    shop.services.configure("payment-provider", &broken).await;
    let headers = [
        shop.customer.as_str(),
        "idempotency-key: key-1",
        "x-correlation-id: order-7.a_b",
    ];
    let body = json!({"sku": "lamp", "paymentMethod": "card-1"});
    let made = shop.services.post("/checkout", &headers, &body).await;
    assert_eq!(made.status, 202, "{}", made.json);
    let mended = [("PAYMENTS_TABLE", table.as_str())];
    shop.services.configure("payment-provider", &mended).await;
    shop.ends(id(&made), "CONFIRMED").await;
    let mail = format!("order_confirmed-{}", id(&made));
    shop.mailed(&mail).await;
    for (function, text) in [
        ("checkout", "it is unknown whether an order is charged"),
        ("payment-provider", "Failed to"),
        ("fulfil-orders", "an order went on"),
        ("send-notification", mail.as_str()),
    ] {
        let lines = logs(world, &format!("{STACK}-{function}"), text).await;
        assert!(!lines.is_empty(), "{function} says: {text}");
        for line in lines {
            let named = line.contains("\"correlationId\":\"order-7.a_b\"");
            assert!(named, "{function}: {line}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_at_the_same_time_make_one_order_and_stock_is_shared_out() {
    let shop = Shop::open(3).await;
    let slow = [("PAYMENT_LATENCY_MS", "300")];
    shop.services.configure("payment-provider", &slow).await;
    let made = join_all((0..5).map(|_| shop.bought("key-1"))).await;
    assert!(made.iter().all(|reply| reply.json == made[0].json));
    assert_eq!(shop.items("OrdersTable").await.len(), 1);
    assert_eq!(shop.items("PaymentsTable").await.len(), 1);
    shop.ends(id(&made[0]), "CONFIRMED").await;

    let keys: Vec<_> = (0..5).map(|number| format!("other-{number}")).collect();
    join_all(keys.iter().map(|key| shop.bought(key))).await;
    settled(&shop).await;
    let states = states(&shop).await;
    let count = |state: &str| states.iter().filter(|it| *it == state).count();
    assert_eq!(
        (count("CONFIRMED"), count("REFUNDED")),
        (3, 3),
        "{states:?}"
    );
    assert_eq!(shop.stock().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_that_are_killed_leave_no_order_half_done() {
    let shop = Shop::open(4).await;
    let slow = [("PAYMENT_LATENCY_MS", "1000")];
    shop.services.configure("payment-provider", &slow).await;

    // Killed after the money was taken and before it could write so.
    let asked = async {
        let key = ["idempotency-key: key-1", shop.customer.as_str()];
        let body = json!({"sku": "lamp", "paymentMethod": "card-1"});
        shop.services.post("/checkout", &key, &body).await
    };
    let killed = async {
        eventually("the charge", async || {
            (!shop.items("PaymentsTable").await.is_empty()).then_some(())
        })
        .await;
        assert!(shop.kill("checkout") > 0);
    };
    let (reply, ()) = tokio::join!(asked, killed);
    assert!(reply.status >= 500, "{} {}", reply.status, reply.json);
    assert_eq!(states(&shop).await, ["PENDING"]);
    settled(&shop).await;
    assert_eq!(states(&shop).await, ["CONFIRMED"]);

    // Killed at any moment, one after another.
    let quick = [("PAYMENT_LATENCY_MS", "100")];
    shop.services.configure("payment-provider", &quick).await;
    let functions = ["checkout", "payment-provider", "fulfil-orders"];
    for (number, function) in functions.iter().cycle().take(6).enumerate() {
        let before = states(&shop).await.len();
        let key = format!("storm-{number}");
        let killed = async {
            eventually("another order", async || {
                (states(&shop).await.len() > before).then_some(())
            })
            .await;
            shop.kill(function);
        };
        tokio::join!(shop.buy(&key, 1, "card-1"), killed);
    }
    settled(&shop).await;
    let states = states(&shop).await;
    let confirmed = states.iter().filter(|state| *state == "CONFIRMED").count();
    assert_eq!(shop.stock().await, 4 - i64::try_from(confirmed).unwrap());
}

async fn states(shop: &Shop) -> Vec<String> {
    let orders = shop.items("OrdersTable").await;
    orders.iter().map(|order| text(order, "state")).collect()
}

/// Waits until no order waits for anything, and looks at its money: kept if it is confirmed, and not otherwise.
async fn settled(shop: &Shop) {
    eventually("no order waits for anything", async || {
        // What was killed half-way is swept, or comes back when its visibility timeout ends.
        shop.sweep().await;
        shop.services.world.advance(Duration::from_mins(1)).await;
        let ended = ["CONFIRMED", "REFUNDED", "DECLINED"];
        let states = states(shop).await;
        states
            .iter()
            .all(|state| ended.contains(&state.as_str()))
            .then_some(())
    })
    .await;
    for order in shop.items("OrdersTable").await {
        let charge = shop.charge(&text(&order, "id")).await.unwrap();
        let state = text(&order, "state");
        let expected = match state.as_str() {
            "CONFIRMED" => "CHARGED",
            ended => ended,
        };
        assert_eq!(charge, (expected.to_owned(), PRICE), "{order:?}");
    }
    let charges = shop.items("PaymentsTable").await.len();
    assert_eq!(charges, shop.items("OrdersTable").await.len());
}
