//! Accounts, passwords and tokens.
//!
//! | call | answers |
//! |---|---|
//! | `POST /auth/register` | 201 with a token, 400, 409 |
//! | `POST /auth/login` | 200 with a token, 400, 401 |
//! | `GET /auth/verify` | 200 `{userId, email}`, 401 |
//! | `GET`, `PUT /auth/me` | 200, 400, 401, 409 |
//! | `POST /auth/logout` | 200 |
//! | `GET /health` | 200, 503 |

use std::time::Instant;

use aws_config::SdkConfig;
use lambda_http::http::Method;
use lambda_http::request::LambdaRequest;
use lambda_http::{Error, Request, RequestExt};

use crate::function::Function;
use crate::http::read::json_body;
use crate::http::{self, Outcome, Refusal, answer};
use crate::notifier::{Choice, Notifier};
use crate::outbox::Outbox;
use crate::settings::Settings;
use crate::{aws, health};
use store::AccountStore;

mod account;
mod login;
mod me;
mod password;
mod register;
mod session;
mod store;
mod token;
pub mod verified;

pub(crate) use account::invalid_email;

struct Auth {
    started: Instant,
    store: AccountStore,
    outbox: Outbox,
}

/// Serves requests until the environment ends.
pub async fn run() -> Result<(), Error> {
    lambda_runtime::run(function(&aws::config())?).await
}

/// What serves them.
pub fn function(config: &SdkConfig) -> Result<impl Function<LambdaRequest> + use<>, Error> {
    let auth = Auth::start(config)?;
    Ok(http::function(
        auth,
        async |auth, request, correlation_id| auth.handle(&request, &correlation_id).await,
    ))
}

impl Auth {
    /// From `ACCOUNTS_TABLE`, `OUTBOX_TABLE` and the [`Notifier`]'s variables.
    fn start(config: &SdkConfig) -> Result<Self, Error> {
        let mut settings = Settings::default();
        let accounts = settings.required("ACCOUNTS_TABLE");
        let outbox = settings.required("OUTBOX_TABLE");
        let choice = Choice::read(&mut settings);
        let (accounts, outbox, choice) = settings.finish((accounts, outbox, choice))?;
        let choice = choice.ok_or("no notifier is chosen")?;
        Ok(Self {
            started: Instant::now(),
            store: AccountStore::new(config, accounts),
            outbox: Outbox::new(config, outbox, Notifier::new(choice, config)),
        })
    }

    async fn handle(&self, request: &Request, correlation_id: &str) -> Outcome {
        let (store, headers) = (&self.store, request.headers());
        let method = request.method();
        match request.raw_http_path() {
            "/auth/register" if method == Method::POST => {
                let wanted = json_body(request)?;
                register::register(store, &self.outbox, &wanted, correlation_id).await
            }
            "/auth/login" if method == Method::POST => {
                login::login(store, &json_body(request)?).await
            }
            "/auth/logout" if method == Method::POST => session::logout(store, headers).await,
            "/auth/register" | "/auth/login" | "/auth/logout" => {
                Err(Refusal::method_not_allowed("POST"))
            }
            "/auth/verify" if method == Method::GET => session::verify(store, headers).await,
            "/auth/me" if method == Method::GET => me::get(store, headers).await,
            "/auth/me" if method == Method::PUT => {
                let user = session::user_of(store, headers).await?;
                me::change(store, &user, json_body(request)?).await
            }
            "/auth/me" => Err(Refusal::method_not_allowed("GET, PUT")),
            "/health" if method == Method::GET => {
                let checks = [("accounts", store.is_there().await)];
                let (status, report) = health::report("auth", self.started, &checks);
                answer(status, &report)
            }
            "/auth/verify" | "/health" => Err(Refusal::method_not_allowed("GET")),
            _ => Err(Refusal::not_found("Route not found")),
        }
    }
}
