//! The MD5 sums that the SDKs verify ("Amazon SQS message metadata: Calculating the MD5 message digest for message attributes").

use std::{collections::BTreeMap, fmt::Write as _};

use md5::{Digest, Md5};
use sha2::Sha256;

use super::message::MessageAttribute;

/// Hexadecimal MD5 of a body.
pub(super) fn of_body(body: &str) -> String {
    format!("{:x}", Md5::digest(body.as_bytes()))
}

/// Hexadecimal SHA-256 of a body: what a FIFO queue with content-based deduplication takes for the deduplication id.
pub(super) fn deduplication_id(body: &str) -> String {
    let sum = <Sha256 as sha2::Digest>::digest(body.as_bytes());
    sum.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Hexadecimal MD5 of attributes, sorted by name; none for none.
pub(super) fn of_attributes<'a>(
    attributes: impl IntoIterator<Item = (&'a String, &'a MessageAttribute)>,
) -> Option<String> {
    const STRING: u8 = 1;
    const BINARY: u8 = 2;
    let sorted: BTreeMap<_, _> = attributes.into_iter().collect();
    if sorted.is_empty() {
        return None;
    }
    let mut digest = Md5::new();
    for (name, attribute) in sorted {
        part(&mut digest, name.as_bytes());
        part(&mut digest, attribute.data_type.as_bytes());
        if let Some(binary) = &attribute.binary_value {
            digest.update([BINARY]);
            part(&mut digest, binary);
        } else {
            digest.update([STRING]);
            part(
                &mut digest,
                attribute
                    .string_value
                    .as_deref()
                    .unwrap_or_default()
                    .as_bytes(),
            );
        }
    }
    Some(format!("{:x}", digest.finalize()))
}

/// Length as four bytes, big-endian, then the bytes. Messages are at most 1 MiB, so the length always fits.
fn part(digest: &mut Md5, bytes: &[u8]) {
    digest.update(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    digest.update(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(data_type: &str, value: &str) -> MessageAttribute {
        MessageAttribute {
            data_type: data_type.to_owned(),
            string_value: Some(value.to_owned()),
            binary_value: None,
        }
    }

    // The expected sums were computed with Python's hashlib from the documented encoding.
    #[test]
    fn sums_agree_with_hashlib() {
        assert_eq!(of_body("hello"), "5d41402abc4b2a76b9719d911017c592");
        assert_eq!(
            deduplication_id("hello"),
            "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
        );
        let attributes = BTreeMap::from([
            ("Zeta".to_owned(), text("String", "é")),
            ("count".to_owned(), text("Number.int", "42")),
            (
                "Alpha".to_owned(),
                MessageAttribute {
                    data_type: "Binary".to_owned(),
                    string_value: None,
                    binary_value: Some(vec![0, 1, 255]),
                },
            ),
        ]);
        assert_eq!(
            of_attributes(&attributes).as_deref(),
            Some("a9e665730154abad56ed3f8fed342f9b")
        );
        assert_eq!(of_attributes(&BTreeMap::new()), None);
    }
}
