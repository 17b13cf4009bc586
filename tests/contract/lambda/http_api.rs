//! From a template to an answer over HTTP. The function has no program here, so what comes back is API Gateway's own word.

use patterns_local::{Local, Options};

use super::cloud;

const TEMPLATE: &str = "
Resources:
  Api:
    Type: AWS::Serverless::HttpApi
    Properties:
      DefaultRouteSettings: {ThrottlingRateLimit: 0.001, ThrottlingBurstLimit: 2}
  Nobody:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: provided.al2023
      Handler: no-such-function
      Policies: []
      Events:
        Http: {Type: HttpApi, Properties: {ApiId: !Ref Api, Method: GET, Path: \"/things/{id}\"}}
";

/// Amazon API Gateway developer guide, "Throttle requests to your HTTP APIs for better throughput in API Gateway" (a token bucket; 429) and
/// "Troubleshooting issues with HTTP API Lambda integrations" (500 when the function fails).
#[tokio::test(flavor = "multi_thread")]
async fn routes_failures_and_throttles_answer_as_api_gateway_does() {
    if cloud::leaves_out("deploying a template is no call to AWS here") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let local = Local::start(Options {
        templates: vec![("things".to_owned(), TEMPLATE.to_owned())],
        ..cloud::options(50, dir.path().to_owned())
    })
    .await
    .unwrap_or_else(|error| panic!("{error}"));
    let url = &local.apis["things"];
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let get = |path: &str| {
        let request = client.get(format!("{url}{path}"));
        async move {
            let response = request.send().await.unwrap();
            (response.status().as_u16(), response.text().await.unwrap())
        }
    };
    assert_eq!(
        get("/other").await,
        (404, r#"{"message":"Not Found"}"#.to_owned())
    );
    for _ in 0..2 {
        let failure = (500, r#"{"message":"Internal Server Error"}"#.to_owned());
        assert_eq!(get("/things/1").await, failure);
    }
    assert_eq!(
        get("/things/1").await,
        (429, r#"{"message":"Too Many Requests"}"#.to_owned())
    );
    assert_eq!(local.notes, ["Policies: nobody checks permissions"]);
    local.stop().await;
}
