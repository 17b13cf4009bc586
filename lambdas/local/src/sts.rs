//! STS, as far as `GetCallerIdentity`: the query protocol in, XML out ("AWS Security Token Service API Reference").

use crate::{account::ACCOUNT_ID, xml};

/// What its XML is named by.
pub const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// The body of the answer to `GetCallerIdentity`.
#[must_use]
pub fn caller_identity(request_id: &str) -> String {
    let result = format!(
        "<Arn>arn:aws:iam::{ACCOUNT_ID}:root</Arn><UserId>{ACCOUNT_ID}</UserId><Account>{ACCOUNT_ID}</Account>"
    );
    xml::response(NAMESPACE, "GetCallerIdentity", Some(&result), request_id)
}
