//! The daemon's configuration: a TOML file, every key optional, unknown keys refused.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::problem::{Problem, ProblemKind};

/// The whole file. Flags of the daemon win over it.
///
/// ```toml
/// region = "eu-west-1"
///
/// [patterns.internal-handoff]
/// url = "https://abc123.execute-api.eu-west-1.amazonaws.com"
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Profile of the AWS configuration files.
    pub profile: Option<String>,
    /// Region to watch.
    pub region: Option<String>,
    /// Where AWS is, when it is not AWS's own address.
    pub endpoint_url: Option<String>,
    /// Names the world when account, region and endpoint do not tell two apart, such as two runs of a local stack.
    /// The ledger refuses to resume an operation of another one.
    pub instance: Option<String>,
    /// Refuse everything that changes something.
    pub read_only: bool,
    /// How often AWS is asked.
    pub watch: Watch,
    /// Stacks whose API creates tasks, by pattern name.
    pub patterns: BTreeMap<String, Pattern>,
}

/// How often AWS is asked, in seconds. Every question costs money on AWS, so the defaults are modest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Watch {
    /// Between two readings of all queues. 5 costs about USD 0.21 a queue and month.
    pub queues_seconds: f64,
    /// Between two readings of CloudWatch's metrics, which it only has minutes late itself. 60 costs about USD 2.16 a
    /// function and USD 0.43 a queue and month.
    pub functions_seconds: f64,
    /// Between two looks at which queues and functions exist.
    pub discovery_seconds: f64,
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            queues_seconds: 5.0,
            functions_seconds: 60.0,
            discovery_seconds: 60.0,
        }
    }
}

/// One stack of ours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pattern {
    /// Base of its HTTP API, the stack's `ApiUrl` output; `/tasks` is appended.
    pub url: String,
}

impl Config {
    /// Reads the file at `path`. Where `required` is false a missing file is an empty one.
    pub fn read(path: &Path, required: bool) -> Result<Self, Problem> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text, path),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !required => {
                Ok(Self::default())
            }
            Err(error) => Err(Problem::new(
                ProblemKind::Usage,
                format!("cannot read the configuration {}", path.display()),
                error.to_string(),
                "name a readable file with --config",
            )),
        }
    }

    fn parse(text: &str, path: &Path) -> Result<Self, Problem> {
        let invalid = |why: String| {
            Problem::new(
                ProblemKind::Usage,
                format!("the configuration {} is not valid", path.display()),
                why,
                "correct the file, or name another with --config",
            )
        };
        // toml's message holds the line, the column and the keys that exist.
        let config: Self = toml::from_str(text).map_err(|error| invalid(error.to_string()))?;
        let watch = &config.watch;
        for (key, seconds) in [
            ("queues_seconds", watch.queues_seconds),
            ("functions_seconds", watch.functions_seconds),
            ("discovery_seconds", watch.discovery_seconds),
        ] {
            if !(0.1..=86_400.0).contains(&seconds) {
                return Err(invalid(format!(
                    "watch.{key} = {seconds} is not between 0.1 and 86400"
                )));
            }
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, Problem> {
        Config::parse(text, Path::new("config.toml"))
    }

    #[test]
    fn an_empty_file_is_the_default() {
        assert_eq!(parse("").unwrap(), Config::default());
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let problem = parse("region = \"x\"\nregoin = \"y\"").unwrap_err();
        assert!(
            problem.why.contains("line 2") && problem.why.contains("regoin"),
            "{problem}"
        );
    }

    #[test]
    fn a_period_of_nothing_is_refused() {
        for text in [
            "queues_seconds = 0",
            "functions_seconds = -1",
            "discovery_seconds = nan",
        ] {
            assert!(parse(&format!("[watch]\n{text}")).is_err(), "{text}");
        }
    }
}
