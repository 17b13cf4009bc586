//! The function `notify`: this test program again, which speaks the Lambda Runtime API and succeeds with every event.

/// The test below, as its program knows it.
const NAME: &str = "function::process";

/// The script that becomes it.
pub fn bootstrap() -> String {
    let program = std::env::current_exe().unwrap();
    let program = program.display();
    format!("#!/bin/sh\nexec '{program}' {NAME} --ignored --exact --nocapture\n")
}

#[tokio::test]
#[ignore = "the body of a function's process, started by the emulator"]
async fn process() {
    // Also reached by `--ignored` without a name.
    let Ok(api) = std::env::var("AWS_LAMBDA_RUNTIME_API") else {
        return;
    };
    let base = format!("http://{api}/2018-06-01/runtime/invocation");
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    loop {
        let next = client.get(format!("{base}/next")).send().await.unwrap();
        let id = &next.headers()["lambda-runtime-aws-request-id"];
        let answer = format!("{base}/{}/response", id.to_str().unwrap());
        client.post(answer).body("null").send().await.unwrap();
    }
}
