//! Synchronous invocation: run now, wait for the answer (AWS Lambda developer guide, "Invoke a Lambda function synchronously").

use super::environment::{Invocation, Reply};
use super::{Lambda, error};
use crate::error::AwsError;

impl Lambda {
    /// Runs the function and answers what it answered. The run goes on if the caller goes away, as on AWS.
    pub(crate) async fn invoke(
        &self,
        name: &str,
        invocation: Invocation,
    ) -> Result<Reply, AwsError> {
        let lambda = self.clone();
        let name = name.to_owned();
        let task = self.inner.tasks.spawn(async move {
            let stopping = lambda.inner.stopping.clone();
            stopping
                .run_until_cancelled(lambda.run(&name, &invocation))
                .await
        });
        match task.await {
            Ok(Some(result)) => result,
            Ok(None) | Err(_) => Err(AwsError::new(
                503,
                "ServiceException",
                "the emulator is stopping: start it again and repeat the call",
            )),
        }
    }

    /// One run in the calling task.
    pub(super) async fn run(&self, name: &str, invocation: &Invocation) -> Result<Reply, AwsError> {
        let slot = self.admit(name)?;
        self.record(name, "Invocations", 1.0);
        let result = loop {
            let mut environment = match self.environment(&slot).await {
                Ok(environment) => environment,
                Err(error) => break Err(error),
            };
            // One that ended while idle never took the work: another does it.
            if let Ok(reply) = environment.invoke(invocation).await {
                self.give_back(&slot, environment);
                break Ok(reply);
            }
        };
        let failed = result.as_ref().map_or(true, |reply| reply.failed);
        self.record(name, "Errors", if failed { 1.0 } else { 0.0 });
        if let Ok(reply) = &result {
            let milliseconds = reply.duration.as_secs_f64() * 1000.0;
            self.record(name, "Duration", milliseconds);
        }
        result
    }
}

/// The event as the function gets it: JSON, and `{}` where the caller sent nothing.
pub(super) fn payload(body: bytes::Bytes) -> Result<bytes::Bytes, AwsError> {
    if body.is_empty() {
        return Ok(bytes::Bytes::from_static(b"{}"));
    }
    serde_json::from_slice::<serde::de::IgnoredAny>(&body).map_err(|e| error::not_json(&e))?;
    Ok(body)
}

/// A new trace id, in the form of the header `X-Amzn-Trace-Id` (AWS X-Ray developer guide, "Tracing header").
pub(crate) fn trace_id(seconds: i64) -> String {
    let random = uuid::Uuid::new_v4().simple().to_string();
    let (tail, parent) = random.split_at(16);
    format!(
        "Root=1-{seconds:08x}-{tail}{:.8};Parent={parent};Sampled=0",
        uuid::Uuid::new_v4().simple().to_string()
    )
}
