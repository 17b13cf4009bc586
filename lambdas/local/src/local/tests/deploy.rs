//! Templates: what is built, what is only noted, and what a second deployment changes.

use super::*;

/// Everything that is offered and has a wire to look at it from.
const STACK: &str = r#"
Parameters:
  Environment: {Type: String, Default: dev, AllowedValues: [dev, prd]}
Globals:
  Function: {Runtime: provided.al2023, Timeout: 10}
  HttpApi: {CorsConfiguration: {AllowOrigins: ["*"]}}
Resources:
  Api: {Type: AWS::Serverless::HttpApi}
  Worker:
    Type: AWS::Serverless::Function
    Metadata: {BuildMethod: rust-cargolambda}
    Properties:
      Handler: worker
      CodeUri: anywhere
      Role: !GetAtt WorkerRole.Arn
      ReservedConcurrentExecutions: 4
      DeadLetterQueue: {Type: SQS, TargetArn: !GetAtt Dead.Arn}
      LoggingConfig: {LogGroup: !Ref WorkerLogs}
      EventInvokeConfig:
        MaximumRetryAttempts: 1
        DestinationConfig: {OnFailure: {Type: SQS, Destination: !GetAtt Dead.Arn}}
      Environment:
        Variables: {TARGET: !Join ["/", [!Ref Environment, !Ref Work]]}
      Events:
        Work:
          Type: SQS
          Properties:
            Queue: !GetAtt Work.Arn
            BatchSize: 5
            FilterCriteria: {Filters: [{Pattern: '{"body":{"kind":["job"]}}'}]}
            FunctionResponseTypes: [ReportBatchItemFailures]
            ScalingConfig: {MaximumConcurrency: 3}
        Sweep: {Type: Schedule, Properties: {Schedule: rate(5 minutes)}}
        Http: {Type: HttpApi, Properties: {ApiId: !Ref Api, Method: GET, Path: /}}
  WorkerRole: {Type: AWS::IAM::Role, Properties: {AssumeRolePolicyDocument: {}}}
  WorkerLogs: {Type: AWS::Logs::LogGroup, Properties: {LogGroupName: /orders/worker, RetentionInDays: 7}}
  Work:
    Type: AWS::SQS::Queue
    DeletionPolicy: Retain
    Properties:
      QueueName: work
      VisibilityTimeout: 60
      KmsMasterKeyId: alias/aws/sqs
      Tags: [{Key: team, Value: "7"}]
      RedrivePolicy: {deadLetterTargetArn: !GetAtt Dead.Arn, maxReceiveCount: 3}
  Dead:
    Type: AWS::SQS::Queue
    Properties: {QueueName: dead, RedriveAllowPolicy: {redrivePermission: allowAll}}
  Topic: {Type: AWS::SNS::Topic}
  Alarm:
    Type: AWS::CloudWatch::Alarm
    Properties: {AlarmActions: [!Ref Topic], MetricName: !GetAtt Dead.QueueName}
  Items:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: items
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: pk, AttributeType: S}, {AttributeName: day, AttributeType: S}]
      KeySchema: [{AttributeName: pk, KeyType: HASH}]
      GlobalSecondaryIndexes:
        - IndexName: by-day
          KeySchema: [{AttributeName: day, KeyType: HASH}]
          Projection: {ProjectionType: ALL}
      TimeToLiveSpecification: {AttributeName: expiresAt, Enabled: true}
      Tags: [{Key: team, Value: "7"}]
"#;

async fn deployed(templates: &[&str]) -> Result<(Local, tempfile::TempDir), StartError> {
    let directory = tempfile::tempdir().unwrap();
    let templates = templates
        .iter()
        .map(|text| ("orders".to_owned(), (*text).to_owned()))
        .collect();
    let local = start_with(0, &directory, templates).await?;
    Ok((local, directory))
}

async fn lambda(local: &Local, path: &str) -> Value {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.get(format!("{}{path}", local.endpoint_url));
    let response = request.header("authorization", SIGNATURE).send().await;
    response.unwrap().json().await.unwrap()
}

async fn mapping(local: &Local) -> Value {
    let list = lambda(local, "/2015-03-31/event-source-mappings").await;
    let [mapping] = list["EventSourceMappings"].as_array().unwrap().as_slice() else {
        panic!("one mapping: {list}")
    };
    mapping.clone()
}

async fn function(local: &Local) -> Value {
    lambda(local, "/2015-03-31/functions/orders-Worker").await
}

async fn queue(local: &Local, name: &str) -> Value {
    let url = format!("{}/000000000000/{name}", local.endpoint_url);
    let input = json!({"QueueUrl": url, "AttributeNames": ["All"]});
    let answer: Value = sqs(local, "GetQueueAttributes", input)
        .await
        .json()
        .await
        .unwrap();
    answer["Attributes"].clone()
}

