//! What the Lambda runtime calls for each event. It is made apart from being run, so that it can also be called without a network.

use std::fmt::Debug;

use lambda_runtime::{Diagnostic, LambdaEvent, Service};
use serde::Serialize;

/// A function that takes events which are read as `A`.
pub trait Function<A>:
    Service<LambdaEvent<A>, Response: Serialize, Error: Into<Diagnostic> + Debug>
{
}

impl<A, S> Function<A> for S where
    S: Service<LambdaEvent<A>, Response: Serialize, Error: Into<Diagnostic> + Debug>
{
}
