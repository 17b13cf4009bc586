//! JSON as text: what reading and writing it would change, and other layouts that leave every number and every member.

use std::collections::HashSet;
use std::fmt;

use serde::de::IgnoredAny;
use serde_json::Number;

/// Indentation grows with each level, so what is nested deeper keeps its layout. `serde_json` reads no more levels.
const LEVELS_MAX: usize = 127;

/// What a JSON text loses when it is read as a value and written again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loss<'a> {
    /// A number that a double or 64 bits cannot hold: a double has 15 to 17 digits.
    Number(&'a str),
    /// A key that an object has more than once: only the last member stays.
    Key(String),
}

impl fmt::Display for Loss<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "the number {number}, which would not stay as it is"),
            Self::Key(key) => write!(
                f,
                "the key {key:?} more than once in one object, of which only one would stay"
            ),
        }
    }
}

/// The first thing that a JSON text would lose when it is read as a value and written again.
#[must_use]
pub fn loss(json: &str) -> Option<Loss<'_>> {
    // The keys of each open object; of an array nothing is looked up.
    let mut open: Vec<HashSet<String>> = Vec::new();
    let mut last = "";
    for token in Tokens(json) {
        match token {
            "{" | "[" => open.push(HashSet::new()),
            "}" | "]" => drop(open.pop()),
            ":" => {
                let key = serde_json::from_str::<String>(last).unwrap_or_else(|_| last.to_owned());
                if let Some(keys) = open.last_mut()
                    && !keys.insert(key.clone())
                {
                    return Some(Loss::Key(key));
                }
            }
            number if is_number(number) && !stays(number) => return Some(Loss::Number(number)),
            _ => {}
        }
        last = token;
    }
    None
}

/// The same JSON with a line for each member; `None` when it is no JSON or nested beyond reason.
#[must_use]
pub fn indented(json: &str) -> Option<String> {
    laid_out(json, true)
}

/// The same JSON on one line; `None` when it is no JSON or nested beyond reason.
#[must_use]
pub fn on_one_line(json: &str) -> Option<String> {
    laid_out(json, false)
}

fn laid_out(json: &str, indent: bool) -> Option<String> {
    serde_json::from_str::<IgnoredAny>(json).ok()?;
    let mut out = String::with_capacity(json.len());
    let mut level = 0;
    let line = |out: &mut String, level: usize| {
        if indent {
            out.push('\n');
            out.extend(std::iter::repeat_n("  ", level));
        }
    };
    let mut tokens = Tokens(json).peekable();
    while let Some(token) = tokens.next() {
        match token {
            "{" | "[" => {
                out.push_str(token);
                if let Some(end) = tokens.next_if(|next| matches!(*next, "}" | "]")) {
                    out.push_str(end);
                    continue;
                }
                level += 1;
                if level > LEVELS_MAX {
                    return None;
                }
                line(&mut out, level);
            }
            "}" | "]" => {
                level = level.saturating_sub(1);
                line(&mut out, level);
                out.push_str(token);
            }
            "," => {
                out.push(',');
                line(&mut out, level);
            }
            ":" => out.push_str(if indent { ": " } else { ":" }),
            string if string.starts_with('"') => out.push_str(&rewritten(string)),
            literal => out.push_str(literal),
        }
    }
    Some(out)
}

/// A string with as few escapes as it needs.
fn rewritten(string: &str) -> String {
    serde_json::from_str::<String>(string)
        .and_then(|text| serde_json::to_string(&text))
        .unwrap_or_else(|_| string.to_owned())
}

/// Brackets, commas, colons, strings with their quotes, and everything between.
struct Tokens<'a>(&'a str);

impl<'a> Iterator for Tokens<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let rest = self.0.trim_start();
        let first = rest.chars().next()?;
        let length = match first {
            '"' => string_length(rest),
            '{' | '}' | '[' | ']' | ',' | ':' => 1,
            _ => rest
                .find(|c: char| {
                    c.is_whitespace() || matches!(c, '{' | '}' | '[' | ']' | ',' | ':' | '"')
                })
                .unwrap_or(rest.len()),
        };
        let (token, behind) = rest.split_at(length);
        self.0 = behind;
        Some(token)
    }
}

/// How long the string is with which `text` begins, with both quotes.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (index, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return index + 1,
            _ => {}
        }
    }
    text.len()
}

