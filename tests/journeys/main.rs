//! Journeys through the real programs: the emulator with its functions, the daemon, one-shot commands, and the dashboard in
//! a pseudo-terminal. Every test has a world of its own, on free ports and in its own directory.

// A test says what is wrong by ending there.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod async_controller;
mod bad_input;
mod checkout;
mod correlation;
mod dashboard;
mod edited;
mod failing_aws;
mod fan_out;
mod gateway;
mod handoff;
mod insight;
mod killed;
mod killed_midway;
mod leveling;
mod mistakes;
mod native;
mod notifications;
mod ramp;
mod refused;
mod service_communication;
mod story;
mod tasks;
#[path = "../terminal/terminal.rs"]
mod terminal;
mod verified;
mod world;
