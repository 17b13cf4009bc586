//! A function's environment variables, checked before it takes its first event.

use std::str::FromStr;

/// Everything that is wrong with a function's environment variables, all at once.
#[derive(Debug, thiserror::Error)]
#[error("the function's environment variables are wrong: {}", .0.join("; "))]
pub struct InvalidSettings(Vec<String>);

/// Collects what is wrong while values are read, so that one look shows every problem.
#[derive(Default)]
pub struct Settings {
    problems: Vec<String>,
}

impl Settings {
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
                self.problems
                    .push(format!("{name} is {value:?}, and must be {expected}"));
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
