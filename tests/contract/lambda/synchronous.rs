//! Create, configure, invoke and wait.

use aws_sdk_lambda::error::ProvideErrorMetadata as _;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{FunctionCode, InvocationType, LogType, Runtime};
use base64::Engine as _;
use serde_json::{Value, json};

use super::bench::{Bench, bootstrap, wait_until};
use super::cloud;

/// AWS Lambda developer guide, "Understanding the Lambda execution environment lifecycle": an environment is kept for later invocations.
/// AWS Lambda API reference, `Invoke`, `FunctionName`: name, partial ARN and ARN, each with or without a version.
#[tokio::test(flavor = "multi_thread")]
async fn a_function_from_a_zip_runs_and_stays_warm() {
    let bench = Bench::start().await;
    bench.create("warm", 10).await;
    let (first, error) = bench.invoke("warm", json!({"n": 1})).await;
    assert_eq!(error, None);
    assert_eq!(first["event"], json!({"n": 1}));
    assert_eq!(first["arn"], bench.function_arn("warm"));
    let deadline: i64 = first["deadline"].as_str().unwrap().parse().unwrap();
    assert!(deadline > 1_700_000_000_000, "{deadline}");
    let name = bench.name("warm");
    for given in [
        format!("{name}:$LATEST"),
        format!("{}:function:{name}", bench.cloud.account),
    ] {
        let (again, _) = bench.invoke_as(&given, json!({})).await;
        assert_eq!(again["pid"], first["pid"]);
        assert_ne!(again["id"], first["id"]);
    }
    assert!(bench.sum("Invocations", "warm").await >= 3.0);
    assert!(bench.sum("Errors", "warm").await < 0.5);
    bench.stop().await;
}

/// AWS Lambda API reference, `UpdateFunctionConfiguration`, `RevisionId`.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_configuration_retires_warm_environments() {
    let bench = Bench::start().await;
    bench.create("changing", 10).await;
    let (first, _) = bench.invoke("changing", json!({})).await;
    let seen = bench
        .lambda
        .get_function_configuration()
        .function_name(bench.name("changing"))
        .send()
        .await
        .unwrap();
    let update = || {
        bench
            .lambda
            .update_function_configuration()
            .function_name(bench.name("changing"))
            .environment(bench.environment("second"))
            .revision_id(seen.revision_id().unwrap())
    };
    let updated = update().send().await.unwrap();
    assert_ne!(updated.revision_id(), seen.revision_id());
    let stale = update().send().await.unwrap_err();
    assert_eq!(stale.code(), Some("PreconditionFailedException"));
    assert_eq!(stale.raw_response().unwrap().status().as_u16(), 412);

    let (second, _) = bench.invoke("changing", json!({})).await;
    assert_eq!(
        (&first["variable"], &second["variable"]),
        (&json!("first"), &json!("second"))
    );
    let old = first["pid"].as_u64().unwrap();
    wait_until(
        "the old process has ended",
        || async move { !is_running(old) },
    )
    .await;
    bench.stop().await;
}

/// AWS Lambda developer guide, "Lambda function states", function states during updates: only what is invoked after the update runs
/// with the new configuration.
#[tokio::test(flavor = "multi_thread")]
async fn a_busy_environment_finishes_its_work_before_it_retires() {
    let bench = Bench::start().await;
    bench.create("busy", 20).await;
    let payload = Blob::new(json!({"do": "hold"}).to_string());
    let request = bench.lambda.invoke().function_name(bench.name("busy"));
    let running = tokio::spawn(request.payload(payload).send());
    wait_until("it runs", || async { !bench.runs().is_empty() }).await;
    let update = bench.lambda.update_function_configuration();
    let update = update.function_name(bench.name("busy"));
    update
        .environment(bench.environment("second"))
        .send()
        .await
        .unwrap();
    bench.release();
    let output = running.await.unwrap().unwrap();
    assert_eq!(output.function_error(), None);
    let answer: Value = serde_json::from_slice(output.payload().unwrap().as_ref()).unwrap();
    assert_eq!(answer["variable"], "first");
    let old = answer["pid"].as_u64().unwrap();
    wait_until("it has ended", || async move { !is_running(old) }).await;
    bench.stop().await;
}

/// AWS Lambda developer guide, "Understanding the Lambda execution environment lifecycle": between invocations AWS freezes an environment,
/// so it does not end by itself. A process here can; no caller may see it.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_died_while_idle_fails_no_invocation() {
    let bench = Bench::start().await;
    bench.create("idle", 10).await;
    let (first, _) = bench.invoke("idle", json!({})).await;
    let pid = i32::try_from(first["pid"].as_i64().unwrap()).unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    let old = first["pid"].as_u64().unwrap();
    wait_until("it has ended", || async move { !is_running(old) }).await;
    let (second, error) = bench.invoke("idle", json!({})).await;
    assert_eq!(error, None);
    assert_ne!(second["pid"], first["pid"]);
    bench.stop().await;
}

