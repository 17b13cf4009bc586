//! From what people type to a condition on the mirror's table. Pure.
//!
//! A query is words that must all occur somewhere in an event, in any case: `refused "no such address"`. A word like
//! `field:value` asks for that value in that field; `*` at either end of it stands for anything.

use patterns_core::failed::{Filter, QUERY_MAX};
use patterns_core::problem::{Problem, ProblemKind};
use rusqlite::types::Value;

use crate::origin::Evidence;

/// SQL with its values, in the order of their question marks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Condition {
    /// Whether a row may match at all; an index can decide it.
    pub possible: Part,
    /// Whether it does; each row must be read for it.
    pub exact: Part,
}

/// Conditions that must all hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Part {
    sql: Vec<String>,
    /// One for each question mark.
    pub values: Vec<Value>,
}

impl Part {
    /// The SQL of one expression.
    pub fn sql(&self) -> String {
        if self.sql.is_empty() {
            "1".to_owned()
        } else {
            self.sql.join(" AND ")
        }
    }

    fn require(&mut self, sql: impl Into<String>, values: impl IntoIterator<Item = Value>) {
        self.sql.push(sql.into());
        self.values.extend(values);
    }
}

/// Fields by the name people use, with their column.
const FIELDS: [(&str, &str); 6] = [
    ("error_type", "error_type"),
    ("error_message", "error_message"),
    ("correlation_id", "correlation_id"),
    ("message_id", "message_id"),
    ("id", "id"),
    ("signature", "signature"),
];

/// Where a word without a field may be.
const ANYWHERE: [&str; 8] = [
    "body",
    "attributes",
    "error_type",
    "error_message",
    "correlation_id",
    "message_id",
    "id",
    "evidence",
];

impl Condition {
    /// Only what says one of these about where it failed.
    pub fn at_places(mut self, evidence: &[Evidence]) -> Self {
        let places: Vec<String> = evidence
            .iter()
            .filter_map(|evidence| serde_json::to_string(evidence).ok())
            .collect();
        let places = serde_json::Value::from(places).to_string();
        self.possible.require(
            "evidence IN (SELECT value FROM json_each(?))",
            [places.into()],
        );
        self
    }
}

/// A search that was given up.
pub fn too_long() -> Problem {
    Problem::new(
        ProblemKind::Conflict,
        "the search was given up",
        format!("it takes longer than {} s", super::store::SEARCH.as_secs()),
        "narrow it: name the dead-letter queue, a group, or a time",
    )
}

/// The condition of a filter. Its origin is no part of it: that is for the topology to resolve.
pub fn condition(filter: &Filter) -> Result<Condition, Problem> {
    let mut condition = Condition::default();
    let possible = &mut condition.possible;
    if let Some(group) = &filter.group {
        possible.require("signature = ?", [group.clone().into()]);
    }
    if let Some(from) = filter.from {
        possible.require("sent_at >= ?", [from.as_millisecond().into()]);
    }
    if let Some(until) = filter.until {
        possible.require("sent_at < ?", [until.as_millisecond().into()]);
    }
    let query = filter.query.as_deref().unwrap_or_default();
    if query.len() > QUERY_MAX {
        return Err(refused(format!(
            "it has {} bytes, and at most {QUERY_MAX} are possible",
            query.len()
        )));
    }
    for word in words(query) {
        require(&mut condition.exact, &word)?;
    }
    Ok(condition)
}

fn require(part: &mut Part, word: &Word) -> Result<(), Problem> {
    let Some((field, value)) = word.field() else {
        let columns = ANYWHERE.map(|column| format!("{column} LIKE ? ESCAPE '\\'"));
        let values = ANYWHERE.map(|_| format!("%{}%", literal(&word.text)).into());
        part.require(format!("({})", columns.join(" OR ")), values);
        return Ok(());
    };
    let value = Value::from(pattern(value));
    if let Some(path) = field.strip_prefix("body.") {
        let path = path_of(path)?;
        // The text of a number is compared, so that none is too large to be told apart.
        part.require(
            "CASE WHEN json_valid(body) THEN CASE json_type(body, root || ?)
             WHEN 'text' THEN json_extract(body, root || ?) ELSE body -> (root || ?) END LIKE ? ESCAPE '\\' END",
            [path.clone().into(), path.clone().into(), path.into(), value],
        );
    } else if let Some(name) = field.strip_prefix("attribute.") {
        part.require(
            "json_extract(attributes, ?) LIKE ? ESCAPE '\\'",
            [format!("${}.value", label(name)?).into(), value],
        );
    } else if let Some((_, column)) = FIELDS.iter().find(|(name, _)| *name == field) {
        part.require(format!("{column} LIKE ? ESCAPE '\\'"), [value]);
    }
    Ok(())
}

fn refused(why: impl Into<String>) -> Problem {
    let names: Vec<_> = FIELDS.iter().map(|(name, _)| *name).collect();
    Problem::new(
        ProblemKind::Usage,
        "the query is not valid",
        why,
        format!(
            "use words, and fields such as body.orderId:123, attribute.NAME:value, {}:value",
            names.join(":value, ")
        ),
    )
}

/// One word of a query.
#[derive(Debug, PartialEq, Eq)]
struct Word {
    /// Without its quotes.
    text: String,
    /// Where its first colon outside quotes is.
    colon: Option<usize>,
}

