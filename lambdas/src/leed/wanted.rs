//! A leed as its seller describes it: the body of `POST /leeds`. Unknown keys are ignored.

use jiff::Timestamp;
use jiff::civil::Date;
use patterns_core::task::InvalidField;
use serde::Deserialize;

use super::{Leed, Status};
use crate::http::Refusal;
use crate::subscription::{field, person, required, trade};

/// A place has 1 to this many characters.
const PLACE_MAX: usize = 200;

/// A detail has at most this many characters.
const DETAIL_MAX: usize = 1000;

/// The body. What is left out is told apart from what is wrong.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Wanted {
    trade: Option<String>,
    date: Option<String>,
    place: Option<String>,
    seller: Option<String>,
    detail: Option<String>,
}

impl Wanted {
    /// The leed that it describes, without its own id. All that is wrong is told at once.
    pub fn accept(self, now: Timestamp) -> Result<Leed, Refusal> {
        let mut invalid = Vec::new();
        let trade = trade("trade", self.trade, &mut invalid);
        let date = date(self.date, &mut invalid);
        let place = place(self.place, &mut invalid);
        let seller = person("seller", self.seller, &mut invalid);
        let detail = self.detail;
        if detail
            .as_ref()
            .is_some_and(|detail| detail.chars().count() > DETAIL_MAX)
        {
            let message = format!("must not exceed {DETAIL_MAX} characters");
            invalid.push(field("detail", message));
        }
        match (trade, date, place, seller) {
            (Some(trade), Some(date), Some(place), Some(seller)) if invalid.is_empty() => {
                Ok(Leed {
                    id: String::new(),
                    trade,
                    date,
                    place,
                    seller,
                    detail,
                    status: Status::Open,
                    buyer: None,
                    created_at: now,
                    sold_at: None,
                })
            }
            _ => Err(Refusal::Invalid(invalid)),
        }
    }
}

fn date(value: Option<String>, invalid: &mut Vec<InvalidField>) -> Option<Date> {
    let text = required("date", value, invalid)?;
    // jiff takes a time after the day, too, and would drop it without a word.
    let date = text
        .parse()
        .ok()
        .filter(|_| text.len() == "2026-12-31".len());
    if date.is_none() {
        let message = "must be a day such as 2026-12-31".to_owned();
        invalid.push(field("date", message));
    }
    date
}

fn place(value: Option<String>, invalid: &mut Vec<InvalidField>) -> Option<String> {
    let place = required("place", value, invalid)?;
    if place.chars().count() <= PLACE_MAX && !place.contains(char::is_control) {
        return Some(place);
    }
    let message = format!("must have 1 to {PLACE_MAX} characters and no control characters");
    invalid.push(field("place", message));
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use serde_json::{Value, json};

    use super::*;

    fn accept(change: &Value) -> Result<Leed, String> {
        let mut body =
            json!({"trade": "clowns", "date": "2026-12-31", "place": "Berlin", "seller": "ada"});
        for (name, value) in change.as_object().unwrap() {
            body[name] = value.clone();
        }
        let wanted: Wanted = serde_json::from_value(body).unwrap();
        let accepted = wanted.accept(Timestamp::UNIX_EPOCH);
        accepted.map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn a_leed_is_open_when_it_is_offered() {
        let leed =
            accept(&json!({"trade": "Clowns", "buyer": "mallory", "status": "sold"})).unwrap();
        assert_eq!(leed.trade.to_string(), "clowns");
        assert_eq!(leed.status, Status::Open);
        assert_eq!(leed.buyer, None, "what a caller cannot decide is ignored");
    }

    #[test]
    fn each_field_that_is_missing_or_wrong_is_named() {
        for name in ["trade", "date", "place", "seller"] {
            for nothing in [json!(null), json!(""), json!(" ")] {
                let wrong = accept(&json!({name: nothing})).unwrap_err();
                assert_eq!(wrong, format!("Validation failed: {name}: is required"));
            }
        }
        for (name, value) in [
            ("trade", json!("x".repeat(51))),
            ("date", json!("2026-02-30")),
            ("date", json!("tomorrow")),
            ("date", json!("2026-12-31T10:00:00")),
            ("place", json!("x".repeat(201))),
            ("place", json!("a\u{0}b")),
            ("seller", json!("two words")),
            ("detail", json!("x".repeat(1001))),
        ] {
            let wrong = accept(&json!({name: value})).unwrap_err();
            let begin = format!("Validation failed: {name}: must ");
            assert!(wrong.starts_with(&begin), "{wrong}");
        }
    }
}
