//! Which queues and functions exist, put together from single calls.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::StreamExt;
use futures::stream;
use patterns_core::problem::Problem;

use super::Aws;
use super::queues::queue_name;
use crate::topology::{FunctionFacts, QueueFacts, Topology};

/// Calls under way at once. Lambda and SQS allow far more; other programs use the same account.
const CONCURRENCY: usize = 8;

/// What a discovery came to.
#[derive(Debug)]
pub struct Discovered {
    /// What exists; `None` when nothing at all could be read.
    pub topology: Option<Topology>,
    /// What could not be read.
    pub problems: Vec<Problem>,
}

/// The queues that could be read, the names of those that could not and were not known either, and why.
type Queues = (BTreeMap<String, QueueFacts>, BTreeSet<String>, Vec<Problem>);

impl Aws {
    /// Everything that exists now. What could not be read stays as it was `known`: a throttled call must not make a queue
    /// vanish while a redrive works on it. What disappears while it is asked for is left out.
    pub async fn discover(&self, known: &Arc<Topology>) -> Discovered {
        let (queues, functions, consumers) =
            tokio::join!(self.queues(known), self.functions(known), self.consumers());
        let nothing = queues.is_err() && functions.is_err() && consumers.is_err();
        let mut topology = Topology {
            listed: queues.is_ok(),
            ..Topology::clone(known)
        };
        let mut problems = Vec::new();
        match queues {
            Ok((queues, unread, missed)) => {
                topology.queues = queues;
                topology.unread = unread;
                problems.extend(missed);
            }
            Err(problem) => problems.push(problem),
        }
        match functions {
            Ok((functions, missed)) => {
                topology.functions = functions;
                problems.extend(missed);
            }
            Err(problem) => problems.push(problem),
        }
        match consumers {
            Ok(consumers) => topology.consumers = consumers,
            Err(problem) => problems.push(problem),
        }
        Discovered {
            topology: (!nothing).then_some(topology),
            problems,
        }
    }

    async fn queues(&self, known: &Topology) -> Result<Queues, Problem> {
        let urls = self.queue_urls().await?;
        let mut answers = stream::iter(urls)
            .map(|url| async move {
                let answer = self.queue(&url).await;
                (url, answer)
            })
            .buffer_unordered(CONCURRENCY);
        let mut queues = BTreeMap::new();
        let mut unread = BTreeSet::new();
        let mut problems = Vec::new();
        while let Some((url, answer)) = answers.next().await {
            let queue = answer.unwrap_or_else(|problem| {
                problems.push(problem);
                let name = queue_name(&url);
                let before = known.queues.get(name).cloned();
                if before.is_none() {
                    unread.insert(name.to_owned());
                }
                before
            });
            queues.extend(queue.map(|queue| (queue.name.clone(), queue)));
        }
        Ok((queues, unread, problems))
    }

