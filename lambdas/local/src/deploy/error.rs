//! What is wrong with a template, and where.

use crate::error::AwsError;

/// Why a stack was not deployed.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// The template asks for something that cannot be understood or is not offered.
    #[error("template {stack}, line {line}: {problem}")]
    Template {
        /// The stack it was for.
        stack: String,
        /// Counted from 1.
        line: usize,
        /// What and why, and what is offered instead.
        problem: String,
    },
    /// A service refused a resource.
    #[error("template {stack}, line {line}: {resource} was refused: {source}")]
    Refused {
        /// The stack it was for.
        stack: String,
        /// Where the resource begins.
        line: usize,
        /// Its logical id.
        resource: String,
        /// The service's own words.
        source: AwsError,
    },
}

/// A problem at a line, before it is known which stack it is in.
#[derive(Debug, PartialEq, Eq)]
pub struct Problem {
    /// Counted from 1.
    pub line: usize,
    /// What and why, and what is offered instead.
    pub text: String,
}

impl Problem {
    /// A problem at `line`.
    pub fn new(line: usize, text: impl Into<String>) -> Self {
        Self {
            line,
            text: text.into(),
        }
    }
}
