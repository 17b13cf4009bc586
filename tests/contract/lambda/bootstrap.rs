//! Zips and programs that mean no good: each fails alone, and with a clear error.

use std::io::{Read as _, Write as _};

use aws_sdk_lambda::error::ProvideErrorMetadata as _;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{FunctionCode, LogType, Runtime};
use base64::Engine as _;
use serde_json::json;
use zip::write::SimpleFileOptions;

use super::bench::{Bench, bootstrap_after, wait_until};
use super::cloud;
use super::emulator::Emulator;
use super::synchronous::is_running;

/// `CreateFunction` with this zip; answers the error's code and message.
async fn refused(bench: &Bench, zip: Vec<u8>) -> (String, String) {
    let code = FunctionCode::builder().zip_file(Blob::new(zip)).build();
    let request = bench
        .lambda
        .create_function()
        .function_name(bench.name("refused"));
    let request = request
        .runtime(Runtime::Providedal2023)
        .handler("any")
        .role(bench.role());
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
    let options = SimpleFileOptions::default();
    for name in ["../evil", "a/../../evil", "/../evil"] {
        let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        writer.start_file(name, options).unwrap();
        writer.write_all(b"x").unwrap();
        let (code, message) = refused(&bench, writer.finish().unwrap().into_inner()).await;
        assert_eq!(code, "InvalidParameterValueException");
        if !cloud::is_elsewhere() {
            assert!(message.contains("outside"), "{message}");
        }
    }
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    writer.add_symlink("bootstrap", "/bin/sh", options).unwrap();
    let (code, message) = refused(&bench, writer.finish().unwrap().into_inner()).await;
    assert_eq!(code, "InvalidParameterValueException");
    if !cloud::is_elsewhere() {
        assert!(message.contains("link"), "{message}");
    }
    assert!(bench.unpacked().is_empty(), "{:?}", bench.unpacked());
    bench.stop().await;
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
    bench.stop().await;
}

/// AWS Lambda API reference, `Invoke`, `LogType`: the last 4 KB of the log come with the answer, however much was written.
#[tokio::test(flavor = "multi_thread")]
async fn a_bootstrap_that_prints_100_mb_answers_and_its_tail_has_4_kb() {
    let bench = Bench::start().await;
    let before = "head -c 104857600 /dev/zero | tr '\\000' x";
    bench
        .create_from("loud", 60, bootstrap_after(before, 0o755))
        .await;
    let request = bench.lambda.invoke().function_name(bench.name("loud"));
    let output = request.log_type(LogType::Tail).send().await.unwrap();
    assert_eq!(output.function_error(), None);
    let tail = base64::engine::general_purpose::STANDARD
        .decode(output.log_result().unwrap())
        .unwrap();
    assert!(tail.len() <= 4096, "{}", tail.len());
    bench.stop().await;
}

/// What a function writes is kept within bounds, and another function's answers do not wait for it.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_function_writes_takes_bounded_memory() {
    if cloud::leaves_out("the process that is measured is ours") {
        return;
    }
    let emulator = Emulator::start();
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [quiet, loud] = folders.each_ref().map(tempfile::TempDir::path);
    emulator.create("quiet", quiet, "#!/bin/sh\nexit 3\n").await;
    let print = "#!/bin/sh\nhead -c 104857600 /dev/zero | tr '\\000' x\nexit 3\n";
    emulator.create("loud", loud, print).await;
    let before = emulator.peak_kb();
    let (loud, quiet) = tokio::join!(
        emulator.invoke("loud", "RequestResponse"),
        emulator.invoke("quiet", "RequestResponse"),
    );
    for answer in [loud, quiet] {
        let answer = answer.text().await.unwrap();
        assert!(answer.contains("exit status 3"), "{answer}");
    }
    let grown = emulator.peak_kb() - before;
    assert!(grown < 80_000, "{grown} KB more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_writes_for_ever_works_and_disturbs_no_other() {
    if cloud::leaves_out("the processes of a place that is not ours are its own") {
        return;
    }
    let bench = Bench::start().await;
    let zip = bootstrap_after("yes &\necho $! > \"$MARKS/writer\"", 0o755);
    bench.create_from("flooding", 20, zip).await;
    bench.create("other", 20).await;
    for name in ["flooding", "other", "flooding", "other"] {
        let (_, error) = bench.invoke(name, json!({})).await;
        assert_eq!(error, None, "{name}");
    }
    let writer = bench.mark("writer").trim().parse().unwrap();
    assert!(is_running(writer));
    let delete = bench
        .lambda
        .delete_function()
        .function_name(bench.name("flooding"));
    delete.send().await.unwrap();
    wait_until("it has ended", || async { !is_running(writer) }).await;
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bootstrap_that_closes_its_output_works() {
    let bench = Bench::start().await;
    let zip = bootstrap_after("exec >&- 2>&-", 0o755);
    bench.create_from("silent", 20, zip).await;
    for _ in 0..2 {
        let (_, error) = bench.invoke("silent", json!({})).await;
        assert_eq!(error, None);
    }
    bench.stop().await;
}

/// AWS Lambda developer guide, "Lambda quotas": 250 MB unpacked.
#[tokio::test(flavor = "multi_thread")]
async fn a_zip_that_unpacks_to_more_than_250_mb_is_refused_and_leaves_nothing() {
    let bench = Bench::start().await;
    let mut tenth = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    tenth.start_file("x", SimpleFileOptions::default()).unwrap();
    std::io::copy(
        &mut std::io::repeat(0).take(25 * 1024 * 1024 + 1),
        &mut tenth,
    )
    .unwrap();
    let mut tenth = zip::ZipArchive::new(tenth.finish().unwrap()).unwrap();
    let mut whole = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for index in 0..10 {
        let file = tenth.by_index_raw(0).unwrap();
        whole
            .raw_copy_file_rename(file, format!("{index}"))
            .unwrap();
    }
    let bomb = whole.finish().unwrap().into_inner();
    assert!(bomb.len() < 1024 * 1024, "{}", bomb.len());
    let (code, message) = refused(&bench, bomb).await;
    assert_eq!(code, "InvalidParameterValueException");
    let expected = "Unzipped size must be smaller than 262144000 bytes";
    assert_eq!(message, expected);
    assert!(bench.unpacked().is_empty(), "{:?}", bench.unpacked());
    bench.stop().await;
}