/// AWS Lambda API reference, `Invoke`: a function's failure is status 200 with `X-Amz-Function-Error`.
#[tokio::test(flavor = "multi_thread")]
async fn a_failure_a_timeout_and_an_exit_are_function_errors() {
    let bench = Bench::start().await;
    bench.create("failing", 1).await;
    let (payload, error) = bench.invoke("failing", json!({"do": "fail"})).await;
    assert_eq!(error.as_deref(), Some("Unhandled"));
    assert_eq!(
        payload,
        json!({"errorType": "Broken", "errorMessage": "as asked"})
    );

    let (payload, error) = bench.invoke("failing", json!({"do": "exit"})).await;
    assert_eq!(error.as_deref(), Some("Unhandled"));
    assert_eq!(payload["errorType"], "Runtime.ExitError");
    let message = payload["errorMessage"].as_str().unwrap();
    assert!(
        message.ends_with("Error: Runtime exited with error: exit status 3"),
        "{message}"
    );

    let (payload, _) = bench.invoke("failing", json!({"do": "hang"})).await;
    assert_eq!(payload["errorType"], "Sandbox.Timedout");
    let message = payload["errorMessage"].as_str().unwrap();
    assert!(
        message.ends_with("Error: Task timed out after 1.00 seconds"),
        "{message}"
    );
    let hung = bench.runs().pop().unwrap()["pid"].as_u64().unwrap();
    wait_until(
        "the hung process has ended",
        || async move { !is_running(hung) },
    )
    .await;

    let (next, error) = bench.invoke("failing", json!({})).await;
    assert_eq!(error, None);
    assert_ne!(next["pid"], hung);
    assert!(bench.sum("Errors", "failing").await > 2.5);
    bench.stop().await;
}

/// AWS Lambda developer guide, "Understanding the Lambda execution environment lifecycle", failures during the Init phase: they are
/// reported to who invoked.
#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_cannot_start_is_a_function_error() {
    let bench = Bench::start().await;
    bench.create("broken", 5).await;
    bench
        .lambda
        .update_function_configuration()
        .function_name(bench.name("broken"))
        .environment(bench.environment("broken"))
        .send()
        .await
        .unwrap();
    let (payload, error) = bench.invoke("broken", json!({})).await;
    assert_eq!(error.as_deref(), Some("Unhandled"));
    let message = payload["errorMessage"].as_str().unwrap();
    assert!(message.ends_with("exit status 7"), "{message}");
    bench.stop().await;
}

/// AWS Lambda API reference, `Invoke`, `LogType`; AWS Lambda developer guide, "Defined runtime environment variables", where
/// `AWS_EXECUTION_ENV` is not defined for provided.al2023.
#[tokio::test(flavor = "multi_thread")]
async fn the_tail_of_the_log_comes_with_the_answer_and_the_environment_is_clean() {
    let bench = Bench::start().await;
    bench.create("talking", 10).await;
    let output = bench
        .lambda
        .invoke()
        .function_name(bench.name("talking"))
        .log_type(LogType::Tail)
        .payload(Blob::new(json!({"do": "say"}).to_string()))
        .send()
        .await
        .unwrap();
    assert_eq!(output.executed_version(), Some("$LATEST"));
    let tail = base64::engine::general_purpose::STANDARD
        .decode(output.log_result().unwrap())
        .unwrap();
    let tail = String::from_utf8(tail).unwrap();
    let lines: Vec<&str> = tail.lines().collect();
    assert!(
        lines.contains(&"a line that was asked for"),
        "the tail: {tail}"
    );
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("START RequestId: ")),
        "the tail: {tail}"
    );
    assert!(
        lines.last().unwrap().starts_with("REPORT RequestId: "),
        "the tail: {tail}"
    );

    let (names, _) = bench.invoke("talking", json!({"do": "environment"})).await;
    let names: Vec<&str> = names
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap())
        .collect();
    for expected in [
        "_HANDLER",
        "AWS_ENDPOINT_URL",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_LAMBDA_RUNTIME_API",
        "LAMBDA_TASK_ROOT",
        "LANG",
        "PATH",
        "TZ",
    ] {
        assert!(names.contains(&expected), "{expected} is not in {names:?}");
    }
    assert!(!names.contains(&"AWS_EXECUTION_ENV"), "{names:?}");
    assert!(
        !names.contains(&"HOME") && !names.iter().any(|name| name.starts_with("CARGO")),
        "{names:?}"
    );
    bench.stop().await;
}

