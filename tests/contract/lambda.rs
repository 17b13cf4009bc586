//! What AWS documents of Lambda, asked of the emulator through the official SDK, with real processes as functions.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "lambda/asynchronous.rs"]
mod asynchronous;
#[path = "lambda/bench.rs"]
mod bench;
#[path = "lambda/bootstrap.rs"]
mod bootstrap;
mod cloud;
#[path = "lambda/emulator.rs"]
mod emulator;
#[path = "lambda/event_source.rs"]
mod event_source;
#[path = "lambda/fifo_source.rs"]
mod fifo_source;
#[path = "lambda/filter.rs"]
mod filter;
#[path = "lambda/function.rs"]
mod function;
#[path = "lambda/http_api.rs"]
mod http_api;
#[path = "lambda/logs.rs"]
mod logs;
#[path = "lambda/metrics.rs"]
mod metrics;
#[path = "lambda/misuse.rs"]
mod misuse;
#[path = "lambda/orphans.rs"]
mod orphans;
#[path = "lambda/process.rs"]
mod process;
#[path = "lambda/refusals.rs"]
mod refusals;
#[path = "lambda/restart.rs"]
mod restart;
#[path = "lambda/synchronous.rs"]
mod synchronous;
#[path = "lambda/time.rs"]
mod time;
