//! One emulator for all cases, each with metrics and queues of its own; or the place that the environment names.

use std::{
    path::PathBuf,
    sync::{OnceLock, mpsc},
    time::{Duration, Instant},
};

use aws_sdk_cloudwatch::{
    error::ProvideErrorMetadata,
    primitives::DateTime,
    types::{Dimension, Metric, MetricDataQuery, MetricDatum, MetricStat},
};
use patterns_local::Local;

use super::cloud::{self, Cloud};

/// The URL of the one emulator. It runs on a thread of its own, because every case brings and ends its own runtime.
fn emulator() -> &'static str {
    static ENDPOINT: OnceLock<String> = OnceLock::new();
    ENDPOINT.get_or_init(|| {
        let (started, endpoint) = mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(async {
                let work_dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
                let local = Local::start(cloud::options(1, work_dir))
                    .await
                    .unwrap_or_else(|error| panic!("{error}"));
                started.send(local.endpoint_url.clone()).unwrap();
                std::future::pending::<()>().await;
            });
        });
        endpoint.recv().unwrap()
    })
}

pub struct Bench {
    pub cloudwatch: aws_sdk_cloudwatch::Client,
    pub sqs: aws_sdk_sqs::Client,
    pub cloud: Cloud,
    /// The present minute's start in epoch seconds. It may be over before the case ends.
    pub minute: i64,
}

impl Bench {
    pub async fn new() -> Self {
        let cloud = match Cloud::elsewhere().await {
            Some(cloud) => cloud,
            None => Cloud::ours(emulator()),
        };
        assert!(
            cloud.config.endpoint_url().is_some(),
            "metric data cannot be removed, so these cases are not for AWS"
        );
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
        Self {
            cloudwatch: aws_sdk_cloudwatch::Client::new(&cloud.config),
            sqs: aws_sdk_sqs::Client::new(&cloud.config),
            cloud,
            minute: i64::try_from(now / 60 * 60).unwrap(),
        }
    }

    /// A time `minutes` before the present minute's start.
    pub fn ago(&self, minutes: i64) -> DateTime {
        DateTime::from_secs(self.minute - minutes * 60)
    }

    /// Publishes under `Contract/NAMESPACE`.
    pub async fn put(&self, namespace: &str, data: Vec<MetricDatum>) {
        let put = self.cloudwatch.put_metric_data();
        let put = put.namespace(format!("Contract/{namespace}"));
        put.set_metric_data(Some(data)).send().await.unwrap();
    }

    /// Publishes 1, 2, … as `metric`, one a minute, the last one in the minute before the present one.
    pub async fn put_minutes(&self, namespace: &str, metric: &str, count: i64) {
        let data = (0..count).map(|at| {
            let value = f64::from(i32::try_from(at + 1).unwrap());
            datum(metric)
                .timestamp(self.ago(count - at))
                .value(value)
                .build()
        });
        self.put(namespace, data.collect()).await;
    }

    /// Points of one query over the last hour and the next, newest first.
    pub async fn values(&self, query: MetricDataQuery) -> Vec<f64> {
        let get = self.cloudwatch.get_metric_data();
        let get = get.start_time(self.ago(60)).end_time(self.ago(-60));
        let output = get.metric_data_queries(query).send().await.unwrap();
        output.metric_data_results()[0].values().to_vec()
    }

    /// The sum over the last hour of a metric of `AWS/SQS`.
    pub async fn queue_sum(&self, queue: &str, metric: &str) -> f64 {
        let dimension = Dimension::builder()
            .name("QueueName")
            .value(self.cloud.name(queue))
            .build();
        let metric = Metric::builder()
            .namespace("AWS/SQS")
            .metric_name(metric)
            .dimensions(dimension)
            .build();
        self.values(query("q", metric, "Sum")).await.iter().sum()
    }

    /// Sends a request by hand; answers status and body.
    pub async fn raw(
        &self,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> (u16, String) {
        let mut request = reqwest::Client::new()
            .post(format!("{}/", self.cloud.config.endpoint_url().unwrap()))
            .header("authorization", "AWS4-HMAC-SHA256 Credential=any/any");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.body(body).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// Carries out an action of the query protocol; `form` may be empty.
    pub async fn form(&self, action: &str, form: &str) -> (u16, String) {
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let body = format!("Action={action}&Version=2010-08-01&{form}");
        self.raw(&headers, body).await
    }
}

pub fn datum(metric: &str) -> aws_sdk_cloudwatch::types::builders::MetricDatumBuilder {
    MetricDatum::builder().metric_name(metric)
}

/// A metric without dimensions under `Contract/NAMESPACE`.
pub fn metric(namespace: &str, metric: &str) -> Metric {
    let namespace = format!("Contract/{namespace}");
    Metric::builder()
        .namespace(namespace)
        .metric_name(metric)
        .build()
}

/// A query by the minute.
pub fn query(id: &str, metric: Metric, stat: &str) -> MetricDataQuery {
    let stat = MetricStat::builder()
        .metric(metric)
        .period(60)
        .stat(stat)
        .build();
    MetricDataQuery::builder().id(id).metric_stat(stat).build()
}

/// Code and message of the error that a call must answer with.
pub fn refused<T, E: ProvideErrorMetadata>(result: Result<T, E>) -> (String, String) {
    let error = result.err().unwrap();
    (
        error.code().unwrap().to_owned(),
        error.message().unwrap_or_default().to_owned(),
    )
}

/// Waits until `condition` holds.
pub async fn wait_until<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let since = Instant::now();
    while !condition().await {
        assert!(
            since.elapsed() < cloud::patience(),
            "waited in vain until {what}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
