//! The table of accounts and sessions.
//!
//! | `pk` | holds |
//! |---|---|
//! | `USER#<id>` | an account |
//! | `EMAIL#<address in lower case>` | whose address it is: nobody else can take it |
//! | `SESSION#<SHA-256 of the token>` | whose token it is, and until when |

use aws_config::SdkConfig;
use aws_sdk_dynamodb::types::{AttributeValue, Delete, Put, TransactWriteItem, Update};
use jiff::{SignedDuration, Timestamp};

use super::account::{User, canonical};
use crate::table::{self, Item, TableError};
use crate::transaction::{self, Written};

/// Sessions are kept for a while after they ended, so that their tokens are told from forged ones. DynamoDB removes them
/// within days after that.
const KEPT_AFTER_END: SignedDuration = SignedDuration::from_hours(24);

/// Whose token, and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The account's id.
    pub user_id: String,
    /// Not accepted from then on.
    pub valid_until: Timestamp,
}

/// The table.
#[derive(Clone, Debug)]
pub struct AccountStore {
    client: aws_sdk_dynamodb::Client,
    table: String,
}

impl AccountStore {
    /// The table called `table`.
    #[must_use]
    pub fn new(config: &SdkConfig, table: String) -> Self {
        Self {
            client: aws_sdk_dynamodb::Client::new(config),
            table,
        }
    }

    /// Stores a new account, what is to be `told` of it, and its first session, unless its address is taken: all or nothing.
    pub async fn register(
        &self,
        user: &User,
        told: TransactWriteItem,
        digest: &str,
        session: &Session,
    ) -> Result<Written, TableError> {
        let mut item: Item = serde_dynamo::to_item(user)?;
        item.insert("pk".to_owned(), user_key(&user.id));
        let writes = [
            self.put_if_new(email_item(&user.email, &user.id))?,
            self.put_if_new(item)?,
            self.put_if_new(session_item(digest, session))?,
            told,
        ];
        Ok(transaction::write(&self.client, &writes).await?)
    }

    /// The account of that id.
    pub async fn user(&self, id: &str) -> Result<Option<User>, TableError> {
        let item = self.get(user_key(id)).await?;
        Ok(item.map(serde_dynamo::from_item).transpose()?)
    }

    /// The account with that address.
    pub async fn user_by_email(&self, email: &str) -> Result<Option<User>, TableError> {
        let Some(item) = self.get(email_key(email)).await? else {
            return Ok(None);
        };
        match item.get("userId").map(AttributeValue::as_s) {
            Some(Ok(id)) => self.user(id).await,
            _ => Ok(None),
        }
    }

    /// Puts `new` in the place of `old`, if the account is still as `old` was.
    pub async fn change(&self, old: &User, new: &User) -> Result<Written, TableError> {
        let update = Update::builder()
            .table_name(&self.table)
            .key("pk", user_key(&old.id))
            .update_expression("SET #name = :name, email = :email")
            .condition_expression("email = :old")
            .expression_attribute_names("#name", "name")
            .expression_attribute_values(":name", text(&new.name))
            .expression_attribute_values(":email", text(&new.email))
            .expression_attribute_values(":old", text(&old.email))
            .build()?;
        let mut writes = vec![TransactWriteItem::builder().update(update).build()];
        if canonical(&old.email) != canonical(&new.email) {
            writes.push(self.put_if_new(email_item(&new.email, &new.id))?);
            let freed = Delete::builder()
                .table_name(&self.table)
                .key("pk", email_key(&old.email))
                .build()?;
            writes.push(TransactWriteItem::builder().delete(freed).build());
        }
        Ok(transaction::write(&self.client, &writes).await?)
    }

    /// Stores a session.
    pub async fn begin_session(&self, digest: &str, session: &Session) -> Result<(), TableError> {
        self.client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(session_item(digest, session)))
            .send()
            .await?;
        Ok(())
    }

    /// The session of a token, also one that has ended.
    pub async fn session(&self, digest: &str) -> Result<Option<Session>, TableError> {
        let item = self.get(session_key(digest)).await?;
        Ok(item.and_then(|item| {
            let user_id = item.get("userId")?.as_s().ok()?.clone();
            let seconds = item.get("validUntil")?.as_n().ok()?.parse().ok()?;
            Some(Session {
                user_id,
                valid_until: Timestamp::from_second(seconds).ok()?,
            })
        }))
    }

    /// Removes a session; there may be none.
    pub async fn end_session(&self, digest: &str) -> Result<(), TableError> {
        self.client
            .delete_item()
            .table_name(&self.table)
            .key("pk", session_key(digest))
            .send()
            .await?;
        Ok(())
    }

    /// Whether the table can be read.
    pub async fn is_there(&self) -> bool {
        self.get(text("HEALTH")).await.is_ok()
    }

    async fn get(&self, key: AttributeValue) -> Result<Option<Item>, TableError> {
        table::get(&self.client, &self.table, key).await
    }

    fn put_if_new(&self, item: Item) -> Result<TransactWriteItem, TableError> {
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk)")
            .build()?;
        Ok(TransactWriteItem::builder().put(put).build())
    }
}

fn email_item(email: &str, user_id: &str) -> Item {
    Item::from([
        ("pk".to_owned(), email_key(email)),
        ("userId".to_owned(), text(user_id)),
    ])
}

fn session_item(digest: &str, session: &Session) -> Item {
    let kept_until = session
        .valid_until
        .checked_add(KEPT_AFTER_END)
        .unwrap_or(session.valid_until);
    Item::from([
        ("pk".to_owned(), session_key(digest)),
        ("userId".to_owned(), text(&session.user_id)),
        (
            "validUntil".to_owned(),
            AttributeValue::N(session.valid_until.as_second().to_string()),
        ),
        (
            "expiresAt".to_owned(),
            AttributeValue::N(kept_until.as_second().to_string()),
        ),
    ])
}

fn user_key(id: &str) -> AttributeValue {
    text(&format!("USER#{id}"))
}

fn email_key(email: &str) -> AttributeValue {
    text(&format!("EMAIL#{}", canonical(email)))
}

fn session_key(digest: &str) -> AttributeValue {
    text(&format!("SESSION#{digest}"))
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}
