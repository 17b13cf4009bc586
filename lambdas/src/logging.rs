//! What a function writes to its log: one line an event, as JSON or as text, each with the fields of the spans around it
//! (`requestId` from the Lambda runtime, `correlationId` from the request or the message).
//!
//! Names that hold secrets are redacted here, once for all functions. Bodies are not logged anywhere.
//!
//! | variable | values | default |
//! |---|---|---|
//! | `LOGGING_ENABLED` | `true`, `false` | `true` |
//! | `LOGGING_LEVEL` | `debug`, `info`, `warn`, `error` | `AWS_LAMBDA_LOG_LEVEL`, else `info` |
//! | `LOGGING_FORMAT` | `json`, `text` | `AWS_LAMBDA_LOG_FORMAT`, else `text` |

use std::fmt::{Debug, Write as _};
use std::io::Write as _;

use jiff::Timestamp;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::registry::{LookupSpan, Scope};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, Registry};

use crate::settings::Settings;

/// A field whose name holds one of these is not written.
const SECRET: [&str; 5] = ["password", "authorization", "token", "secret", "cookie"];

/// How lines are written, and which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Logging {
    level: LevelFilter,
    json: bool,
}

impl Logging {
    /// Reads the variables.
    pub fn read(settings: &mut Settings) -> Self {
        let enabled = settings.optional("LOGGING_ENABLED", true, "true or false", |_| true);
        let lambda = |name| std::env::var(name).unwrap_or_default();
        // An empty text would be read as `error`.
        let level = Some(lambda("AWS_LAMBDA_LOG_LEVEL"))
            .filter(|level| !level.is_empty())
            .and_then(|level| level.parse().ok())
            .unwrap_or(LevelFilter::INFO);
        let level = settings.optional(
            "LOGGING_LEVEL",
            level,
            "debug, info, warn or error",
            |level| *level != LevelFilter::OFF,
        );
        let json = lambda("AWS_LAMBDA_LOG_FORMAT").eq_ignore_ascii_case("json");
        let format = settings.optional(
            "LOGGING_FORMAT",
            if json { "json" } else { "text" }.to_owned(),
            "json or text",
            |format| matches!(format.as_str(), "json" | "text"),
        );
        Self {
            level: if enabled { level } else { LevelFilter::OFF },
            json: format == "json",
        }
    }

    /// Writes from now on to stdout, which Lambda takes into the function's log.
    pub fn start(self) {
        Registry::default().with(Lines(self)).init();
    }

    /// The libraries below tell bodies when they are asked for details; so they are only heard when something is wrong.
    fn writes(self, line: &Metadata<'_>) -> bool {
        // The runtime repeats what a handler failed with, outside of the handler's spans and without its correlation id. Every
        // handler has said it by then. Of one that panicked, which goes into `error`, only the runtime tells.
        if line.target() == "lambda_runtime::layers::panic"
            && line.fields().field("error").is_none()
        {
            return false;
        }
        let level = if line.target().starts_with("patterns") {
            self.level
        } else {
            self.level.min(LevelFilter::WARN)
        };
        *line.level() <= level
    }

    fn line(self, at: Timestamp, level: &str, fields: Map<String, Value>) -> String {
        let mut line = Map::from_iter([
            ("timestamp".to_owned(), Value::from(at.to_string())),
            ("level".to_owned(), Value::from(level)),
        ]);
        line.extend(fields);
        if self.json {
            return Value::Object(line).to_string();
        }
        let mut text = String::new();
        for (name, value) in line {
            let value = match value {
                Value::String(value) => value,
                other => other.to_string(),
            };
            let _ = match name.as_str() {
                "timestamp" | "level" | "message" => write!(text, "{value} "),
                _ => write!(text, "{name}={value} "),
            };
        }
        text.truncate(text.trim_end().len());
        // One event is one line, whatever its text holds.
        text.replace('\n', "\\n")
    }
}

struct Lines(Logging);

/// The fields of a span, kept until its events are written.
struct Kept(Map<String, Value>);

impl<S> Layer<S> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    /// Spans are always kept, because a line of any level needs their ids.
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        if metadata.is_span() {
            *metadata.level() <= LevelFilter::INFO
        } else {
            self.0.writes(metadata)
        }
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(Kept(fields.0));
        }
    }

    fn on_record(&self, id: &Id, record: &Record<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        record.record(&mut fields);
        if let Some(span) = context.span(id)
            && let Some(Kept(kept)) = span.extensions_mut().get_mut()
        {
            kept.extend(fields.0);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut own = Fields::default();
        event.record(&mut own);
        let mut fields = Map::new();
        if let Some(message) = own.0.shift_remove("message") {
            fields.insert("message".to_owned(), message);
        }
        for span in context
            .event_scope(event)
            .into_iter()
            .flat_map(Scope::from_root)
        {
            if let Some(Kept(kept)) = span.extensions().get() {
                fields.extend(kept.clone());
            }
        }
        fields.extend(own.0);
        let line = self
            .0
            .line(Timestamp::now(), event.metadata().level().as_str(), fields);
        // A log that cannot be written has nobody to be told to.
        let _ = writeln!(std::io::stdout(), "{line}");
    }
}

/// Fields as JSON, without secrets.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        let name = field.name();
        let lower = name.to_ascii_lowercase();
        let secret = SECRET.iter().any(|secret| lower.contains(secret));
        let value = if secret {
            Value::from("[redacted]")
        } else {
            value
        };
        self.0.insert(name.to_owned(), value);
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field, Value::from(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, Value::from(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, Value::from(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, Value::from(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, Value::from(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, Value::from(value));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::{Arc, Mutex};

    use serde_json::json;

    use super::*;

    /// Takes what the layer would write about an event.
    struct Collected(Arc<Mutex<Vec<Map<String, Value>>>>);

    impl<S: Subscriber> Layer<S> for Collected {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            let mut fields = Fields::default();
            event.record(&mut fields);
            self.0.lock().unwrap().push(fields.0);
        }
    }

    #[test]
    fn secrets_are_redacted_by_their_names() {
        let seen = Arc::default();
        let subscriber = Registry::default().with(Collected(Arc::clone(&seen)));
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(
                userPassword = "hunter2",
                Authorization = "Bearer x",
                token = 5,
                user = "ada",
                "in"
            );
        });
        let lines = seen.lock().unwrap();
        assert_eq!(
            Value::Object(lines.first().unwrap().clone()),
            json!({"message": "in", "userPassword": "[redacted]", "Authorization": "[redacted]", "token": "[redacted]",
                   "user": "ada"})
        );
    }

    #[test]
    fn an_event_is_one_line_in_both_formats() {
        let fields = || {
            let fields = json!({"message": "two\nlines", "requestId": "r", "attempts": 2});
            fields.as_object().unwrap().clone()
        };
        let logging = |json| Logging {
            level: LevelFilter::INFO,
            json,
        };
        assert_eq!(
            logging(true).line(Timestamp::UNIX_EPOCH, "INFO", fields()),
            r#"{"timestamp":"1970-01-01T00:00:00Z","level":"INFO","message":"two\nlines","requestId":"r","attempts":2}"#
        );
        assert_eq!(
            logging(false).line(Timestamp::UNIX_EPOCH, "INFO", fields()),
            r"1970-01-01T00:00:00Z INFO two\nlines requestId=r attempts=2"
        );
    }
}
