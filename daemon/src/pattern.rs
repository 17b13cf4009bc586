//! The HTTP APIs of the pattern stacks: where tasks are created and listed.

use std::collections::BTreeMap;
use std::time::Duration;

use patterns_core::config;
use patterns_core::problem::{Problem, ProblemKind};

/// To an open connection, and to a whole answer: an API Gateway gives up after 30 s, a person earlier.
const CONNECT: Duration = Duration::from_secs(2);
const TOTAL: Duration = Duration::from_secs(10);

/// The configured APIs and a client for them.
#[derive(Clone)]
pub struct Patterns {
    /// Speaks to the APIs.
    pub http: reqwest::Client,
    urls: BTreeMap<String, String>,
}

impl Patterns {
    /// The APIs of the configuration.
    pub fn new(configured: &BTreeMap<String, config::Pattern>) -> Result<Self, Problem> {
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .timeout(TOTAL)
            .build()
            .map_err(|error| {
                Problem::new(
                    ProblemKind::Internal,
                    "cannot make an HTTP client",
                    error.to_string(),
                    "",
                )
            })?;
        let urls = configured
            .iter()
            .map(|(name, pattern)| {
                let base = pattern.url.trim_end_matches('/');
                (name.clone(), format!("{base}/tasks"))
            })
            .collect();
        Ok(Self { http, urls })
    }

    /// Name and tasks URL of that pattern, or of the only one.
    pub fn tasks_url(&self, name: Option<&str>) -> Result<(String, String), Problem> {
        let names = || self.urls.keys().cloned().collect::<Vec<_>>().join(", ");
        match (name, self.urls.len()) {
            (None, 1) => Ok(self
                .urls
                .iter()
                .next()
                .map(|(name, url)| (name.clone(), url.clone()))
                .unwrap_or_default()),
            (_, 0) => Err(Problem::new(
                ProblemKind::Usage,
                "there is no pattern whose tasks could be used",
                "the daemon's configuration names no URL of a pattern",
                "write [patterns.NAME] and url = \"the stack's ApiUrl output\" into the configuration and start the daemon again",
            )),
            (None, _) => Err(Problem::new(
                ProblemKind::Usage,
                "which pattern is meant is not clear",
                "more than one is configured",
                format!("name one of: {}", names()),
            )),
            (Some(name), _) => match self.urls.get(name) {
                Some(url) => Ok((name.to_owned(), url.clone())),
                None => Err(Problem::new(
                    ProblemKind::Usage,
                    format!("there is no pattern {name}"),
                    format!("the daemon's configuration has no [patterns.{name}]"),
                    format!("name one of: {}", names()),
                )),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(names: &[&str]) -> Patterns {
        let configured = names
            .iter()
            .map(|&name| {
                let url = format!("http://127.0.0.1/{name}/");
                (name.to_owned(), config::Pattern { url })
            })
            .collect();
        Patterns::new(&configured).unwrap()
    }

    #[test]
    fn the_only_pattern_needs_no_name() {
        assert_eq!(
            patterns(&["a"]).tasks_url(None).unwrap(),
            ("a".to_owned(), "http://127.0.0.1/a/tasks".to_owned())
        );
        assert!(
            patterns(&["a", "b"])
                .tasks_url(None)
                .unwrap_err()
                .fix
                .contains("a, b")
        );
        assert_eq!(patterns(&["a", "b"]).tasks_url(Some("b")).unwrap().0, "b");
        assert!(patterns(&["a"]).tasks_url(Some("c")).is_err());
    }

    #[test]
    fn without_a_pattern_the_configuration_is_explained() {
        let problem = patterns(&[]).tasks_url(Some("a")).unwrap_err();
        assert!(problem.fix.contains("[patterns.NAME]"), "{problem}");
    }
}
