//! Names and settings that no function may have.

use std::collections::HashMap;

use aws_sdk_lambda::error::ProvideErrorMetadata as _;
use aws_sdk_lambda::types::Environment;
use serde_json::json;

use super::bench::Bench;

/// AWS Lambda API reference, `Invoke`, `FunctionName` (its pattern), and errors; a function of another region or account is not here.
#[tokio::test(flavor = "multi_thread")]
async fn names_that_are_none_and_functions_of_others_are_refused() {
    let bench = Bench::start().await;
    bench.create("f", 10).await;
    let long = "x".repeat(5000);
    let queue = bench.cloud.queue_arn("f");
    let version = format!("{}:7", bench.name("f"));
    let elsewhere = bench.function_arn("f").replace("us-east-1", "eu-west-1");
    for (name, code) in [
        ("../../etc/passwd", "ValidationException"),
        ("f\u{202e}\n", "ValidationException"),
        ("f?Qualifier=1#", "ValidationException"),
        (long.as_str(), "ValidationException"),
        ("a:b:c:d", "ValidationException"),
        (queue.as_str(), "ValidationException"),
        (version.as_str(), "ResourceNotFoundException"),
        (elsewhere.as_str(), "ResourceNotFoundException"),
        (
            "arn:aws:lambda:us-east-1:111111111111:function:f",
            "AccessDeniedException",
        ),
        ("111111111111:function:f", "AccessDeniedException"),
    ] {
        let error = bench.lambda.invoke().function_name(name).send().await;
        let error = error.unwrap_err();
        assert_eq!(error.code(), Some(code), "{name}");
        assert!(error.message().unwrap().len() < 1000, "{name}");
    }
    assert!(bench.runs().is_empty());
    let (_, error) = bench.invoke("f", json!({})).await;
    assert_eq!(error, None);
    bench.stop().await;
}

/// AWS Lambda developer guide, "Lambda quotas": 4 KB of environment variables.
#[tokio::test(flavor = "multi_thread")]
async fn more_than_4_kb_of_variables_are_refused_and_change_nothing() {
    let bench = Bench::start().await;
    bench.create("f", 10).await;
    let variables = |bytes: usize| {
        let variables = HashMap::from([("A".to_owned(), "x".repeat(bytes - 1))]);
        let environment = Environment::builder().set_variables(Some(variables));
        let update = bench.lambda.update_function_configuration();
        let update = update
            .function_name(bench.name("f"))
            .environment(environment.build());
        update.send()
    };
    let error = variables(4097).await.unwrap_err();
    assert_eq!(error.code(), Some("InvalidParameterValueException"));
    assert!(error.message().unwrap().contains("exceeded the 4KB limit"));
    let (answer, _) = bench.invoke("f", json!({})).await;
    assert_eq!(answer["variable"], "first");
    variables(4096).await.unwrap();
    bench.stop().await;
}
