//! Percent-encoding in paths and query strings.

/// Decodes `%41` to `A`; a stray `%` stays as it is. Bytes that are not UTF-8 become the replacement character.
#[must_use]
pub fn decode(text: &str) -> String {
    decode_bytes(text, false)
}

/// Name and value of each part of a query string, decoded, in order.
#[must_use]
pub fn query_pairs(query: &str) -> Vec<(String, String)> {
    query
        .split('&')
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (decode_bytes(name, true), decode_bytes(value, true))
        })
        .collect()
}

fn decode_bytes(text: &str, plus_is_space: bool) -> String {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let mut ahead = bytes.clone();
                let pair = ahead.next().and_then(hex).zip(ahead.next().and_then(hex));
                if let Some((high, low)) = pair {
                    decoded.push(high * 16 + low);
                    bytes = ahead;
                } else {
                    decoded.push(b'%');
                }
            }
            b'+' if plus_is_space => decoded.push(b' '),
            other => decoded.push(other),
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_paths_and_keeps_what_is_no_escape() {
        assert_eq!(decode("arn%3Aaws%3Alambda"), "arn:aws:lambda");
        assert_eq!(decode("100%+%zz"), "100%+%zz");
        assert_eq!(decode("%e4%bd%a0"), "你");
        assert_eq!(decode("%"), "%");
    }

    #[test]
    fn a_query_keeps_order_and_repeats() {
        let pairs = query_pairs("a=1&b=x+y&a=2&flag");
        let expected = [("a", "1"), ("b", "x y"), ("a", "2"), ("flag", "")];
        assert_eq!(
            pairs,
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }
}
