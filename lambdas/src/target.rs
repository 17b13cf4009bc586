//! Another service, called synchronously: a function of this account, or an address.
//!
//! A function gets the event that an HTTP API would give it, so a service is the same code behind an HTTP API, behind the
//! gateway, and called by another service.
//!
//! Calls are made once: a second attempt of a `POST` could do twice what was asked once.

use std::str::FromStr;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_lambda::error::SdkError;
use aws_sdk_lambda::operation::invoke::InvokeError;
use aws_sdk_lambda::primitives::Blob;
use lambda_http::http::{HeaderMap, HeaderValue, Method, Response};
use reqwest::Url;

use crate::aws::{self, CONNECT_TIMEOUT};
use crate::settings::Settings;

mod event;
mod reply;

/// A function neither takes nor gives more than 6 MB (AWS Lambda developer guide, "Lambda quotas").
pub const MAX_BYTES: usize = 6 * 1024 * 1024;

/// Where a service is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `lambda://<name>`: a function of this account and region.
    Lambda(String),
    /// `http://…` or `https://…`; a path in it comes before that of each request.
    Http(Url),
}

/// What a target looks like, for messages.
pub const EXPECTED: &str = "lambda://<function>, http://<host> or https://<host>";

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("{text:?} is not {EXPECTED}");
        if let Some(function) = text.strip_prefix("lambda://") {
            let named = !function.is_empty()
                && function
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_:".contains(&byte));
            return named
                .then(|| Self::Lambda(function.to_owned()))
                .ok_or_else(wrong);
        }
        match Url::parse(text) {
            Ok(url)
                if matches!(url.scheme(), "http" | "https")
                    && url.query().is_none()
                    && url.fragment().is_none() =>
            {
                Ok(Self::Http(url))
            }
            _ => Err(wrong()),
        }
    }
}

impl Target {
    /// The target that the variable `name` holds, which must be set.
    pub fn read(settings: &mut Settings, name: &str) -> Option<Self> {
        let value = settings.required(name);
        if value.is_empty() {
            return None;
        }
        value
            .parse()
            .map_err(|wrong| settings.problem(format!("{name}: {wrong}")))
            .ok()
    }
}

/// A request to a service.
#[derive(Clone, Debug)]
pub struct Call {
    /// `GET`, `POST`, …
    pub method: Method,
    /// With its leading `/`, percent-encoded as the client sent it.
    pub path: String,
    /// Without `?`; empty if there is none.
    pub query: String,
    /// All that are to arrive.
    pub headers: HeaderMap,
    /// May be empty.
    pub body: Vec<u8>,
}

impl Call {
    /// A call without a body, on behalf of the request named by `correlation_id`.
    #[must_use]
    pub fn get(path: &str, correlation_id: &str) -> Self {
        let mut headers = HeaderMap::new();
        if let Ok(id) = HeaderValue::from_str(correlation_id) {
            headers.insert(crate::correlation::HEADER, id);
        }
        Self {
            method: Method::GET,
            path: path.to_owned(),
            query: String::new(),
            headers,
            body: Vec::new(),
        }
    }
}

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Nobody is there, or what is there broke.
    #[error("the service cannot be reached")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It did not answer in time. What it was asked may be done or not.
    #[error("the service did not answer within {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// The request is more than a function takes.
    #[error("the request is larger than 6 MB")]
    TooLarge,
}

impl CallError {
    fn unreachable(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unreachable(cause.into())
    }
}

/// Calls services. One per environment.
#[derive(Clone, Debug)]
pub struct Caller {
    lambda: aws_sdk_lambda::Client,
    http: reqwest::Client,
}

