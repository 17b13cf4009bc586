//! AWS on one machine: real protocols on loopback, for clients that believe they talk to AWS.
//!
//! One [`listener`] on 127.0.0.1 takes every request to the [`front`]; the [`door`] refuses what a web page could send; each
//! service is a module of its own and knows nothing of HTTP routing. All go by one [`clock`]. For tests there are [`faults`]
//! and a [`witness`], steered on a path of their own ([`admin`]). This library imports no other crate of the product.

pub mod account;
pub mod admin;
pub mod clock;
pub mod cloudwatch;
pub mod deploy;
pub mod door;
pub mod dynamodb;
pub mod error;
pub mod faults;
pub mod front;
pub mod http_api;
pub mod lambda;
pub mod listener;
mod local;
pub mod logs;
mod percent;
pub mod process;
pub mod route;
pub mod sqs;
pub mod state;
pub mod sts;
pub mod witness;
pub mod xml;

pub use self::local::{Local, Options, StartError};
