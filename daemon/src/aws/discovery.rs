//! Which queues and functions exist, put together from single calls.

use futures::StreamExt;
use futures::stream;
use patterns_core::problem::Problem;

use super::Aws;
use crate::topology::Topology;

/// Calls under way at once. Lambda and SQS allow far more; other programs use the same account.
const CONCURRENCY: usize = 8;

impl Aws {
    /// Everything that exists now. What disappears while it is asked for is left out.
    pub async fn discover(&self) -> Result<Topology, Problem> {
        let urls = self.queue_urls().await?;
        let mut topology = Topology::default();
        let mut queues = stream::iter(urls)
            .map(|url| async move { self.queue(&url).await })
            .buffer_unordered(CONCURRENCY);
        while let Some(queue) = queues.next().await {
            if let Some(queue) = queue? {
                topology.queues.insert(queue.name.clone(), queue);
            }
        }
        let names = self.function_names().await?;
        let mut functions = stream::iter(names)
            .map(|name| async move { self.function(&name).await })
            .buffer_unordered(CONCURRENCY);
        while let Some(function) = functions.next().await {
            if let Some(function) = function? {
                topology.functions.insert(function.name.clone(), function);
            }
        }
        topology.consumers = self.consumers().await?;
        Ok(topology)
    }
}