impl Word {
    /// Field and value; none when it only looks like one, as a URL does.
    fn field(&self) -> Option<(&str, &str)> {
        let at = self.colon?;
        let (field, value) = (self.text.get(..at)?, self.text.get(at + 1..)?);
        let known = field.starts_with("body.")
            || field.starts_with("attribute.")
            || FIELDS.iter().any(|(name, _)| *name == field);
        known.then_some((field, value))
    }
}

/// The words of a query; quotes keep spaces, and the last one may be missing.
fn words(query: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let (mut text, mut colon, mut quoted) = (String::new(), None, false);
    for c in query.chars().chain([' ']) {
        match c {
            '"' => quoted = !quoted,
            c if c.is_whitespace() && !quoted => {
                if !text.is_empty() {
                    words.push(Word {
                        text: std::mem::take(&mut text),
                        colon: colon.take(),
                    });
                }
            }
            c => {
                if c == ':' && !quoted && colon.is_none() {
                    colon = Some(text.len());
                }
                text.push(c);
            }
        }
    }
    // A quote that is still open: what is being typed.
    let rest = text.trim_end();
    if !rest.is_empty() {
        words.push(Word {
            text: rest.to_owned(),
            colon,
        });
    }
    words
}

/// `text` for `LIKE … ESCAPE '\'`, where it stands for itself.
fn literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// A value for `LIKE`. Only an asterisk at either end is one: with many of them one comparison could take hours.
fn pattern(value: &str) -> String {
    let inner = value.strip_prefix('*').unwrap_or(value);
    let starts = inner.len() < value.len();
    let core = inner.strip_suffix('*').unwrap_or(inner);
    let ends = core.len() < inner.len();
    format!(
        "{}{}{}",
        if starts { "%" } else { "" },
        literal(core),
        if ends { "%" } else { "" }
    )
}

/// `task.items[0].sku` as SQLite wants it below its root.
fn path_of(path: &str) -> Result<String, Problem> {
    path.split('.')
        .map(|step| {
            let (name, index) = match step.find('[') {
                Some(at) => step.split_at(at),
                None => (step, ""),
            };
            let indexes = index.split_terminator(']').all(|index| {
                index.strip_prefix('[').is_some_and(|digits| {
                    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
                })
            });
            if name.is_empty() || !indexes || !(index.is_empty() || index.ends_with(']')) {
                return Err(refused(format!(
                    "body.{path} is no path such as body.items[0].sku"
                )));
            }
            Ok(format!("{}{index}", label(name)?))
        })
        .collect()
}

fn label(name: &str) -> Result<String, Problem> {
    if name.is_empty() || name.contains(['"', '\\']) {
        return Err(refused(format!("{name:?} is no name of a field")));
    }
    Ok(format!(".\"{name}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Result<Condition, Problem> {
        condition(&Filter {
            query: Some(text.to_owned()),
            ..Filter::default()
        })
    }

    #[test]
    fn words_are_split_outside_quotes() {
        let texts =
            |query| -> Vec<String> { words(query).into_iter().map(|word| word.text).collect() };
        assert_eq!(texts("  a  b\tc "), ["a", "b", "c"]);
        assert_eq!(texts("\"a b\" c"), ["a b", "c"]);
        assert_eq!(texts("error_message:\"a b\""), ["error_message:a b"]);
        assert_eq!(texts("\"still typing "), ["still typing"]);
        assert!(texts("\"\"").is_empty());
    }

    #[test]
    fn only_known_fields_are_fields() {
        let field = |query: &str| words(query)[0].field().map(|(field, _)| field.to_owned());
        assert_eq!(field("error_type:X").as_deref(), Some("error_type"));
        assert_eq!(field("body.a.b:X").as_deref(), Some("body.a.b"));
        assert_eq!(field("attribute.a.b:X").as_deref(), Some("attribute.a.b"));
        for word in ["https://example.com", "12:30", "plain", "\"error_type:X\""] {
            assert_eq!(field(word), None, "{word}");
        }
    }

    #[test]
    fn an_asterisk_is_one_at_the_ends_only() {
        assert_eq!(pattern("a*b"), "a*b");
        assert_eq!(pattern("Transient*"), "Transient%");
        assert_eq!(pattern("*100%_*"), "%100\\%\\_%");
        assert_eq!(pattern("*"), "%");
    }

    #[test]
    fn a_path_that_is_none_is_refused() {
        assert_eq!(
            path_of("task.items[0].sku").unwrap(),
            ".\"task\".\"items\"[0].\"sku\""
        );
        assert_eq!(path_of("a[0][12]").unwrap(), ".\"a\"[0][12]");
        for path in [
            "body.:1",
            "body.a..b:1",
            "body.a[x]:1",
            "body.a[0:1",
            "body.a[]:1",
            "body.[0]:1",
            "body.a[0]x:1",
            "attribute.:1",
        ] {
            assert_eq!(query(path).unwrap_err().kind, ProblemKind::Usage, "{path}");
        }
        assert!(query(&"x".repeat(QUERY_MAX + 1)).is_err());
        assert!(query(&"x ".repeat(QUERY_MAX / 2)).is_ok());
    }
}