/// AWS Lambda API reference, `Invoke`, `TooManyRequestsException`, whose `Reason` names the limit.
#[tokio::test(flavor = "multi_thread")]
async fn more_than_the_account_may_run_is_throttled() {
    if cloud::leaves_out("the account's concurrency is not ours to set") {
        return;
    }
    let bench = Bench::with_concurrency(1).await;
    bench.create("busy", 10).await;
    let payload = Blob::new(json!({"do": "hold"}).to_string());
    let request = bench.lambda.invoke().function_name(bench.name("busy"));
    let running = tokio::spawn(request.payload(payload).send());
    wait_until("the first one runs", || async { !bench.runs().is_empty() }).await;
    let error = bench
        .lambda
        .invoke()
        .function_name(bench.name("busy"))
        .send()
        .await
        .unwrap_err();
    assert_eq!(error.raw_response().unwrap().status().as_u16(), 429);
    let error = error.into_service_error();
    let aws_sdk_lambda::operation::invoke::InvokeError::TooManyRequestsException(throttle) = &error
    else {
        panic!("{error:?}")
    };
    assert_eq!(
        throttle.reason().unwrap().as_str(),
        "ConcurrentInvocationLimitExceeded"
    );
    bench.release();
    running.await.unwrap().unwrap();
    bench.stop().await;
}

/// AWS Lambda developer guide, "Understanding Lambda function scaling": one environment for each invocation that runs, and the account's
/// concurrency bounds them. That idle ones end for others is so here, where they take the memory of one machine.
#[tokio::test(flavor = "multi_thread")]
async fn there_are_no_more_processes_than_invocations_that_may_run() {
    if cloud::leaves_out("the account's concurrency is not ours to set") {
        return;
    }
    let bench = Bench::with_concurrency(2).await;
    let mut processes = Vec::new();
    for name in ["a", "b", "c"] {
        bench.create(name, 10).await;
        let (answer, _) = bench.invoke(name, json!({})).await;
        processes.push(answer["pid"].as_u64().unwrap());
    }
    let oldest = processes[0];
    wait_until("the one that was idle longest has ended", || async move {
        !is_running(oldest)
    })
    .await;
    for (name, pid) in ["b", "c"].into_iter().zip(&processes[1..]) {
        let (answer, _) = bench.invoke(name, json!({})).await;
        assert_eq!(answer["pid"].as_u64(), Some(*pid));
    }
    bench.stop().await;
}

/// AWS Lambda API reference, `Invoke` and `CreateFunction`, errors; AWS Lambda developer guide, "Lambda quotas" (payloads of 1 MB and
/// 6 MB). A dry run runs nothing.
#[tokio::test(flavor = "multi_thread")]
async fn f27_what_aws_refuses_is_refused_by_the_same_name() {
    let bench = Bench::start().await;
    let error = bench
        .lambda
        .invoke()
        .function_name(bench.name("nobody"))
        .send()
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some("ResourceNotFoundException"));
    assert!(
        error
            .message()
            .unwrap()
            .contains(&bench.function_arn("nobody"))
    );

    bench.create("f", 3).await;
    let invoke = |kind: InvocationType, payload: Vec<u8>| {
        let request = bench
            .lambda
            .invoke()
            .function_name(bench.name("f"))
            .invocation_type(kind);
        async move { request.payload(Blob::new(payload)).send().await }
    };
    let error = invoke(InvocationType::Event, vec![b' '; 1_048_577])
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some("RequestTooLargeException"));
    let error = invoke(InvocationType::RequestResponse, vec![b' '; 6_291_457])
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some("RequestTooLargeException"));
    let error = invoke(InvocationType::RequestResponse, b"not json".to_vec())
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some("InvalidRequestContentException"));
    let gone = bench.lambda.invoke().function_name(bench.name("nobody"));
    let error = gone
        .invocation_type(InvocationType::DryRun)
        .send()
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some("ResourceNotFoundException"));
    let full = format!("\"{}\"", "x".repeat(1_048_574)).into_bytes();
    let accepted = invoke(InvocationType::Event, full).await.unwrap();
    assert_eq!(accepted.status_code(), 202);
    wait_until("the largest event ran", || async {
        bench.runs().len() == 1
    })
    .await;
    let dry = invoke(InvocationType::DryRun, b"{}".to_vec())
        .await
        .unwrap();
    assert_eq!(dry.status_code(), 204);
    assert_eq!(bench.runs().len(), 1);

    let again = |runtime: Runtime, name: &str| {
        bench
            .lambda
            .create_function()
            .function_name(bench.name(name))
            .role(bench.role())
            .handler("h")
            .runtime(runtime)
            .code(
                FunctionCode::builder()
                    .zip_file(Blob::new(bootstrap()))
                    .build(),
            )
            .send()
    };
    let error = again(Runtime::Providedal2023, "f").await.unwrap_err();
    assert_eq!(error.code(), Some("ResourceConflictException"));
    let error = again(Runtime::Python312, "g").await.unwrap_err();
    assert_eq!(error.code(), Some("InvalidParameterValueException"));
    bench.stop().await;
}

