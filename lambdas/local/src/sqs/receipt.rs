//! Receipt handles: opaque to clients, and enough for the queue to find the one receive they stand for.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{message::Ticket, refusal};
use crate::error::AwsError;

/// The handle of one receive. `incarnation` tells a queue from a later one of the same name.
pub(super) fn encode(queue: &str, incarnation: &str, ticket: Ticket) -> String {
    STANDARD.encode(format!(
        "{incarnation} {queue} {} {}",
        ticket.sequence, ticket.receive
    ))
}

/// Reads a handle that this queue gave out. A handle of an earlier queue of the same name stands for nothing.
pub(super) fn decode(
    handle: &str,
    queue: &str,
    incarnation: &str,
) -> Result<Option<Ticket>, AwsError> {
    let malformed = || refusal::invalid_receipt(handle);
    let text = STANDARD
        .decode(handle)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(malformed)?;
    let mut parts = text.split(' ');
    let (Some(of), Some(name), Some(sequence), Some(receive), None) = (
        parts.next(),
        parts.next(),
        parts.next().and_then(|part| part.parse().ok()),
        parts.next().and_then(|part| part.parse().ok()),
        parts.next(),
    ) else {
        return Err(malformed());
    };
    if name != queue {
        return Err(malformed());
    }
    Ok((of == incarnation).then_some(Ticket { sequence, receive }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const TICKET: Ticket = Ticket {
        sequence: 7,
        receive: 9,
    };

    #[test]
    fn a_handle_stands_for_its_receive_in_its_queue_only() {
        let handle = encode("jobs", "one", TICKET);
        assert_eq!(decode(&handle, "jobs", "one").unwrap(), Some(TICKET));
        assert_eq!(decode(&handle, "jobs", "two").unwrap(), None);
        assert_eq!(
            decode(&handle, "other", "one").unwrap_err().code,
            "ReceiptHandleIsInvalid"
        );
    }

    #[test]
    fn nonsense_is_malformed() {
        for handle in [
            "",
            "x",
            "%%%",
            &STANDARD.encode("a jobs 1"),
            &STANDARD.encode("a jobs 1 2 3"),
            &STANDARD.encode([0xff, 0xfe]),
        ] {
            assert_eq!(
                decode(handle, "jobs", "a").unwrap_err().code,
                "ReceiptHandleIsInvalid",
                "{handle}"
            );
        }
    }
}
