//! The functions of the pattern stacks: one library, and one thin binary for each function.
//!
//! ```text
//! internal-handoff   create-task ──(asynchronous invocation)──> send-notification ──(3 failures)──> failure queue
//! queue-leveling     create-task ──> queue ──(at most 5 at a time)──> send-queued-notification
//!                                      └──(3 receives)──> dead-letter queue
//! async-controller   create-leed ──(asynchronous invocation)──> controller ──(3 failures)──> failure queue
//!                                                                   └──(synchronous)──> list-tasks
//! service-communication   gateway ──(synchronous)──> auth <──(synchronous)── notifications
//!                                                     └────> queues <────────────┘
//!                                                              └──> send-queued-notification
//! fan-out            upload-tasks ──(chunks)──> queue ──> expand-batch ──(rows)──> queue ──> create-task-subscriber
//!                    daily-planner ──(synchronous invocation)──> list-tasks
//! ```
//!
//! - [`task`]: the five task functions behind the HTTP API, and their table
//! - [`outbox`]: events are written with what they tell of, and what was not handed over is swept
//! - [`notifier`]: how a task function tells of what happened; chosen by the environment
//! - [`envelope`]: what it tells, with an id that stays the same however often it is told
//! - [`delivery`]: delivers an envelope once
//! - [`batch`]: an upload of many tasks, made one by one
//! - [`planner`]: a function that asks another one and waits for it
//! - [`idempotency`]: the log in DynamoDB that guards against doing something twice
//! - [`gateway`], [`auth`], [`notification`]: services that call each other, at a [`target`]; each tells its [`health`]
//! - [`send_notification`], [`send_queued_notification`]: the two ways an envelope arrives
//! - [`leed`], [`subscription`]: offers of work that are booked and sold once, and who is told of them
//! - [`controller`]: the bookkeeping of many functions in one, told by name which; [`invoker`]: how functions are invoked
//! - [`checkout`]: orders that are charged once or not at all, and [`payment`], which charges them
//!
//! What all functions share: [`http`] (requests and answers), [`correlation`], [`settings`] (environment variables),
//! [`function`], [`aws`], [`logging`], [`metrics`] and [`deadline`]; those that take messages share [`queue`], and those with tables [`table`].
//!
//! The same code runs on AWS and on one machine; only `AWS_ENDPOINT_URL` differs.

use std::process::ExitCode;

pub mod auth;
pub mod aws;
pub mod batch;
pub mod checkout;
pub mod controller;
pub mod correlation;
pub mod deadline;
pub mod delivery;
pub mod envelope;
pub mod function;
pub mod gateway;
pub mod health;
pub mod http;
pub mod idempotency;
pub mod invoker;
pub mod leed;
pub mod logging;
pub mod metrics;
pub mod notification;
pub mod notifier;
pub mod outbox;
pub mod payment;
pub mod planner;
pub mod queue;
pub mod send_notification;
pub mod send_queued_notification;
pub mod settings;
pub mod subscription;
pub mod table;
pub mod target;
pub mod task;
pub mod trade;
mod transaction;
pub mod unreadable;

/// Every function by the name that its template gives as `Handler`.
pub const FUNCTIONS: &[&str] = &[
    "create-task",
    "get-task",
    "list-tasks",
    "update-task",
    "delete-task",
    "send-notification",
    "send-queued-notification",
    "gateway",
    "auth",
    "notifications",
    "checkout",
    "fulfil-orders",
    "payment-provider",
    "sweep-outbox",
    "subscribe",
    "unsubscribe",
    "create-leed",
    "get-leed",
    "buy-leed",
    "controller",
    "upload-tasks",
    "expand-batch",
    "create-task-subscriber",
    "get-batch",
    "daily-planner",
];

/// Runs the function called `name` until its environment is ended. Returns only when it could not start or the Lambda
/// runtime ended; the reason is on stderr, which Lambda writes to the function's log.
#[must_use]
pub fn run(name: &str) -> ExitCode {
    run_one(name, start(name))
}

/// The same with what runs it given, so that a binary which names one function holds no other.
#[must_use]
pub fn run_one(
    name: &str,
    function: impl Future<Output = Result<(), lambda_runtime::Error>>,
) -> ExitCode {
    // A wrong variable ends the start with every other problem: see `Settings`.
    logging::Logging::read(&mut settings::Settings::empty()).start();
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("{name} cannot start its runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(function) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name} cannot run: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn start(name: &str) -> Result<(), lambda_runtime::Error> {
    match name {
        "create-task" => task::create::run().await,
        "get-task" => task::get::run().await,
        "list-tasks" => task::list::run().await,
        "update-task" => task::update::run().await,
        "delete-task" => task::delete::run().await,
        "send-notification" => send_notification::run().await,
        "send-queued-notification" => send_queued_notification::run().await,
        "gateway" => gateway::run().await,
        "auth" => auth::run().await,
        "notifications" => notification::run().await,
        "checkout" => checkout::run().await,
        "fulfil-orders" => checkout::fulfil::run().await,
        "payment-provider" => payment::run().await,
        "sweep-outbox" => outbox::sweep::run().await,
        "subscribe" => subscription::subscribe::run().await,
        "unsubscribe" => subscription::unsubscribe::run().await,
        "create-leed" => leed::create::run().await,
        "get-leed" => leed::get::run().await,
        "buy-leed" => leed::buy::run().await,
        "controller" => controller::run().await,
        "upload-tasks" => batch::upload::run().await,
        "expand-batch" => batch::expand::run().await,
        "create-task-subscriber" => batch::create::run().await,
        "get-batch" => batch::get::run().await,
        "daily-planner" => planner::run().await,
        unknown => Err(format!(
            "there is no function {unknown:?}; there are {}",
            FUNCTIONS.join(", ")
        )
        .into()),
    }
}
