//! What the witness is told of events: asynchronous invocations, from their acceptance to their end.

use md5::{Digest, Md5};
use serde::{Serialize, Serializer};

use super::Lambda;
use super::environment::Invocation;

#[derive(Serialize)]
struct Line<'a> {
    function: &'a str,
    request_id: &'a str,
    #[serde(flatten)]
    event: Told<'a>,
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum Told<'a> {
    /// With the sum by which an alteration shows.
    Accepted {
        /// Told as its hexadecimal MD5.
        #[serde(serialize_with = "md5")]
        payload: &'a [u8],
    },
    Succeeded,
    /// Given up, whether or not a record of it was kept.
    Dropped,
}

fn md5<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{:x}", Md5::digest(bytes)))
}

impl Lambda {
    pub(super) fn witness(&self, function: &str, invocation: &Invocation, event: Told<'_>) {
        let parts = &self.inner.parts;
        let line = Line {
            function,
            request_id: &invocation.request_id,
            event,
        };
        let now = parts.clock.now().as_millisecond();
        parts.witness.tell(now, &line);
    }
}
