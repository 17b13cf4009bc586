//! The one account and region that the emulator plays, and the names (ARNs) of what is in it.

/// The account every client sees, whatever credentials it uses.
pub const ACCOUNT_ID: &str = "000000000000";

/// The region every ARN names.
pub const REGION: &str = "us-east-1";

/// `arn:aws:sqs:…` of a queue.
#[must_use]
pub fn queue_arn(name: &str) -> String {
    format!("arn:aws:sqs:{REGION}:{ACCOUNT_ID}:{name}")
}

/// `arn:aws:lambda:…:function:…` of a function, unqualified.
#[must_use]
pub fn function_arn(name: &str) -> String {
    format!("arn:aws:lambda:{REGION}:{ACCOUNT_ID}:function:{name}")
}

/// `arn:aws:dynamodb:…` of a table.
#[must_use]
pub fn table_arn(name: &str) -> String {
    format!("arn:aws:dynamodb:{REGION}:{ACCOUNT_ID}:table/{name}")
}
