//! From a template to an answer over HTTP. The function has no program here, so what comes back is API Gateway's own word.

use super::bench::Bench;

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

#[tokio::test(flavor = "multi_thread")]
async fn routes_failures_and_throttles_answer_as_api_gateway_does() {
    let bench = Bench::with(50, vec![("things".to_owned(), TEMPLATE.to_owned())]).await;
    let url = bench.local.apis["things"].clone();
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
    assert_eq!(bench.local.notes, ["Policies: nobody checks permissions"]);
    bench.local.stop().await;
}