impl Caller {
    /// `config` brings the credentials; attempts and timeouts are the caller's own.
    pub fn new(config: &SdkConfig) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            // An answer that leads elsewhere is the client's to follow.
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self {
            lambda: aws::asking(config),
            http,
        })
    }

    /// The answer of `target`, whatever its status, within `timeout`.
    pub async fn call(
        &self,
        target: &Target,
        call: Call,
        timeout: Duration,
    ) -> Result<Response<Vec<u8>>, CallError> {
        let answered = async {
            match target {
                Target::Lambda(function) => self.invoke(function, &call, timeout).await,
                Target::Http(base) => self.request(base, call).await,
            }
        };
        tokio::time::timeout(timeout, answered)
            .await
            .unwrap_or(Err(CallError::TimedOut(timeout)))
    }

    async fn invoke(
        &self,
        function: &str,
        call: &Call,
        timeout: Duration,
    ) -> Result<Response<Vec<u8>>, CallError> {
        let event = event::event(call).to_string();
        if event.len() > MAX_BYTES {
            return Err(CallError::TooLarge);
        }
        let invoked = self
            .lambda
            .invoke()
            .function_name(function)
            .payload(Blob::new(event))
            .send()
            .await
            .map_err(|error| match error {
                SdkError::TimeoutError(_) => CallError::TimedOut(timeout),
                error => CallError::unreachable(aws_sdk_lambda::Error::from(
                    error as SdkError<InvokeError>,
                )),
            })?;
        let payload = invoked.payload().map(AsRef::as_ref).unwrap_or_default();
        if let Some(kind) = invoked.function_error() {
            let what = String::from_utf8_lossy(payload);
            return Err(CallError::unreachable(format!("{kind} error: {what}")));
        }
        reply::response(payload).map_err(CallError::unreachable)
    }

    async fn request(&self, base: &Url, call: Call) -> Result<Response<Vec<u8>>, CallError> {
        let mut url = base.clone();
        url.set_path(&format!(
            "{}{}",
            base.path().trim_end_matches('/'),
            call.path
        ));
        url.set_query((!call.query.is_empty()).then_some(&call.query));
        let mut answer = self
            .http
            .request(call.method, url)
            .headers(call.headers)
            .body(call.body)
            .send()
            .await
            .map_err(CallError::unreachable)?;
        let mut response = Response::new(Vec::new());
        *response.status_mut() = answer.status();
        *response.headers_mut() = std::mem::take(answer.headers_mut());
        while let Some(chunk) = answer.chunk().await.map_err(CallError::unreachable)? {
            let body = response.body_mut();
            if body.len() + chunk.len() > MAX_BYTES {
                return Err(CallError::unreachable("its answer is larger than 6 MB"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// What `serve` makes of one connection, and what the caller makes of that.
    async fn called(
        timeout: Duration,
        serve: impl FnOnce(TcpStream) + Send + 'static,
    ) -> Result<Response<Vec<u8>>, CallError> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/v1/", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || serve(listener.accept().unwrap().0));
        let caller = Caller::new(&SdkConfig::builder().build()).unwrap();
        let mut call = Call::get("/auth/a%2Fb", "c-1");
        call.query = "x=1".to_owned();
        let answer = caller.call(&address.parse().unwrap(), call, timeout).await;
        // The connection is closed by a task of this runtime.
        tokio::task::spawn_blocking(|| server.join().unwrap())
            .await
            .unwrap();
        answer
    }

    fn answer_with(mut connection: TcpStream, answer: &str) -> String {
        let mut request = [0; 4096];
        let length = connection.read(&mut request).unwrap();
        connection.write_all(answer.as_bytes()).unwrap();
        String::from_utf8_lossy(&request[..length]).into_owned()
    }

    #[tokio::test]
    async fn an_address_gets_the_whole_path_and_its_answer_is_passed_on() {
        let (sender, receiver) = std::sync::mpsc::channel();
        let answer = called(Duration::from_secs(10), move |connection| {
            let answer = "HTTP/1.1 401 No\r\nx-a: b\r\ncontent-length: 2\r\n\r\nhi";
            sender.send(answer_with(connection, answer)).unwrap();
        });
        let answer = answer.await.unwrap();
        assert_eq!(answer.status(), 401, "an answer, not an error");
        assert_eq!(answer.headers()["x-a"], "b");
        assert_eq!(answer.body(), b"hi");
        let request = receiver.recv().unwrap();
        assert!(
            request.starts_with("GET /v1/auth/a%2Fb?x=1 HTTP/1.1\r\n"),
            "{request}"
        );
        assert!(request.contains("x-correlation-id: c-1\r\n"), "{request}");
    }

    #[tokio::test]
    async fn who_does_not_answer_is_not_waited_for() {
        let silent = called(Duration::from_millis(50), |mut connection| {
            // Until the caller has gone.
            let _ = connection.read_to_end(&mut Vec::new());
        });
        assert!(matches!(silent.await, Err(CallError::TimedOut(_))));
        let closed = called(Duration::from_secs(10), drop);
        assert!(matches!(closed.await, Err(CallError::Unreachable(_))));
        let broken = called(Duration::from_secs(10), |connection| {
            answer_with(connection, "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhi");
        });
        assert!(matches!(broken.await, Err(CallError::Unreachable(_))));
    }

    #[tokio::test]
    async fn an_answer_that_no_function_could_give_is_an_error() {
        let huge = called(Duration::from_secs(10), |mut connection| {
            answer_with(
                connection.try_clone().unwrap(),
                "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n",
            );
            // The caller may end it before it is over.
            let _ = connection.write_all(&vec![b'x'; MAX_BYTES + 1]);
        });
        assert!(matches!(huge.await, Err(CallError::Unreachable(_))));
    }

    #[tokio::test]
    async fn what_is_more_than_a_function_takes_is_not_sent() {
        let config = SdkConfig::builder().behavior_version(aws_config::BehaviorVersion::latest());
        let caller = Caller::new(&config.build()).unwrap();
        // As JSON each takes two bytes.
        let call = Call {
            body: vec![b'"'; MAX_BYTES / 2],
            ..Call::get("/notifications/bulk", "c-1")
        };
        let function = Target::Lambda("notifications".to_owned());
        let refused = caller.call(&function, call, Duration::from_secs(10)).await;
        assert!(matches!(refused, Err(CallError::TooLarge)), "{refused:?}");
    }

    #[test]
    fn a_target_is_a_function_or_an_address() {
        let target = |text: &str| text.parse::<Target>();
        assert_eq!(
            target("lambda://stack-auth"),
            Ok(Target::Lambda("stack-auth".to_owned()))
        );
        assert!(matches!(
            target("https://auth.example/v1"),
            Ok(Target::Http(_))
        ));
        for wrong in [
            "",
            "lambda://",
            "lambda://a b",
            "ftp://x",
            "auth",
            "http://x/?a=b",
        ] {
            assert!(target(wrong).is_err(), "{wrong}");
        }
    }
}