/// AWS Lambda developer guide, "Configuring reserved concurrency": 100 of the account's concurrency cannot be reserved.
/// `GetAccountSettings` tells what is left.
#[tokio::test(flavor = "multi_thread")]
async fn f26_reserved_concurrency_leaves_100() {
    let bench = Bench::with_concurrency(150).await;
    bench.create("f", 20).await;
    let settings = || bench.lambda.get_account_settings().send();
    let limit = settings().await.unwrap().account_limit.unwrap();
    let all = limit.concurrent_executions();
    let unreserved = limit.unreserved_concurrent_executions().unwrap();
    let error = bench.reserve("f", unreserved - 99).await.unwrap_err();
    assert_eq!(error.code(), Some("InvalidParameterValueException"));
    assert!(error.message().unwrap().contains("minimum value of [100]"));
    bench.reserve("f", unreserved - 100).await.unwrap();
    let left = settings().await.unwrap();
    let limit = left.account_limit().unwrap();
    assert_eq!(limit.concurrent_executions(), all);
    assert_eq!(limit.unreserved_concurrent_executions(), Some(100));
    assert!(left.account_usage().unwrap().function_count() >= 1);
    bench.stop().await;
}

/// AWS Lambda developer guide, "Configuring reserved concurrency": a function is throttled at what is reserved for it. "Types of metrics
/// for Lambda functions": a throttled request counts neither as an invocation nor as an error.
#[tokio::test(flavor = "multi_thread")]
async fn f26_a_throttle_at_the_reserved_concurrency_counts_as_nothing_else() {
    let bench = Bench::with_concurrency(150).await;
    bench.create("f", 20).await;
    bench.reserve("f", 1).await.unwrap();
    bench.send_event("f", &json!({"do": "hold"})).await;
    wait_until("the first one runs", || async { !bench.runs().is_empty() }).await;
    let second = bench.lambda.invoke().function_name(bench.name("f")).send();
    let error = second.await.unwrap_err().into_service_error();
    let aws_sdk_lambda::operation::invoke::InvokeError::TooManyRequestsException(throttle) = &error
    else {
        panic!("{error:?}")
    };
    let reason = throttle.reason().unwrap().as_str();
    assert_eq!(reason, "ReservedFunctionConcurrentInvocationLimitExceeded");
    bench.release();
    // Its duration is counted last.
    wait_until("the first one is counted", || async {
        bench.sum("Duration", "f").await > 0.0
    })
    .await;
    let counted = [
        bench.sum("Throttles", "f").await,
        bench.sum("Invocations", "f").await,
        bench.sum("Errors", "f").await,
    ];
    assert_eq!(counted.map(|value| format!("{value:.0}")), ["1", "1", "0"]);
    bench.stop().await;
}

/// AWS Lambda API reference, `ListFunctions` (in pages), `TagResource`, `UntagResource`, `DeleteFunction`.
#[tokio::test(flavor = "multi_thread")]
async fn functions_are_listed_tagged_and_deleted() {
    let bench = Bench::start().await;
    for name in ["a", "b", "c"] {
        bench.create(name, 3).await;
    }
    assert_eq!(
        bench.functions().await,
        ["a", "b", "c"].map(|name| bench.name(name))
    );

    let arn = bench.function_arn("a");
    let tag = bench.lambda.tag_resource().resource(&arn);
    tag.tags("one", "1").tags("two", "2").send().await.unwrap();
    let untag = bench.lambda.untag_resource().resource(&arn);
    untag.tag_keys("one").send().await.unwrap();
    let tags = bench
        .lambda
        .list_tags()
        .resource(arn)
        .send()
        .await
        .unwrap()
        .tags
        .unwrap();
    assert_eq!(
        tags.into_iter().collect::<Vec<_>>(),
        [("two".to_owned(), "2".to_owned())]
    );

    bench
        .lambda
        .delete_function()
        .function_name(bench.name("a"))
        .send()
        .await
        .unwrap();
    let error = bench
        .lambda
        .get_function()
        .function_name(bench.name("a"))
        .send()
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some("ResourceNotFoundException"));
    bench.stop().await;
}

pub fn is_running(pid: u64) -> bool {
    // A zombie has ended; it only waits to be noticed. But the first thread shows as one while others are still on their
    // way out and hold the process's sockets open, and until then nobody can notice.
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
    let zombie = std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        let state = stat.rsplit(')').next().unwrap_or_default().trim_start();
        state.starts_with('Z')
    });
    threads > 1 || (threads == 1 && !zombie)
}
