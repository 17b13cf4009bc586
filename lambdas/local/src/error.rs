//! An AWS error as every service of the emulator reports it; each protocol renders it in its own way.

/// An error that an AWS client understands.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{code}: {message}")]
pub struct AwsError {
    /// HTTP status, as AWS documents it for `code`.
    pub status: u16,
    /// The error's short name, such as `ResourceNotFoundException`.
    pub code: &'static str,
    /// The query protocol's name for it where it differs (`x-amzn-query-error`), such as `AWS.SimpleQueueService.NonExistentQueue`.
    pub query_code: Option<&'static str>,
    /// What happened, in words for a person.
    pub message: String,
}

impl AwsError {
    /// An error whose name is the same in all protocols.
    pub fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            query_code: None,
            message: message.into(),
        }
    }

    /// An SQS error, which the JSON protocol also names by its older query code.
    #[must_use]
    pub fn with_query_code(mut self, query_code: &'static str) -> Self {
        self.query_code = Some(query_code);
        self
    }

    /// Whose fault it is, as AWS protocols name it.
    #[must_use]
    pub fn fault(&self) -> &'static str {
        if self.status < 500 {
            "Sender"
        } else {
            "Receiver"
        }
    }
}