    async fn functions(
        &self,
        known: &Topology,
    ) -> Result<(BTreeMap<String, FunctionFacts>, Vec<Problem>), Problem> {
        let listed = self.listed_functions().await?;
        let asked = listed.into_iter().map(|listed| {
            let before = known.functions.get(&listed.name).cloned();
            (listed, before)
        });
        let asked: Vec<_> = asked.collect();
        let mut answers = stream::iter(asked)
            .map(|(listed, before)| self.function(listed, before))
            .buffer_unordered(CONCURRENCY);
        let mut functions = BTreeMap::new();
        let mut problems = Vec::new();
        while let Some((function, missed)) = answers.next().await {
            functions.extend(function.map(|function| (function.name.clone(), function)));
            problems.extend(missed);
        }
        Ok((functions, problems))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use serde_json::{Value, json};

    use super::*;
    use crate::aws::canned::{Answer, aws, denied, function, queue, throttled};
    use crate::aws::together;

    const FAILURES: &str = "arn:aws:sqs:eu-west-1:123456789012:failures";

    /// Two queues and two functions, of which one each is in the way.
    fn account(operation: &str, body: &Value) -> Answer {
        match operation {
            "ListQueues" => {
                json!({"QueueUrls": [queue("open").url, queue("secret").url, queue("deleted").url]})
                    .into()
            }
            "GetQueueAttributes" => match body["QueueUrl"]
                .as_str()
                .and_then(|url| url.rsplit('/').next())
            {
                Some("open") => queue("open").answer(),
                Some("deleted") => Answer::error(400, "com.amazonaws.sqs#QueueDoesNotExist"),
                _ => denied(),
            },
            "GET /2015-03-31/functions" => {
                json!({"Functions": [function("notify"), function("secret"), function("deleted")]})
                    .into()
            }
            "GET /2015-03-31/functions/notify" => {
                json!({"Configuration": function("notify")}).into()
            }
            "GET /2019-09-25/functions/notify/event-invoke-config" => {
                json!({"DestinationConfig": {"OnFailure": {"Destination": FAILURES}}}).into()
            }
            "GET /2015-03-31/functions/secret"
            | "GET /2019-09-25/functions/secret/event-invoke-config"
            | "GET /2015-03-31/event-source-mappings" => denied(),
            _ => Answer::error(404, "ResourceNotFoundException"),
        }
    }

    #[tokio::test]
    async fn what_may_not_be_read_hides_nothing_else() {
        let aws = aws(account).await;
        let found = aws.discover(&Arc::default()).await;
        let topology = found.topology.unwrap();
        assert_eq!(topology.queues.keys().collect::<Vec<_>>(), ["open"]);
        // The list alone tells that it exists.
        assert_eq!(
            topology.functions.keys().collect::<Vec<_>>(),
            ["notify", "secret"]
        );
        assert_eq!(
            topology.functions["notify"].on_failure.as_deref(),
            Some(FAILURES)
        );
        assert!(topology.may_exist("secret"));
        assert!(!topology.may_exist("deleted"));
        let problem = together(found.problems).unwrap();
        assert!(problem.what.contains("the queue secret"), "{problem}");
        assert!(problem.what.contains("the function secret"), "{problem}");
        assert!(!problem.what.contains("deleted"), "{problem}");
        assert!(problem.why.contains("AccessDenied"), "{problem}");
        for permission in [
            "sqs:GetQueueAttributes",
            "lambda:GetFunction ",
            "lambda:GetFunctionEventInvokeConfig",
            "lambda:ListEventSourceMappings",
        ] {
            assert!(problem.fix.contains(permission), "{}", problem.fix);
        }
    }

    #[tokio::test]
    async fn what_is_throttled_stays_as_it_was() {
        let slow = Arc::new(AtomicBool::new(false));
        let now_slow = slow.clone();
        let aws = aws(move |operation, body| match operation {
            "GetQueueAttributes" | "GET /2019-09-25/functions/notify/event-invoke-config"
                if now_slow.load(Ordering::SeqCst) =>
            {
                throttled()
            }
            _ => account(operation, body),
        })
        .await;
        let before = Arc::new(aws.discover(&Arc::default()).await.topology.unwrap());
        slow.store(true, Ordering::SeqCst);
        let found = aws.discover(&before).await;
        let after = found.topology.unwrap();
        assert_eq!(after.queues, before.queues);
        assert_eq!(after.functions, before.functions);
        assert!(!found.problems.is_empty());
    }

    #[tokio::test]
    async fn what_cannot_be_listed_stays_as_it_was() {
        let slow = Arc::new(AtomicBool::new(false));
        let now_slow = slow.clone();
        let aws = aws(move |operation, body| match operation {
            "ListQueues" if now_slow.load(Ordering::SeqCst) => throttled(),
            _ => account(operation, body),
        })
        .await;
        let before = Arc::new(aws.discover(&Arc::default()).await.topology.unwrap());
        slow.store(true, Ordering::SeqCst);
        let after = aws.discover(&before).await.topology.unwrap();
        assert_eq!(after.queues, before.queues);
        // Nothing is known to be gone.
        assert!(after.may_exist("anything"));
    }

    #[tokio::test]
    async fn nothing_read_is_nothing_found() {
        let aws = aws(|_, _| throttled()).await;
        let found = aws.discover(&Arc::default()).await;
        assert_eq!(found.topology, None);
        assert_eq!(found.problems.len(), 3);
    }
}