fn is_number(token: &str) -> bool {
    token.starts_with(|c: char| c == '-' || c.is_ascii_digit())
}

/// Whether a number is the same after it was read and written, and again by whoever gets it.
fn stays(number: &str) -> bool {
    let written = |number: &str| {
        let read = serde_json::from_str::<Number>(number);
        read.ok().map(|number| number.to_string())
    };
    let Some(once) = written(number) else {
        return false;
    };
    let twice = written(&once);
    decimal(number) == decimal(&once) && twice.as_ref() == Some(&once)
}

/// Sign, significant digits and power of ten of a JSON number: the same for all ways to write it.
fn decimal(number: &str) -> Option<(bool, String, i64)> {
    let (mantissa, power) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{}{fraction}", whole.trim_start_matches('-'));
    let significant = digits.trim_end_matches('0');
    let zeros = i64::try_from(digits.len() - significant.len()).ok()?;
    let places = i64::try_from(fraction.len()).ok()?;
    let power = power
        .parse::<i64>()
        .ok()?
        .checked_add(zeros)?
        .checked_sub(places)?;
    let significant = significant.trim_start_matches('0').to_owned();
    let power = if significant.is_empty() { 0 } else { power };
    Some((mantissa.starts_with('-'), significant, power))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_number_that_a_double_cannot_hold_is_a_loss() {
        for number in [
            "12345678901234567890123",
            "0.12345678901234567891",
            "-1e-400",
            "1e400",
        ] {
            let text = format!(r#"{{"t": "-1 \" 9", "n": {number}}}"#);
            assert_eq!(loss(&text), Some(Loss::Number(number)));
        }
        for number in [
            "18446744073709551615",
            "-0",
            "1.10",
            "1E+2",
            "0.1",
            "100e-2",
        ] {
            assert_eq!(loss(&format!(r#"{{"n":{number}}}"#)), None, "{number}");
        }
    }

    #[test]
    fn a_key_that_is_there_twice_is_a_loss() {
        for text in [r#"{"a":1,"a":2}"#, r#"[{"b":{"a":1},"\u0062":[]}]"#] {
            assert!(matches!(loss(text), Some(Loss::Key(_))), "{text}");
        }
        for text in [r#"[{"a":1},{"a":1}]"#, r#"{"a":{"a":"a"},"b":["a","a"]}"#] {
            assert_eq!(loss(text), None, "{text}");
        }
    }

    #[test]
    fn another_layout_leaves_numbers_and_members() {
        let text = r#"{ "a" :[ ], "n": 1.50,"n": [12345678901234567890123, "\u00e4, {"]}"#;
        let line = r#"{"a":[],"n":1.50,"n":[12345678901234567890123,"ä, {"]}"#;
        assert_eq!(on_one_line(text).as_deref(), Some(line));
        let lines = "{\n  \"a\": [],\n  \"n\": 1.50,\n  \"n\": [\n    12345678901234567890123,\n    \"ä, {\"\n  ]\n}";
        assert_eq!(indented(text).as_deref(), Some(lines));
        assert_eq!(indented("{"), None);
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(indented(&deep), None);
    }

    #[test]
    fn the_layout_is_the_usual_one() {
        let value = json!({"a": {}, "b": [1, {"c": "\"\\ \u{1b}"}, null, true], "d": []});
        let pretty = serde_json::to_string_pretty(&value).unwrap();
        assert_eq!(indented(&value.to_string()), Some(pretty.clone()));
        assert_eq!(on_one_line(&pretty), Some(value.to_string()));
    }

    proptest! {
        #[test]
        fn nothing_makes_it_fail(text in any::<String>()) {
            let _ = loss(&text);
            let _ = indented(&text);
        }

        #[test]
        fn what_loses_nothing_is_the_same_value(text in r#"[\[\]{}:,"a1. -]{0,12}"#) {
            if let Some(lines) = indented(&text) {
                let value = serde_json::from_str::<Value>(&text).unwrap();
                prop_assert_eq!(serde_json::from_str::<Value>(&lines).unwrap(), value);
            }
        }

        #[test]
        fn a_number_that_is_written_again_is_the_same(number in any::<i64>(), places in 0_i32..5) {
            let text = format!("{number}e-{places}");
            let again = format!("{number}0E-{}", places + 1);
            prop_assert_eq!(decimal(&text), decimal(&again));
        }
    }
}
