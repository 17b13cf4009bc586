//! Zips and programs that mean no good: each fails alone, and with a clear error.

use std::io::Write as _;

use aws_sdk_lambda::error::ProvideErrorMetadata as _;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{FunctionCode, LogType, Runtime};
use base64::Engine as _;
use serde_json::json;
use zip::write::SimpleFileOptions;

use super::bench::{Bench, bootstrap_after};

/// `CreateFunction` with this zip; answers the error's code and message.
async fn refused(bench: &Bench, zip: Vec<u8>) -> (String, String) {
    let code = FunctionCode::builder().zip_file(Blob::new(zip)).build();
    let request = bench.lambda.create_function().function_name("refused");
    let request = request
        .runtime(Runtime::Providedal2023)
        .handler("any")
        .role("arn:aws:iam::000000000000:role/any");
    let error = request.code(code).send().await.unwrap_err();
    (
        error.code().unwrap().to_owned(),
        error.message().unwrap().to_owned(),
    )
}

/// AWS Lambda API reference, `CreateFunction`: a zip that cannot be unpacked is an `InvalidParameterValueException`.
#[tokio::test(flavor = "multi_thread")]
async fn a_zip_that_leaves_its_folder_is_refused_and_leaves_nothing() {
    let bench = Bench::start().await;
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    writer
        .start_file("../evil", SimpleFileOptions::default())
        .unwrap();
    writer.write_all(b"x").unwrap();
    let (code, message) = refused(&bench, writer.finish().unwrap().into_inner()).await;
    assert_eq!(code, "InvalidParameterValueException");
    assert!(message.contains("outside"), "{message}");

    assert!(bench.unpacked().is_empty(), "{:?}", bench.unpacked());
    bench.local.stop().await;
}

/// AWS Lambda developer guide, "Troubleshoot deployment issues in Lambda" (permission denied: the file must be executable).
#[tokio::test(flavor = "multi_thread")]
async fn a_bootstrap_that_is_not_executable_is_an_invalid_entrypoint() {
    let bench = Bench::start().await;
    bench
        .create_from("closed", 3, bootstrap_after("", 0o644))
        .await;
    let (payload, error) = bench.invoke("closed", json!({})).await;
    assert_eq!(error.as_deref(), Some("Unhandled"));
    assert_eq!(payload["errorType"], "Runtime.InvalidEntrypoint");
    let message = payload["errorMessage"].as_str().unwrap();
    assert!(
        message.ends_with("/bootstrap: permission denied"),
        "{message}"
    );
    bench.local.stop().await;
}

/// AWS Lambda API reference, `Invoke`, `LogType`: the last 4 KB of the log come with the answer, however much was written.
#[tokio::test(flavor = "multi_thread")]
async fn a_bootstrap_that_prints_100_mb_answers_and_its_tail_has_4_kb() {
    let bench = Bench::start().await;
    let before = "head -c 104857600 /dev/zero | tr '\\000' x";
    bench
        .create_from("loud", 60, bootstrap_after(before, 0o755))
        .await;
    let request = bench.lambda.invoke().function_name("loud");
    let output = request.log_type(LogType::Tail).send().await.unwrap();
    assert_eq!(output.function_error(), None);
    let tail = base64::engine::general_purpose::STANDARD
        .decode(output.log_result().unwrap())
        .unwrap();
    assert!(tail.len() <= 4096, "{}", tail.len());
    bench.local.stop().await;
}
