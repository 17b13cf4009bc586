//! JSON over several lines, with its keys standing out.

use ratatui::text::{Line, Span};
use serde_json::Value;

use crate::theme::Theme;

/// `value`, two spaces a level.
pub fn lines(value: &Value, theme: Theme) -> Vec<Line<'static>> {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    written(&text, theme)
}

/// JSON that is over several lines already.
pub fn written(text: &str, theme: Theme) -> Vec<Line<'static>> {
    text.lines().map(|line| highlight(line, theme)).collect()
}

/// One line as serde writes it: indentation, then a key with `": `, or only a value.
fn highlight(line: &str, theme: Theme) -> Line<'static> {
    let body = line.trim_start();
    let indent = line.len() - body.len();
    match key_length(body) {
        Some(length) => {
            let (key, value) = line.split_at(indent + length);
            Line::from(vec![
                Span::styled(key.to_owned(), theme.accent()),
                Span::raw(value.to_owned()),
            ])
        }
        None => Line::raw(line.to_owned()),
    }
}

/// The bytes of the key that `body` begins with, quotes included.
fn key_length(body: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in body.strip_prefix('"')?.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            // One byte for the quote that was stripped, one for this one.
            '"' => {
                return body
                    .get(at + 2..)
                    .is_some_and(|rest| rest.starts_with(':'))
                    .then_some(at + 2);
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stand_out_and_values_do_not() {
        let lines = lines(
            &serde_json::json!({"a\"b": "c: d", "e": ["f"]}),
            Theme::new(true),
        );
        let text: Vec<String> = lines.iter().map(ToString::to_string).collect();
        assert_eq!(
            text,
            [
                "{",
                "  \"a\\\"b\": \"c: d\",",
                "  \"e\": [",
                "    \"f\"",
                "  ]",
                "}"
            ]
        );
        assert_eq!(lines[1].spans[0].content, "  \"a\\\"b\"");
        assert_eq!(lines[3].spans.len(), 1);
    }
}
