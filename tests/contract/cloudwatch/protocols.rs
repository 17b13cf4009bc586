//! The protocols that other clients choose: AWS JSON 1.0, the query protocol, and gzip under each.

use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};

use super::bench::{Bench, datum, metric, query};

const JSON: &str = "application/x-amz-json-1.0";
const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";

fn packed(text: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    packer.write_all(text).unwrap();
    packer.finish().unwrap()
}

fn target(operation: &str) -> String {
    format!("GraniteServiceVersion20100801.{operation}")
}

/// Smithy documentation, "AWS JSON 1.0 protocol": times are epoch seconds, errors have `__type`.
#[tokio::test]
async fn json_reads_and_writes_the_same_figures() {
    let bench = Bench::new().await;
    bench.put_minutes("Json", "m", 2).await;
    let body = json!({
        "MetricDataQueries": [{
            "Id": "q",
            "MetricStat": { "Metric": { "Namespace": "Contract/Json", "MetricName": "m" }, "Period": 60, "Stat": "Sum" },
        }],
        "StartTime": bench.minute - 600,
        "EndTime": bench.minute,
    });
    let target = target("GetMetricData");
    let headers = [("content-type", JSON), ("x-amz-target", target.as_str())];
    let (status, answer) = bench.raw(&headers, body.to_string()).await;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(status, 200);
    let result = &answer["MetricDataResults"][0];
    assert_eq!(result["Values"], json!([2.0, 1.0]));
    assert_eq!(
        result["Timestamps"],
        json!([bench.minute - 60, bench.minute - 120])
    );
    for (body, code) in [
        ("{", "SerializationException"),
        ("[]", "SerializationException"),
        (r#"{"StartTime":{}}"#, "SerializationException"),
        (
            r#"{"MetricDataQueries":[{"Id":7}]}"#,
            "SerializationException",
        ),
        ("{}", "MissingRequiredParameterException"),
    ] {
        let (status, answer) = bench.raw(&headers, body).await;
        assert_eq!(status, 400, "{body}: {answer}");
        assert!(answer.contains(&format!("#{code}")), "{body}: {answer}");
    }
}

/// Smithy documentation, "AWS Query protocol": lists have members that count from 1, times are ISO 8601, and the answer is XML.
#[tokio::test]
async fn the_query_protocol_reads_forms_and_writes_xml() {
    let bench = Bench::new().await;
    let put = "Namespace=Contract%2FQuery&MetricData.member.1.MetricName=m+%26+n&MetricData.member.1.Dimensions.member.1.Name=d\
        &MetricData.member.1.Dimensions.member.1.Value=%3Cv%3E&MetricData.member.1.Values.member.1=1.5\
        &MetricData.member.1.Values.member.2=2&MetricData.member.1.Counts.member.1=2&MetricData.member.1.Counts.member.2=1\
        &MetricData.member.1.Unit=Seconds";
    let (status, answer) = bench.form("PutMetricData", put).await;
    assert_eq!(status, 200, "{answer}");
    assert!(answer.starts_with("<PutMetricDataResponse xmlns=\"http://monitoring.amazonaws.com/doc/2010-08-01/\"><ResponseMetadata><RequestId>"), "{answer}");

    let (_, answer) = bench
        .form("ListMetrics", "Namespace=Contract/Query&Dimensions=")
        .await;
    let listed = "<ListMetricsResult><Metrics><member><Namespace>Contract/Query</Namespace><MetricName>m &amp; n</MetricName>\
        <Dimensions><member><Name>d</Name><Value>&lt;v&gt;</Value></member></Dimensions></member></Metrics></ListMetricsResult>";
    assert!(answer.contains(listed), "{answer}");

    let time = |offset: i64| {
        let time = jiff::Timestamp::from_second(bench.minute + offset).unwrap();
        time.to_string()
    };
    let get = format!(
        "Namespace=Contract/Query&MetricName=m+%26+n&Dimensions.member.1.Name=d&Dimensions.member.1.Value=%3Cv%3E\
        &StartTime={}&EndTime={}&Period=3600&Statistics.member.1=Sum&Statistics.member.2=SampleCount",
        time(-3600),
        time(7200)
    );
    let (status, answer) = bench.form("GetMetricStatistics", &get).await;
    assert_eq!(status, 200, "{answer}");
    assert!(
        answer.contains("<SampleCount>3</SampleCount><Sum>5</Sum><Unit>Seconds</Unit></member>"),
        "{answer}"
    );

    let get = format!(
        "MetricDataQueries.member.1.Id=q&MetricDataQueries.member.1.MetricStat.Metric.Namespace=Contract/Query\
        &MetricDataQueries.member.1.MetricStat.Metric.MetricName=m+%26+n\
        &MetricDataQueries.member.1.MetricStat.Metric.Dimensions.member.1.Name=d\
        &MetricDataQueries.member.1.MetricStat.Metric.Dimensions.member.1.Value=%3Cv%3E\
        &MetricDataQueries.member.1.MetricStat.Period=3600&MetricDataQueries.member.1.MetricStat.Stat=Maximum\
        &MetricDataQueries.member.1.ReturnData=true&StartTime={}&EndTime={}",
        time(-3600),
        time(7200)
    );
    let (status, answer) = bench.form("GetMetricData", &get).await;
    assert_eq!(status, 200, "{answer}");
    assert!(
        answer.contains("<Values><member>2</member></Values><StatusCode>Complete</StatusCode>"),
        "{answer}"
    );
}

/// Smithy documentation, "AWS Query protocol": `ErrorResponse` with type, code and message.
#[tokio::test]
async fn the_query_protocol_refuses_in_xml() {
    let bench = Bench::new().await;
    let sparse = "Namespace=N&MetricData.member.2.MetricName=m&MetricData.member.2.Value=1";
    let text = "Namespace=N&MetricData.member.1.MetricName=m&MetricData.member.1.Value=many";
    for (action, form, code) in [
        ("PutDashboard", "", "InvalidAction"),
        ("PutMetricData", "", "MissingParameter"),
        (
            "PutMetricData",
            "Namespace=AWS/SQS",
            "InvalidParameterValue",
        ),
        ("PutMetricData", sparse, "MalformedInput"),
        ("PutMetricData", text, "MalformedInput"),
        (
            "GetMetricStatistics",
            "Namespace=N&MetricName=m&StartTime=now",
            "MalformedInput",
        ),
    ] {
        let (status, answer) = bench.form(action, form).await;
        assert_eq!(status, 400, "{answer}");
        let expected = format!("<Error><Type>Sender</Type><Code>{code}</Code><Message>");
        assert!(answer.contains(&expected), "{action} {form}: {answer}");
    }
}

/// "`PutMetricData`": "You can send a payload compressed by gzip." SDKs do so by themselves above 10 240 bytes.
#[tokio::test]
async fn packed_bodies_are_read_in_each_protocol() {
    let bench = Bench::new().await;
    let long = (0..1000).map(|_| datum("cbor").value(1.0).build());
    bench.put("Gzip", long.collect()).await;
    let json = json!({ "Namespace": "Contract/Gzip", "MetricData": [{ "MetricName": "json", "Value": 1000.0 }] });
    let form = "Action=PutMetricData&Version=2010-08-01&Namespace=Contract/Gzip&MetricData.member.1.MetricName=form&MetricData.member.1.Value=1000";
    let target = target("PutMetricData");
    let json_headers = [
        ("content-encoding", "gzip"),
        ("content-type", JSON),
        ("x-amz-target", target.as_str()),
    ];
    let form_headers = [("content-encoding", "gzip"), ("content-type", FORM)];
    let (status, answer) = bench
        .raw(&json_headers, packed(json.to_string().as_bytes()))
        .await;
    assert_eq!(status, 200, "{answer}");
    let (status, answer) = bench.raw(&form_headers, packed(form.as_bytes())).await;
    assert_eq!(status, 200, "{answer}");
    for name in ["cbor", "json", "form"] {
        let values = bench.values(query("q", metric("Gzip", name), "Sum")).await;
        assert!(
            (values.iter().sum::<f64>() - 1000.0).abs() < 1e-9,
            "{name}: {values:?}"
        );
    }
}

/// What a small body unpacks to is bounded, in every service.
#[tokio::test]
async fn a_gzip_bomb_is_refused() {
    let bench = Bench::new().await;
    let bomb = packed(&vec![b' '; 64 << 20]);
    assert!(bomb.len() < 1 << 20);
    let put = target("PutMetricData");
    for target in [
        put.as_str(),
        "AmazonSQS.ListQueues",
        "DynamoDB_20120810.ListTables",
        "Logs_20140328.DescribeLogGroups",
    ] {
        let headers = [
            ("content-encoding", "gzip"),
            ("content-type", JSON),
            ("x-amz-target", target),
        ];
        let (status, answer) = bench.raw(&headers, bomb.clone()).await;
        assert_eq!(status, 413, "{target}: {answer}");
        let (status, answer) = bench.raw(&headers, packed(b"{}")).await;
        assert_ne!(status, 413, "{target}: {answer}");
    }
}

/// "AWS Security Token Service API Reference: `GetCallerIdentity`": account, ARN and user id in XML.
#[tokio::test]
async fn the_caller_is_the_account() {
    let bench = Bench::new().await;
    let headers = [("content-type", FORM)];
    let (status, answer) = bench
        .raw(&headers, "Action=GetCallerIdentity&Version=2011-06-15")
        .await;
    assert_eq!(status, 200);
    assert!(
        answer.contains("<GetCallerIdentityResult><Arn>arn:aws:iam::000000000000:root</Arn>"),
        "{answer}"
    );
    assert!(
        answer.contains(&format!("<Account>{}</Account>", bench.cloud.account)),
        "{answer}"
    );
}
