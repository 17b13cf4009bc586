//! A function's environment variables, checked before it takes its first event.

use std::str::FromStr;
use std::time::Duration;

use crate::logging::Logging;

/// Everything that is wrong with a function's environment variables, all at once.
#[derive(Debug, thiserror::Error)]
#[error("the function's environment variables are wrong: {}", .0.join("; "))]
pub struct InvalidSettings(Vec<String>);

/// Collects what is wrong while values are read, so that one look shows every problem.
pub struct Settings {
    problems: Vec<String>,
}

impl Default for Settings {
    /// Begins with what is wrong with the variables that every function has.
    fn default() -> Self {
        let mut settings = Self::empty();
        Logging::read(&mut settings);
        settings
    }
}

impl Settings {
    /// Nothing read yet.
    pub(crate) fn empty() -> Self {
        Self {
            problems: Vec::new(),
        }
    }

    /// The value of `name`, which must be set and not empty.
    pub fn required(&mut self, name: &str) -> String {
        match std::env::var(name) {
            Ok(value) if !value.is_empty() => value,
            _ => {
                self.problems.push(format!("{name} is not set"));
                String::new()
            }
        }
    }

    /// How much of the work is to fail, from 0 to 1; nothing by default.
    pub fn rate(&mut self, name: &str) -> f64 {
        self.optional(name, 0.0, "a number from 0 to 1", |rate| {
            (0.0..=1.0).contains(rate)
        })
    }

    /// How long the work is to take, given in milliseconds; no time by default.
    pub fn latency(&mut self, name: &str) -> Duration {
        let ms = self.optional(name, 0_u64, "milliseconds from 0 to 60000", |ms| {
            *ms <= 60_000
        });
        Duration::from_millis(ms)
    }

    /// The value of `name`, or `default` when it is not set or empty. `expected` says what a value looks like.
    pub fn optional<T: FromStr>(
        &mut self,
        name: &str,
        default: T,
        expected: &str,
        valid: impl Fn(&T) -> bool,
    ) -> T {
        let Ok(value) = std::env::var(name) else {
            return default;
        };
        if value.is_empty() {
            return default;
        }
        match value.trim().parse::<T>() {
            Ok(parsed) if valid(&parsed) => parsed,
            _ => {
                let value = shown(name, &value);
                self.problems
                    .push(format!("{name} is {value}, and must be {expected}"));
                default
            }
        }
    }

    /// Notes a problem that is not about one variable alone.
    pub fn problem(&mut self, problem: String) {
        self.problems.push(problem);
    }

    /// `value` if nothing was wrong, else everything that was.
    pub fn finish<T>(self, value: T) -> Result<T, InvalidSettings> {
        if self.problems.is_empty() {
            Ok(value)
        } else {
            Err(InvalidSettings(self.problems))
        }
    }
}

/// A value for a message: not that of a secret, and not more of a long one than is needed to find it.
fn shown(name: &str, value: &str) -> String {
    let secret = ["PASSWORD", "SECRET", "TOKEN", "KEY"];
    if secret.iter().any(|secret| name.contains(secret)) {
        return "redacted".to_owned();
    }
    match value.char_indices().nth(60) {
        Some((end, _)) => format!("{:?} …", value.get(..end).unwrap_or_default()),
        None => format!("{value:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_and_long_values_are_not_shown() {
        assert_eq!(shown("DELIVERY_FAIL_RATE", "often"), "\"often\"");
        assert_eq!(shown("API_TOKEN", "hunter2"), "redacted");
        assert!(shown("QUEUE_URL", &"x".repeat(5000)).len() < 80);
    }

    #[test]
    fn every_problem_is_named_at_once() {
        let mut settings = Settings::empty();
        settings.required("PATTERNS_TEST_NOT_SET_A");
        settings.required("PATTERNS_TEST_NOT_SET_B");
        settings.problem("C is odd".to_owned());
        let message = settings.finish(()).map_err(|error| error.to_string());
        assert_eq!(
            message,
            Err("the function's environment variables are wrong: PATTERNS_TEST_NOT_SET_A is not set; \
                 PATTERNS_TEST_NOT_SET_B is not set; C is odd"
                .to_owned())
        );
    }
}
