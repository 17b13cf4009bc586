//! One connection of an HTTP client that costs little, so that the server is what is measured.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request,
    client::conn::http1::{SendRequest, handshake},
    header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;

/// What an SDK sends. The values are read by none of the servers but for the service's name, their lengths by all.
macro_rules! signature {
    ($service:literal) => {
        HeaderValue::from_static(concat!(
            "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/",
            $service,
            "/aws4_request, SignedHeaders=content-length;content-type;host;x-amz-date;x-amz-target;x-amz-user-agent, ",
            "Signature=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        ))
    };
}
const AGENT: HeaderValue =
    HeaderValue::from_static("aws-sdk-rust/1.3.9 os/linux lang/rust/1.95.0 api/sqs/1.80.0");

/// Keep-alive, one call at a time.
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    host: HeaderValue,
    _driver: AbortOnDropHandle<()>,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        let driver = tokio::spawn(async move {
            // A connection that breaks is seen by the call that it breaks.
            let _ = connection.await;
        });
        Ok(Self {
            sender,
            host: HeaderValue::try_from(address.to_string())?,
            _driver: AbortOnDropHandle::new(driver),
        })
    }

    /// One SQS operation in AWS JSON 1.0. Anything but success is an error.
    pub async fn sqs(&mut self, operation: &'static str, body: Bytes) -> Result<Bytes> {
        let request = Request::builder()
            .method(Method::POST)
            .uri("/")
            .header(AUTHORIZATION, signature!("sqs"))
            .header(CONTENT_TYPE, "application/x-amz-json-1.0")
            .header("x-amz-target", operation);
        self.call(request, body).await.context(operation)
    }

    /// One synchronous invocation.
    pub async fn invoke(&mut self, function: &str, payload: Bytes) -> Result<Bytes> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("/2015-03-31/functions/{function}/invocations"))
            .header(AUTHORIZATION, signature!("lambda"))
            .header(CONTENT_TYPE, "application/octet-stream");
        self.call(request, payload).await.context("Invoke")
    }

    async fn call(&mut self, request: hyper::http::request::Builder, body: Bytes) -> Result<Bytes> {
        let request = request
            .header(HOST, &self.host)
            .header(USER_AGENT, &AGENT)
            .header("x-amz-date", "20260101T000000Z")
            .header("amz-sdk-request", "attempt=1; max=1")
            .header(
                "amz-sdk-invocation-id",
                "00000000-0000-4000-8000-000000000000",
            )
            .body(Full::new(body))?;
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        ensure!(
            status.is_success(),
            "{status}: {}",
            String::from_utf8_lossy(&body)
        );
        Ok(body)
    }
}
