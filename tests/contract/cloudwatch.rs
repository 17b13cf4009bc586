//! What AWS documents of CloudWatch, asked of the emulator through the official SDK (CBOR) and by hand in the other protocols.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "cloudwatch/bench.rs"]
mod bench;
// No case here is left out anywhere.
#[allow(dead_code)]
mod cloud;
#[path = "cloudwatch/data.rs"]
mod data;
#[path = "cloudwatch/list.rs"]
mod list;
#[path = "cloudwatch/protocols.rs"]
mod protocols;
#[path = "cloudwatch/published.rs"]
mod published;
#[path = "cloudwatch/queues.rs"]
mod queues;
