//! XML as the query protocol answers it ("AWS Query protocol" in the Smithy documentation).

use crate::error::AwsError;

/// Text between tags. Characters that XML 1.0 cannot carry are replaced.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '\r' => safe.push_str("&#13;"),
            '\t' | '\n' => safe.push(character),
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => safe.push(char::REPLACEMENT_CHARACTER),
            _ => safe.push(character),
        }
    }
    safe
}

/// The answer to `action`; `result` is what stands between its `…Result` tags, if it has any.
#[must_use]
pub fn response(namespace: &str, action: &str, result: Option<&str>, request_id: &str) -> String {
    let result = result.map_or_else(String::new, |result| {
        format!("<{action}Result>{result}</{action}Result>")
    });
    format!(
        "<{action}Response xmlns=\"{namespace}\">{result}\
         <ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{action}Response>"
    )
}

/// An error's answer.
#[must_use]
pub fn error_response(namespace: &str, error: &AwsError, request_id: &str) -> String {
    let fault = error.fault();
    let code = error.query_code.unwrap_or(error.code);
    let message = escaped(&error.message);
    format!(
        "<ErrorResponse xmlns=\"{namespace}\">\
         <Error><Type>{fault}</Type><Code>{code}</Code><Message>{message}</Message></Error>\
         <RequestId>{request_id}</RequestId></ErrorResponse>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_stays_text() {
        assert_eq!(
            escaped("<a>&\u{0}\u{1b}é"),
            "&lt;a&gt;&amp;\u{fffd}\u{fffd}é"
        );
    }
}
