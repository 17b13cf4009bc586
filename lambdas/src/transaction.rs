//! Several writes, all or none.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::TransactWriteItem;

/// Two transactions on one item cancel each other. Then it is tried again so many times, because the other may fail, too.
const ATTEMPTS: u32 = 5;

/// Whether the writes were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// All of them.
    Yes,
    /// None: an item is not as one of them asks.
    Conflict,
}

/// Makes all of `writes` or none.
pub async fn write(
    client: &Client,
    writes: &[TransactWriteItem],
) -> Result<Written, SdkError<TransactWriteItemsError>> {
    let mut attempt = 1;
    loop {
        let written = client
            .transact_write_items()
            .set_transact_items(Some(writes.to_vec()))
            .send()
            .await;
        let Err(error) = written else {
            return Ok(Written::Yes);
        };
        match reason(&error) {
            Some("ConditionalCheckFailed") => return Ok(Written::Conflict),
            Some("TransactionConflict") if attempt < ATTEMPTS => attempt += 1,
            _ => return Err(error),
        }
    }
}

/// Why a transaction was cancelled: a failed condition says more than a conflict beside it.
fn reason(error: &SdkError<TransactWriteItemsError>) -> Option<&'static str> {
    let TransactWriteItemsError::TransactionCanceledException(cancelled) =
        error.as_service_error()?
    else {
        return None;
    };
    ["ConditionalCheckFailed", "TransactionConflict"]
        .into_iter()
        .find(|word| {
            cancelled
                .cancellation_reasons()
                .iter()
                .any(|reason| reason.code() == Some(word))
        })
}
