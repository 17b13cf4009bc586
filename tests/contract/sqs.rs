//! What AWS documents of SQS, asked of the emulator through the official SDK. Facts that take minutes to see are tested at the
//! emulator's queue itself, with the time as an argument.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "sqs/bench.rs"]
mod bench;
#[path = "sqs/clock.rs"]
mod clock;
mod cloud;
#[path = "sqs/dead_letters.rs"]
mod dead_letters;
#[path = "sqs/faults.rs"]
mod faults;
#[path = "sqs/fifo.rs"]
mod fifo;
#[path = "sqs/messages.rs"]
mod messages;
#[path = "sqs/moves.rs"]
mod moves;
#[path = "sqs/queues.rs"]
mod queues;
#[path = "sqs/witness.rs"]
mod witness;
