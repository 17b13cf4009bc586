//! Redrives that are killed, refused, cut off and starved, counted by a witness that knows nothing of the daemon: the
//! emulator's own log of every message's life.
//!
//! - `storm`: `kill -9` again and again until the redrive is done
//! - `ramp`: the same of one in steps, in which each waits for a verdict on the one before
//! - `points`: an end at every labelled place, each for the first, second and third time
//! - `faults`: what AWS and the network do wrong
//! - `disk`: a ledger that cannot be written
//! - `take_back`: what was sent and not processed comes back
//! - `native`: what a message move task of SQS moves
//!
//! Each proves the same of every event: none lost, none altered, and every one that went twice is listed as in doubt. The
//! figures are printed, one line a redrive:
//!
//! ```text
//! cargo test --release -p patterns-local --test crash -- --nocapture --test-threads 1
//! cargo test --release -p patterns-local --test crash -- --ignored --nocapture --test-threads 1 long_storms
//! ```
//!
//! The second is the long form: 100 000 events, killed until they are back, with 20 seeds (`STORM_SEEDS=3` and
//! `STORM_EVENTS=10000` for fewer).

// A test says what is wrong by ending there.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod account;
mod daemon;
mod disk;
mod events;
mod faults;
mod function;
mod native;
mod points;
mod ramp;
mod storm;
mod take_back;
mod verdict;
mod wish;
