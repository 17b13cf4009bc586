//! The operator's dashboard in a terminal, and its one-shot commands. Both talk to the daemon only, never to AWS.
//!
//! ```text
//! terminal ─┐                                              ┌─> draw (view, screen/, widget/)
//! daemon  ──┼─> app ─> Message ─> update(&mut Model) ──────┤
//! tick    ──┘    ^                                         └─> Vec<Effect> ─┐
//!                └───────────── replies come back as messages ──────────────┘
//! ```
//!
//! `update` and everything it calls is pure: time arrives in messages, and only `app` awaits. The one-shot commands share
//! the client with the dashboard, and the words.
//!
//! - `cli`, `command/`, `print`: the command line, what each command does, and how it is printed
//! - `client`, `follow`: the daemon's socket, and the snapshots that arrive over it
//! - `app`, `terminal`: the loop, and the terminal it borrows
//! - `editor`: the operator's own, for payloads
//! - `message` → `update` (`perform`, `reply`, `edit`) → `effect`, over the one `model`
//! - `action`: every key with its meaning; the footer and the help are made from it
//! - `figure`, `statement`, `verdict`, `diff`: figures, plans, results and edits in words; commands use them, too
//! - `view`, `frame`, `screen/`, `widget/`, `theme`: what it looks like

mod action;
mod app;
mod cli;
mod client;
mod command;
mod cursor;
mod diff;
mod edit;
mod editing;
mod editor;
mod effect;
mod figure;
mod follow;
mod form;
mod frame;
#[cfg(test)]
mod journey;
mod layer;
mod message;
mod model;
mod outcomes;
mod perform;
#[cfg(test)]
mod picture;
mod planning;
mod print;
mod refusal;
mod reply;
#[cfg(test)]
mod sample;
mod screen;
mod statement;
mod terminal;
mod theme;
mod update;
mod verdict;
mod view;
mod widget;

use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the program with `args`, the first of which is its own name, and returns its exit code: those of
/// [`patterns_core::problem::exit`]. Builds a runtime of its own, so it must not be called inside one.
#[must_use]
pub fn cli(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    ExitCode::from(cli::run(args))
}
