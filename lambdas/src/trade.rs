//! A trade: what leeds are about and what people subscribe to, written in one way however somebody types it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A trade has 1 to this many characters.
const MAX: usize = 50;

/// The name of a trade in lower case, with single spaces between its words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Trade(String);

/// Why a text is no trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must have 1 to {MAX} characters and no control characters")]
pub struct NoTrade;

impl TryFrom<String> for Trade {
    type Error = NoTrade;

    fn try_from(text: String) -> Result<Self, NoTrade> {
        let name = plain(&text);
        let fits = (1..=MAX).contains(&name.chars().count()) && !name.contains(char::is_control);
        fits.then_some(Self(name)).ok_or(NoTrade)
    }
}

impl fmt::Display for Trade {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// `text` in lower case, with single spaces between its words: the same for all who mean the same.
#[must_use]
pub fn plain(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    words.join(" ").to_lowercase()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn trade(text: &str) -> Result<String, NoTrade> {
        Trade::try_from(text.to_owned()).map(|trade| trade.to_string())
    }

    #[test]
    fn a_trade_is_the_same_however_it_is_typed() {
        assert_eq!(trade("  Face   Painting ").unwrap(), "face painting");
        assert_eq!(trade("CAFÉ").unwrap(), "café");
    }

    #[test]
    fn nothing_much_and_controls_are_no_trade() {
        for bad in ["", "  ", "a\u{7}b", &"x".repeat(51)] {
            assert_eq!(trade(bad), Err(NoTrade), "{bad:?}");
        }
    }
}
