//! The body of a request: read within its limit, and unpacked where a client packed it with gzip.

use std::{io::Read as _, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes, to_bytes},
    http::{HeaderMap, header},
};
use flate2::read::MultiGzDecoder;
use futures::StreamExt as _;
use tokio::sync::Semaphore;

use crate::error::AwsError;

/// How long a client may take for the body of a request.
const WITHIN: Duration = Duration::from_mins(1);

/// Of a body that is too long so many bytes are read and dropped: most clients listen for the answer only when they have sent it all.
const DROPPED: usize = 128 * 1024 * 1024;

/// Mebibytes that all bodies together may take while they are read; the next ones wait.
const AT_ONCE: usize = 512;

/// Room for the bodies that are being read, in mebibytes. Clones are the same room.
#[derive(Clone)]
pub struct Room(Arc<Semaphore>);

impl Default for Room {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

/// Reads at most `most` bytes.
pub(super) async fn read(
    room: &Room,
    headers: &HeaderMap,
    body: Body,
    most: usize,
) -> Result<Bytes, AwsError> {
    let declared = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok());
    let read = async {
        if declared.is_some_and(|length: usize| length > most) {
            let mut parts = body.into_data_stream();
            let mut dropped = 0;
            while let Some(Ok(part)) = parts.next().await
                && dropped < DROPPED
            {
                dropped += part.len();
            }
            return Err(too_long(most));
        }
        let mebibytes = declared.unwrap_or(most) / (1024 * 1024);
        let mebibytes = u32::try_from(mebibytes).unwrap_or(u32::MAX);
        // It is never closed. Small bodies need no room.
        let _taken = room.0.acquire_many(mebibytes).await;
        // What fails here is a connection that broke, and then nobody reads the answer.
        to_bytes(body, most).await.map_err(|_| too_long(most))
    };
    let read = tokio::time::timeout(WITHIN, read).await;
    read.map_err(|_| {
        let message = format!(
            "The body did not arrive within {} s. Send the request again.",
            WITHIN.as_secs()
        );
        AwsError::new(408, "RequestTimeout", message)
    })?
}

/// The body as it was before `Content-Encoding: gzip`, at most `most` bytes of it. AWS SDKs pack large requests by
/// themselves ("AWS SDKs and Tools Reference Guide: Request compression").
pub(super) fn unpacked(headers: &HeaderMap, body: Bytes, most: usize) -> Result<Bytes, AwsError> {
    let packed = headers
        .get(header::CONTENT_ENCODING)
        .is_some_and(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"gzip"));
    if !packed {
        return Ok(body);
    }
    let mut plain = Vec::new();
    // One byte more tells a body that is too long from one that just fits.
    let bounded = u64::try_from(most).map_or(u64::MAX, |most| most.saturating_add(1));
    MultiGzDecoder::new(body.as_ref())
        .take(bounded)
        .read_to_end(&mut plain)
        .map_err(|error| {
            AwsError::new(
                400,
                "SerializationException",
                format!("The body is not the gzip that its Content-Encoding says: {error}"),
            )
        })?;
    if plain.len() > most {
        return Err(too_long(most));
    }
    Ok(plain.into())
}

fn too_long(most: usize) -> AwsError {
    let message = format!(
        "The body is longer than the {most} bytes that patterns-local reads here. Send less at a time."
    );
    AwsError::new(413, "RequestEntityTooLargeException", message)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Write as _;

    use axum::http::HeaderValue;
    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut packer = GzEncoder::new(Vec::new(), Compression::best());
        packer.write_all(bytes).unwrap();
        packer.finish().unwrap()
    }

    fn outcome(body: Vec<u8>, most: usize) -> Result<Bytes, (u16, &'static str)> {
        let gzip = HeaderValue::from_static("gzip");
        let headers = HeaderMap::from_iter([(header::CONTENT_ENCODING, gzip)]);
        unpacked(&headers, body.into(), most).map_err(|error| (error.status, error.code))
    }

    #[test]
    fn what_was_packed_is_unpacked_up_to_the_limit() {
        assert_eq!(outcome(packed(b"12345"), 5).unwrap(), "12345");
        let two = [packed(b"12"), packed(b"345")].concat();
        assert_eq!(outcome(two, 5).unwrap(), "12345");
        let too_long = Err((413, "RequestEntityTooLargeException"));
        assert_eq!(outcome(packed(b"12345"), 4), too_long);
        assert_eq!(outcome(packed(&vec![0; 1 << 24]), 1 << 20), too_long);
    }

    #[test]
    fn what_is_not_gzip_is_refused() {
        let whole = packed(b"12345");
        let cut = whole.get(..whole.len() - 3).unwrap().to_vec();
        for body in [Vec::new(), b"{}".to_vec(), cut] {
            assert_eq!(outcome(body, 100), Err((400, "SerializationException")));
        }
        let plain = unpacked(&HeaderMap::new(), b"{}".as_slice().into(), 100);
        assert_eq!(plain.unwrap(), "{}");
    }
}
