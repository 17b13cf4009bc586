//! What failures have in common: error type and first frame, or the message where there is no frame, without the
//! numbers and ids that differ from event to event.

use patterns_core::text::visible;
use serde_json::Value;

/// The longest signature, in characters.
const LONGEST: usize = 200;

/// The signature of what says nothing about its error: messages that a redrive policy moved. Two of them need not have
/// failed alike.
pub const NO_ERROR: &str = "no error recorded";

/// A word of that many letters and digits is an id, whatever letters it has.
const ID: usize = 16;

/// A word of at least that many hexadecimal digits is an id.
const HEX_ID: usize = 8;

/// The signature of an error. One line of visible text, the same for the same failure at any time.
pub fn signature(
    error_type: Option<&str>,
    error_message: Option<&str>,
    response: &Value,
) -> String {
    let what = match (error_type, first_frame(response), error_message) {
        (Some(kind), Some(frame), _) => format!("{kind} at {frame}"),
        (Some(kind), None, Some(message)) => format!("{kind}: {message}"),
        (Some(kind), None, None) => kind.to_owned(),
        (None, _, Some(message)) => message.to_owned(),
        (None, _, None) => return NO_ERROR.to_owned(),
    };
    let line: Vec<_> = what.split_whitespace().collect();
    let masked = mask(&visible(&line.join(" ")));
    masked.chars().take(LONGEST).collect()
}

/// The frame in which the error was thrown, from the stack trace in a function's error response. Node.js and others list
/// it first, after the error itself; Python lists it last. (Lambda Developer Guide, "Function errors and exceptions" of
/// each runtime: `stackTrace`, or `trace` of Node.js.)
fn first_frame(response: &Value) -> Option<String> {
    let trace = response
        .get("stackTrace")
        .or_else(|| response.get("trace"))?;
    let frames: Vec<String> = match trace {
        Value::Array(frames) => frames.iter().filter_map(frame).collect(),
        Value::String(text) => text.lines().map(|line| line.trim().to_owned()).collect(),
        _ => return None,
    };
    let python = |frame: &&String| frame.starts_with("File \"");
    frames
        .iter()
        .rev()
        .find(python)
        .or_else(|| frames.iter().find(|frame| frame.starts_with("at ")))
        .or_else(|| frames.iter().find(|frame| !frame.is_empty()))
        .map(|frame| frame.trim_start_matches("at ").to_owned())
}

/// One frame as text: the first line of a text, or path and label as the runtime of Go writes them.
fn frame(frame: &Value) -> Option<String> {
    match frame {
        Value::String(text) => text.trim().lines().next().map(str::to_owned),
        Value::Object(parts) => {
            let part = |name: &str| parts.get(name).and_then(Value::as_str);
            Some(format!(
                "{} {}",
                part("path")?,
                part("label").unwrap_or_default()
            ))
        }
        _ => None,
    }
}

/// `text` with `#` for every number and id.
fn mask(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = uuid(rest).unwrap_or_else(|| {
            rest.find(|c: char| !c.is_ascii_alphanumeric())
                .unwrap_or(rest.len())
        });
        // Something that is no word is kept, character by character.
        let (word, after) = rest.split_at(length.max(first.len_utf8()));
        push_masked(&mut out, word);
        rest = after;
    }
    // Whether a number has decimals or a version has parts says nothing.
    while out.contains("#.#") {
        out = out.replace("#.#", "#");
    }
    out
}

fn push_masked(out: &mut String, word: &str) {
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let hex = word.bytes().all(|byte| byte.is_ascii_hexdigit());
    if digits == 0 {
        out.push_str(word);
    } else if word.contains('-')
        || digits == word.len()
        || hex && word.len() >= HEX_ID
        || word.len() >= ID
    {
        out.push('#');
    } else {
        for c in word.chars() {
            if !c.is_ascii_digit() {
                out.push(c);
            } else if !out.ends_with('#') {
                out.push('#');
            }
        }
    }
}

/// The length of the UUID that `text` begins with.
fn uuid(text: &str) -> Option<usize> {
    const LENGTH: usize = 36;
    let candidate = text.get(..LENGTH)?;
    let next = text.as_bytes().get(LENGTH);
    (uuid::Uuid::try_parse(candidate).is_ok() && !next.is_some_and(u8::is_ascii_alphanumeric))
        .then_some(LENGTH)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_and_ids_do_not_tell_failures_apart() {
        for (text, masked) in [
            ("order 17 not found", "order # not found"),
            (
                "order-1 and order-1000000000 are one",
                "order-# and order-# are one",
            ),
            ("5fea7756-0ea4-451a-a703-a558b9330001 is gone", "# is gone"),
            ("abcdefab-abcd-abcd-abcd-abcdefabcde1 is gone", "# is gone"),
            ("key 8f3a9c21 of 12345678", "key # of #"),
            ("token AKIAIOSFODNN7EXAMPLE", "token #"),
            ("timed out after 3.00 seconds", "timed out after # seconds"),
            ("10.0.0.1:5432 refused", "#:# refused"),
            ("v37 of sha256", "v# of sha#"),
            ("déjà vu, 漢字 1", "déjà vu, 漢字 #"),
            ("added facade", "added facade"),
        ] {
            assert_eq!(mask(text), masked);
        }
    }

    #[test]
    fn the_frame_that_threw_is_found_in_every_runtime() {
        for (response, expected) in [
            (
                json!({"stackTrace": ["  File \"/var/task/app.py\", line 9, in handler\n    deliver()\n",
                                      "  File \"/var/task/app.py\", line 4, in deliver\n    raise Refused()\n"]}),
                "Refused at File \"/var/task/app.py\", line #, in deliver",
            ),
            (
                json!({"trace": ["Refused: order 17", "    at deliver (/var/task/index.js:3:11)", "    at handler (index.js:9:1)"]}),
                "Refused at deliver (/var/task/index.js:#:#)",
            ),
            (
                json!({"stackTrace": ["com.example.Mail.deliver(Mail.java:10)", "com.example.Handler.handle(Handler.java:7)"]}),
                "Refused at com.example.Mail.deliver(Mail.java:#)",
            ),
            (
                json!({"stackTrace": [{"path": "main.go", "line": 7, "label": "deliver"}]}),
                "Refused at main.go deliver",
            ),
            (json!({"stackTrace": []}), "Refused: order #"),
            (json!({"stackTrace": 7}), "Refused: order #"),
            (json!(null), "Refused: order #"),
        ] {
            assert_eq!(
                signature(Some("Refused"), Some("order 17"), &response),
                expected
            );
        }
    }

    #[test]
    fn what_is_not_said_is_left_out() {
        let none = Value::Null;
        assert_eq!(signature(Some("Refused"), None, &none), "Refused");
        assert_eq!(signature(None, Some("order 17"), &none), "order #");
        assert_eq!(signature(None, None, &none), NO_ERROR);
    }

    proptest! {
        #[test]
        fn a_signature_is_one_short_visible_line(text in any::<String>()) {
            let signature = signature(Some(&text), Some(&text), &json!({"trace": [text.clone()]}));
            prop_assert!(signature.chars().count() <= LONGEST);
            prop_assert!(!signature.chars().any(patterns_core::text::is_hostile));
        }
    }
}
