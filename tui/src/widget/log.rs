//! Lines of a function's log, short enough to be read.

use serde_json::Value;

/// What the line says. Functions that log in JSON repeat their request on every line; of those only level and message, or
/// the kind of the platform's record, are shown. Other lines are shown as they are.
///
/// Both forms are those of the AWS Lambda Developer Guide, "Configuring advanced logging controls", and of the Lambda
/// Telemetry API's event schema.
pub fn text(line: &str) -> String {
    let short = || {
        let line: Value = serde_json::from_str(line.trim()).ok()?;
        let text = |pointer| line.pointer(pointer).and_then(Value::as_str);
        // `fields` is how Rust's tracing nests what others write at the top.
        if let Some(message) = text("/message").or_else(|| text("/fields/message")) {
            return Some(format!(
                "{:<5} {message}",
                text("/level").unwrap_or_default()
            ));
        }
        let kind = text("/type")?;
        let status = text("/record/status")
            .map(|status| format!(" {status}"))
            .unwrap_or_default();
        let duration = line
            .pointer("/record/metrics/durationMs")
            .and_then(Value::as_f64);
        let duration = duration
            .map(|ms| format!(" after {}", crate::figure::millis(ms)))
            .unwrap_or_default();
        Some(format!("{kind}{status}{duration}"))
    };
    short().unwrap_or_else(|| line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_shortened_and_other_text_is_not() {
        let cases = [
            (
                r#"{"level":"ERROR","fields":{"message":"refused"},"span":{}}"#,
                "ERROR refused",
            ),
            (
                r#"{"timestamp":"t","level":"INFO","message":"sent","requestId":"1"}"#,
                "INFO  sent",
            ),
            (
                r#"{"type":"platform.report","record":{"status":"error","metrics":{"durationMs":17.9}}}"#,
                "platform.report error after 18ms",
            ),
            (
                r#"{"type":"platform.start","record":{"requestId":"1"}}"#,
                "platform.start",
            ),
            (r#"{"other":1}"#, r#"{"other":1}"#),
            ("END RequestId: 1", "END RequestId: 1"),
        ];
        for (line, shown) in cases {
            assert_eq!(text(line), shown);
        }
    }
}
