//! Filter patterns for unstructured lines: terms that must all occur ("Filter pattern syntax for metric filters, subscription filters, filter log events").

use super::invalid;
use crate::error::AwsError;

/// Terms that a line must contain, all of them and as written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Filter {
    terms: Vec<String>,
}

impl Filter {
    pub fn parse(pattern: &str) -> Result<Self, AwsError> {
        let mut terms = Vec::new();
        let mut rest = pattern.trim_start();
        while let Some(first) = rest.chars().next() {
            let (term, after) = match first {
                '"' => quoted(rest)?,
                '{' | '[' | '%' | '-' | '?' => {
                    return Err(invalid(format!(
                        "Invalid filter pattern: patterns-local offers terms and \"quoted terms\" that must all occur, nothing that starts with {first}. Quote it to search for it."
                    )));
                }
                _ => {
                    let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
                    let (term, after) = rest.split_at(end);
                    (term.to_owned(), after)
                }
            };
            terms.push(term);
            rest = after.trim_start();
        }
        Ok(Self { terms })
    }

    pub fn matches(&self, line: &str) -> bool {
        self.terms.iter().all(|term| line.contains(term))
    }
}

/// The quoted term that `text` starts with, and what follows it. A backslash takes the next character as it is.
fn quoted(text: &str) -> Result<(String, &str), AwsError> {
    let mut term = String::new();
    let mut characters = text.chars();
    characters.next();
    while let Some(character) = characters.next() {
        match character {
            '"' => return Ok((term, characters.as_str())),
            '\\' => term.extend(characters.next()),
            _ => term.push(character),
        }
    }
    Err(invalid(
        "Invalid filter pattern: a quotation mark is not closed.",
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn all_terms_must_occur_as_written() {
        for (pattern, line, expected) in [
            ("", "anything", true),
            ("ERROR", "an ERROR here", true),
            ("ERROR", "an error here", false),
            ("ERROR late", "late ERROR", true),
            ("ERROR late", "ERROR", false),
            ("\"b c\"", "a b c", true),
            ("\"b c\"", "b a c", false),
            (r#""say \"hi\"""#, r#"they say "hi" now"#, true),
            ("6f9-a1", "id 6f9-a1", true),
        ] {
            assert_eq!(
                Filter::parse(pattern).unwrap().matches(line),
                expected,
                "{pattern} in {line}"
            );
        }
    }

    #[test]
    fn other_patterns_are_refused() {
        for pattern in [
            "{ $.level = \"ERROR\" }",
            "[a, b]",
            "-ERROR",
            "?a ?b",
            "%x%",
            "\"open",
        ] {
            assert_eq!(
                Filter::parse(pattern).unwrap_err().code,
                "InvalidParameterException",
                "{pattern}"
            );
        }
    }
}
