//! Text from messages is hostile: it may hold escape codes, bidirectional overrides or characters without width.
//! They are made visible once, where data enters a program that shows it.

use serde_json::Value;

/// Whether a terminal or a reader could be deceived by `c`.
#[must_use]
pub fn is_hostile(c: char) -> bool {
    c.is_control()
        // What Unicode says a renderer may ignore (`Default_Ignorable_Code_Point`), and the separators of lines and paragraphs.
        || matches!(c,
            // soft hyphen, combining grapheme joiner, Arabic letter mark
            '\u{ad}' | '\u{34f}' | '\u{61c}'
            // Hangul fillers, Khmer inherent vowels, Mongolian variation selectors and vowel separator
            | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
            // zero-width space, joiners and directional marks
            | '\u{200b}'..='\u{200f}'
            // line and paragraph separators, bidirectional embeddings and overrides
            | '\u{2028}'..='\u{202e}'
            // word joiner, invisible operators, bidirectional isolates, deprecated format characters
            | '\u{2060}'..='\u{206f}'
            // Hangul fillers, variation selectors, byte order mark, interlinear annotation
            | '\u{3164}' | '\u{ffa0}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff0}'..='\u{fffb}'
            // controls of shorthand and of musical notation
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            // tags and supplementary variation selectors
            | '\u{e0000}'..='\u{e0fff}')
}

fn push_mark(out: &mut String, c: char) {
    match c {
        // Control pictures: ␛ for escape, ␊ for a line feed, and so on.
        '\0'..='\u{1f}' => out.push(char::from_u32(0x2400 + u32::from(c)).unwrap_or('␀')),
        '\u{7f}' => out.push('␡'),
        _ => {
            use std::fmt::Write;
            // Writing to a String cannot fail.
            let _ = write!(out, "⟨{:04X}⟩", u32::from(c));
        }
    }
}

/// One line of text with every hostile character replaced by a visible mark.
#[must_use]
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hostile(c) {
            push_mark(&mut out, c);
        } else {
            out.push(c);
        }
    }
    out
}

/// As [`visible`], but line feeds stay: for text that is shown over several lines.
#[must_use]
pub fn visible_lines(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (index, line) in text.split('\n').enumerate() {
        if index > 0 {
            out.push('\n');
        }
        out.push_str(&visible(line));
    }
    out
}

/// Makes every string in `value`, keys included, [`visible`].
pub fn make_visible(value: &mut Value) {
    match value {
        Value::String(text) => {
            if text.chars().any(is_hostile) {
                *text = visible(text);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(make_visible),
        Value::Object(members) => {
            if members.keys().any(|key| key.chars().any(is_hostile)) {
                let old = std::mem::take(members);
                members.extend(old.into_iter().map(|(key, value)| (visible(&key), value)));
            }
            members.values_mut().for_each(make_visible);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// JSON text with every hostile character as a `\uXXXX` escape: the same value for a program that reads it, harmless on
/// a terminal. `json` must be valid JSON; line feeds and tabs between its values stay.
#[must_use]
pub fn escape_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if is_hostile(c) && !matches!(c, '\n' | '\t' | '\r') {
            use std::fmt::Write;
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escape_codes_become_visible_marks() {
        assert_eq!(visible("a\x1b[2Jb\r\n"), "a␛[2Jb␍␊");
        assert_eq!(
            visible("\u{202e}evil\u{200b}\u{9b}"),
            "⟨202E⟩evil⟨200B⟩⟨009B⟩"
        );
        assert_eq!(visible("\u{3164}\u{34f}\u{e0fff}"), "⟨3164⟩⟨034F⟩⟨E0FFF⟩");
        assert_eq!(visible_lines("a\nb\tc"), "a\nb␉c");
    }

    #[test]
    fn keys_become_visible_too() {
        let mut value = serde_json::json!({"\x1b[31m": ["\x07"]});
        make_visible(&mut value);
        assert_eq!(value, serde_json::json!({"␛[31m": ["␇"]}));
    }

    proptest! {
        #[test]
        fn nothing_hostile_is_left(text in any::<String>()) {
            prop_assert!(!visible(&text).chars().any(is_hostile));
        }

        #[test]
        fn escaped_json_means_the_same(text in any::<String>()) {
            let json = serde_json::to_string(&text).unwrap();
            let escaped = escape_json(&json);
            prop_assert!(!escaped.chars().any(is_hostile));
            prop_assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), text);
        }
    }
}