#[tokio::test]
async fn a_template_is_built_or_noted_and_nothing_is_passed_over() {
    let (local, _directory) = deployed(&[STACK]).await.unwrap();
    let function = function(&local).await;
    let configuration = &function["Configuration"];
    assert_eq!(configuration["Timeout"], 10);
    let target = format!("dev/{}/000000000000/work", local.endpoint_url);
    assert_eq!(configuration["Environment"]["Variables"]["TARGET"], target);
    assert_eq!(configuration["LoggingConfig"]["LogGroup"], "/orders/worker");
    assert_eq!(function["Concurrency"]["ReservedConcurrentExecutions"], 4);
    let mapping = mapping(&local).await;
    assert_eq!(mapping["BatchSize"], 5);
    assert_eq!(mapping["ScalingConfig"]["MaximumConcurrency"], 3);
    assert_eq!(
        mapping["FilterCriteria"]["Filters"][0]["Pattern"],
        r#"{"body":{"kind":["job"]}}"#
    );
    let tables = aws_sdk_dynamodb::Client::new(&sdk(&local));
    let table = tables.describe_table().table_name("items").send().await;
    let table = table.unwrap().table.unwrap();
    assert_eq!(table.global_secondary_indexes().len(), 1);
    let noted = |part: &str| local.notes.iter().any(|note| note.starts_with(part));
    for part in [
        "AWS::CloudWatch::Alarm: ",
        "AWS::IAM::Role: ",
        "AWS::Logs::LogGroup: ",
        "AWS::SNS::Topic: ",
        "CorsConfiguration: ",
        "KmsMasterKeyId: ",
    ] {
        assert!(noted(part), "{part} in {:?}", local.notes);
    }
    local.stop().await;
}

#[tokio::test]
async fn a_function_is_invoked_by_the_clock() {
    let (local, _directory) = deployed(&[STACK]).await.unwrap();
    let metrics = aws_sdk_cloudwatch::Client::new(&sdk(&local));
    let events = async || {
        let now = aws_sdk_cloudwatch::primitives::DateTime::from(std::time::SystemTime::from(
            local.clock.now(),
        ));
        let dimension = Dimension::builder()
            .name("FunctionName")
            .value("orders-Worker");
        let answer = metrics
            .get_metric_statistics()
            .namespace("AWS/Lambda")
            .metric_name("AsyncEventsReceived")
            .dimensions(dimension.build())
            .start_time(aws_sdk_cloudwatch::primitives::DateTime::from_secs(
                now.secs() - 3_600,
            ))
            .end_time(aws_sdk_cloudwatch::primitives::DateTime::from_secs(
                now.secs() + 60,
            ))
            .period(60)
            .statistics(aws_sdk_cloudwatch::types::Statistic::Sum)
            .send()
            .await
            .unwrap();
        let sums = answer
            .datapoints()
            .iter()
            .filter_map(aws_sdk_cloudwatch::types::Datapoint::sum);
        sums.sum::<f64>()
    };
    assert!(events().await < 1.0, "not before its time");
    for round in 1..=2 {
        local.clock.advance(Duration::from_mins(5)).unwrap();
        while events().await < f64::from(round) {
            tokio::task::yield_now().await;
        }
    }
    local.stop().await;
}

#[tokio::test]
async fn a_second_deployment_changes_what_differs_and_keeps_what_is_inside() {
    let second = STACK
        .replace("BatchSize: 5", "BatchSize: 7")
        .replace("VisibilityTimeout: 60", "VisibilityTimeout: 90")
        .replace("ReservedConcurrentExecutions: 4", "MemorySize: 512");
    let (local, _directory) = deployed(&[STACK, &second, &second]).await.unwrap();
    let function = function(&local).await;
    assert_eq!(function["Configuration"]["MemorySize"], 512);
    assert_eq!(function["Concurrency"], Value::Null);
    assert_eq!(mapping(&local).await["BatchSize"], 7);
    let work = queue(&local, "work").await;
    assert_eq!(work["VisibilityTimeout"], "90");
    assert!(work["RedrivePolicy"].as_str().unwrap().contains("dead"));
    local.stop().await;
}

#[tokio::test]
async fn a_table_with_other_keys_is_not_replaced() {
    let other = STACK.replace("AttributeName: pk", "AttributeName: id");
    let error = deployed(&[STACK, &other]).await.err().unwrap().to_string();
    assert!(error.contains("Items was refused"), "{error}");
    assert!(error.contains("delete-table"), "{error}");
}

#[tokio::test]
async fn what_is_wrong_is_named_with_its_line() {
    for (from, to, part) in [
        ("AWS::SNS::Topic", "AWS::S3::Bucket", "Topic has the type"),
        ("BatchSize: 5", "BatchSise: 5", "BatchSise"),
        ("{Pattern:", "{Patern:", "a filter"),
        ("Type: Schedule,", "Type: Kinesis,", "HttpApi, SQS"),
    ] {
        let (before, _) = STACK.split_once(from).unwrap();
        let line = format!("line {}: ", before.lines().count());
        let error = deployed(&[&STACK.replace(from, to)]).await.err().unwrap();
        let error = error.to_string();
        assert!(error.contains(&line) && error.contains(part), "{error}");
    }
}
