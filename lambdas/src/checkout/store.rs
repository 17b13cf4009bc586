//! The tables of orders and of products. Every change of an order says in which state it was, and fails if it is not any more.

use aws_config::SdkConfig;
use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem, Update};
use jiff::Timestamp;

use super::order::Order;
use super::state::State;
use crate::table::{self, Item, TableError};
use crate::transaction::{self, Written};

/// Both tables.
#[derive(Clone, Debug)]
pub struct OrderStore {
    client: aws_sdk_dynamodb::Client,
    orders: String,
    products: String,
}

impl OrderStore {
    /// The tables called `orders` and `products`.
    #[must_use]
    pub fn new(config: &SdkConfig, orders: String, products: String) -> Self {
        Self {
            client: aws_sdk_dynamodb::Client::new(config),
            orders,
            products,
        }
    }

    /// The order of that id.
    pub async fn get(&self, id: &str) -> Result<Option<Order>, TableError> {
        let item = table::get(&self.client, &self.orders, order_key(id)).await?;
        Ok(item.map(serde_dynamo::from_item).transpose()?)
    }

    /// What one piece of a product costs; `None` when there is no such product.
    pub async fn price(&self, sku: &str) -> Result<Option<u64>, TableError> {
        let item = table::get(&self.client, &self.products, product_key(sku)).await?;
        let price = item.as_ref().and_then(|item| item.get("price"));
        Ok(price.and_then(|price| price.as_n().ok()?.parse().ok()))
    }

    /// Stores a new order with what is to be `told` of it. A conflict when there is one of that id already.
    pub async fn create(
        &self,
        order: &Order,
        told: Vec<TransactWriteItem>,
    ) -> Result<Written, TableError> {
        let mut item: Item = serde_dynamo::to_item(order)?;
        item.insert("pk".to_owned(), order_key(&order.id));
        let put = Put::builder()
            .table_name(&self.orders)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk)")
            .build()?;
        self.write(TransactWriteItem::builder().put(put).build(), told)
            .await
    }

    /// Brings an order from the state `order` has to `state`, with what goes along. A conflict when it has another state by now,
    /// or when something that goes along cannot.
    pub async fn change(
        &self,
        order: &Order,
        state: State,
        now: Timestamp,
        along: Vec<TransactWriteItem>,
    ) -> Result<Written, TableError> {
        let update = Update::builder()
            .table_name(&self.orders)
            .key("pk", order_key(&order.id))
            .update_expression("SET #state = :state, updatedAt = :now")
            .condition_expression("#state = :seen")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":state", text(state.word()))
            .expression_attribute_values(":seen", text(order.state.word()))
            .expression_attribute_values(":now", text(&now.to_string()))
            .build()?;
        self.write(TransactWriteItem::builder().update(update).build(), along)
            .await
    }

    /// Takes an order's goods from the stock: goes along with a change of the order, and cannot where there are not enough.
    pub fn take(&self, order: &Order) -> Result<TransactWriteItem, TableError> {
        let update = Update::builder()
            .table_name(&self.products)
            .key("pk", product_key(&order.sku))
            .update_expression("SET stock = stock - :quantity")
            .condition_expression("stock >= :quantity")
            .expression_attribute_values(":quantity", AttributeValue::N(order.quantity.to_string()))
            .build()?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    /// Whether the table of orders can be read.
    pub async fn is_there(&self) -> bool {
        self.get("health").await.is_ok()
    }

    async fn write(
        &self,
        change: TransactWriteItem,
        along: Vec<TransactWriteItem>,
    ) -> Result<Written, TableError> {
        let mut writes = vec![change];
        writes.extend(along);
        Ok(transaction::write(&self.client, &writes).await?)
    }
}

fn order_key(id: &str) -> AttributeValue {
    text(&format!("ORDER#{id}"))
}

fn product_key(sku: &str) -> AttributeValue {
    text(&format!("PRODUCT#{sku}"))
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}
