//! Filter patterns and their rules (AWS Lambda developer guide, "Filter rule syntax"; the rules are those of Amazon `EventBridge`, user
//! guide, "Comparison operators").

use serde_json::{Map, Value};

/// What must hold of an object: of each named field, and of one of the alternatives.
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern {
    fields: Vec<(String, Expected)>,
    /// `$or`.
    alternatives: Vec<Pattern>,
}

#[derive(Clone, Debug, PartialEq)]
enum Expected {
    Object(Pattern),
    /// One of them holds.
    Any(Vec<Rule>),
}

#[derive(Clone, Debug, PartialEq)]
enum Rule {
    Equals(Value),
    IgnoringCase(String),
    Prefix(String),
    Suffix(String),
    Exists(bool),
    AnythingBut(Vec<Rule>),
    Numeric(Vec<(Comparison, f64)>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Comparison {
    Equal,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

impl Pattern {
    /// Reads an object of a pattern, or says what is wrong with it.
    pub fn read(given: &Map<String, Value>) -> Result<Self, String> {
        if given.is_empty() {
            return Err("an object in it is empty".to_owned());
        }
        let mut pattern = Self {
            fields: Vec::new(),
            alternatives: Vec::new(),
        };
        for (name, value) in given {
            match value {
                Value::Array(items) if name == "$or" => {
                    pattern.alternatives = items.iter().map(object).collect::<Result<_, _>>()?;
                }
                Value::Object(nested) => {
                    let nested = Expected::Object(Self::read(nested)?);
                    pattern.fields.push((name.clone(), nested));
                }
                Value::Array(items) if !items.is_empty() => {
                    let rules = items.iter().map(Rule::read).collect::<Result<_, _>>()?;
                    pattern.fields.push((name.clone(), Expected::Any(rules)));
                }
                _ => return Err(format!("{name} must be an object, or a list of rules")),
            }
        }
        Ok(pattern)
    }

    /// Whether it holds of `object`.
    pub fn matches(&self, object: &Map<String, Value>) -> bool {
        let fields = self.fields.iter().all(|(name, expected)| {
            let value = object.get(name);
            match expected {
                Expected::Object(pattern) => pattern.matches_value(value),
                Expected::Any(rules) => rules.iter().any(|rule| rule.holds(value)),
            }
        });
        fields
            && (self.alternatives.is_empty()
                || self.alternatives.iter().any(|one| one.matches(object)))
    }

    /// A field that is absent is an object without fields, of which `exists: false` holds; of a list one element is enough.
    fn matches_value(&self, value: Option<&Value>) -> bool {
        match value {
            Some(Value::Object(object)) => self.matches(object),
            Some(Value::Array(items)) => items.iter().any(|item| self.matches_value(Some(item))),
            Some(_) => false,
            None => self.matches(&Map::new()),
        }
    }
}

fn object(value: &Value) -> Result<Pattern, String> {
    match value {
        Value::Object(fields) => Pattern::read(fields),
        _ => Err("$or must be a list of objects".to_owned()),
    }
}

impl Rule {
    fn read(given: &Value) -> Result<Self, String> {
        let object = match given {
            Value::Object(object) => object,
            Value::Array(_) => return Err(format!("{given} is no rule")),
            plain => return Ok(Self::Equals(plain.clone())),
        };
        let mut entries = object.iter();
        let (Some((name, value)), None) = (entries.next(), entries.next()) else {
            return Err(format!("{given} must name one rule"));
        };
        match (name.as_str(), value) {
            ("prefix", Value::String(text)) => Ok(Self::Prefix(text.clone())),
            ("suffix", Value::String(text)) => Ok(Self::Suffix(text.clone())),
            ("equals-ignore-case", Value::String(text)) => {
                Ok(Self::IgnoringCase(text.to_lowercase()))
            }
            ("exists", Value::Bool(wanted)) => Ok(Self::Exists(*wanted)),
            ("anything-but", Value::Array(values)) if !values.is_empty() => {
                let rules = values.iter().map(Self::read_excluded);
                Ok(Self::AnythingBut(rules.collect::<Result<_, _>>()?))
            }
            ("anything-but", value) => Ok(Self::AnythingBut(vec![Self::read_excluded(value)?])),
            ("numeric", Value::Array(parts)) => comparisons(parts).map(Self::Numeric),
            _ => Err(format!("{given} is no rule")),
        }
    }

    /// What `anything-but` may exclude: texts, numbers, a prefix, a suffix.
    fn read_excluded(given: &Value) -> Result<Self, String> {
        match Self::read(given)? {
            rule @ (Self::Prefix(_) | Self::Suffix(_) | Self::IgnoringCase(_)) => Ok(rule),
            Self::Equals(value) if value.is_string() || value.is_number() => {
                Ok(Self::Equals(value))
            }
            _ => Err(format!("anything-but cannot exclude {given}")),
        }
    }

    /// Of a list one element is enough, except that `anything-but` must hold of all.
    fn holds(&self, value: Option<&Value>) -> bool {
        match (self, value) {
            // Only of leaves (EventBridge user guide, "Exists matching").
            (Self::Exists(wanted), value) => {
                value.is_some_and(|value| !value.is_object()) == *wanted
            }
            (_, None | Some(Value::Object(_))) => false,
            (Self::AnythingBut(_), Some(Value::Array(items))) => {
                items.iter().all(|item| self.holds(Some(item)))
            }
            (_, Some(Value::Array(items))) => items.iter().any(|item| self.holds(Some(item))),
            (_, Some(leaf)) => self.holds_of(leaf),
        }
    }

    fn holds_of(&self, leaf: &Value) -> bool {
        let text = leaf.as_str();
        match self {
            // 300, 300.0 and 3.0e2 are one number (AWS Lambda developer guide, "Filter rule syntax", writes them so).
            Self::Equals(Value::Number(expected)) => leaf
                .as_f64()
                .zip(expected.as_f64())
                .is_some_and(|(left, right)| left.total_cmp(&right).is_eq()),
            Self::Equals(expected) => leaf == expected,
            Self::IgnoringCase(expected) => {
                text.is_some_and(|text| text.to_lowercase() == *expected)
            }
            Self::Prefix(start) => text.is_some_and(|text| text.starts_with(start)),
            Self::Suffix(end) => text.is_some_and(|text| text.ends_with(end)),
            Self::Exists(wanted) => *wanted,
            Self::AnythingBut(excluded) => !excluded.iter().any(|rule| rule.holds_of(leaf)),
            Self::Numeric(comparisons) => leaf.as_f64().is_some_and(|number| {
                comparisons
                    .iter()
                    .all(|(comparison, bound)| comparison.holds(number, *bound))
            }),
        }
    }
}

impl Comparison {
    fn holds(self, number: f64, bound: f64) -> bool {
        let order = number.total_cmp(&bound);
        match self {
            Self::Equal => order.is_eq(),
            Self::Less => order.is_lt(),
            Self::AtMost => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::AtLeast => order.is_ge(),
        }
    }
}

/// `["=", 1]`, or one or two bounds as in `[">", 0, "<=", 5]`.
fn comparisons(parts: &[Value]) -> Result<Vec<(Comparison, f64)>, String> {
    let pairs = parts.chunks(2).map(|pair| {
        let [Value::String(sign), Value::Number(bound)] = pair else {
            return None;
        };
        let comparison = match sign.as_str() {
            "=" => Comparison::Equal,
            "<" => Comparison::Less,
            "<=" => Comparison::AtMost,
            ">" => Comparison::Greater,
            ">=" => Comparison::AtLeast,
            _ => return None,
        };
        Some((comparison, bound.as_f64()?))
    });
    match pairs.collect::<Option<Vec<_>>>() {
        Some(pairs) if (1..=2).contains(&pairs.len()) => Ok(pairs),
        _ => Err("numeric takes one or two comparisons such as [\">\", 0, \"<=\", 5]".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    fn matches(pattern: &Value, event: &Value) -> bool {
        let pattern = Pattern::read(pattern.as_object().unwrap()).unwrap();
        pattern.matches(event.as_object().unwrap())
    }

    #[test]
    fn each_rule_of_the_guide_holds_where_it_says() {
        for (rules, yes, no) in [
            (json!([null]), json!(null), json!("")),
            (json!([""]), json!(""), json!(null)),
            (json!(["Alice"]), json!("Alice"), json!("alice")),
            (
                json!([{"equals-ignore-case": "Alice"}]),
                json!("aLICE"),
                json!("Bob"),
            ),
            (
                json!(["New York", "Chicago"]),
                json!("Chicago"),
                json!("Boston"),
            ),
            (
                json!([{"anything-but": ["Raining"]}]),
                json!("Sunny"),
                json!("Raining"),
            ),
            (
                json!([{"anything-but": "Raining"}]),
                json!(7),
                json!("Raining"),
            ),
            (
                json!([{"anything-but": {"prefix": "R"}}]),
                json!("Sun"),
                json!("Rain"),
            ),
            (json!([{"numeric": ["=", 100]}]), json!(1.0e2), json!("100")),
            (
                json!([{"numeric": [">", 10, "<=", 20]}]),
                json!(20),
                json!(10),
            ),
            (json!([{"numeric": ["<", 5]}]), json!(-1), json!(5)),
            (
                json!([{"prefix": "us-"}]),
                json!("us-east-1"),
                json!("eu-us-"),
            ),
            (
                json!([{"suffix": ".png"}]),
                json!("a.png"),
                json!("a.png.txt"),
            ),
            (json!([true]), json!(true), json!("true")),
            (json!([5]), json!(5.0), json!(6)),
            (json!([{"exists": true}]), json!(null), json!({"a": 1})),
            (json!(["a"]), json!(["b", "a"]), json!(["b"])),
            (
                json!([{"anything-but": ["a"]}]),
                json!(["b", "c"]),
                json!(["b", "a"]),
            ),
        ] {
            let pattern = json!({ "f": rules });
            assert!(matches(&pattern, &json!({ "f": yes })), "{pattern} {yes}");
            assert!(!matches(&pattern, &json!({ "f": no })), "{pattern} {no}");
        }
    }

    #[test]
    fn an_absent_field_does_not_exist_and_is_nothing_else() {
        assert!(matches(&json!({"f": [{"exists": false}]}), &json!({})));
        assert!(matches(
            &json!({"f": {"g": [{"exists": false}]}}),
            &json!({})
        ));
        for rule in [
            json!("x"),
            json!({"exists": true}),
            json!({"anything-but": ["x"]}),
        ] {
            assert!(!matches(&json!({"f": [rule]}), &json!({})), "{rule}");
        }
    }

    #[test]
    fn fields_are_a_conjunction_and_or_its_opposite() {
        let both = json!({"a": ["x"], "b": {"c": ["y"]}});
        assert!(matches(&both, &json!({"a": "x", "b": {"c": "y"}, "d": 1})));
        assert!(!matches(&both, &json!({"a": "x", "b": {"c": "z"}})));
        let either = json!({"$or": [{"a": ["x"]}, {"b": [{"numeric": [">", 1]}]}], "c": [1]});
        assert!(matches(&either, &json!({"a": "q", "b": 2, "c": 1})));
        assert!(!matches(&either, &json!({"a": "q", "b": 1, "c": 1})));
        assert!(!matches(&either, &json!({"a": "x", "b": 2, "c": 2})));
    }

    #[test]
    fn refuses_what_is_no_rule() {
        for given in [
            json!({}),
            json!({"f": []}),
            json!({"f": "x"}),
            json!({"f": {}}),
            json!({"f": [["x"]]}),
            json!({"f": [{"like": "x"}]}),
            json!({"f": [{"prefix": 1}]}),
            json!({"f": [{"prefix": "a", "suffix": "b"}]}),
            json!({"f": [{"numeric": []}]}),
            json!({"f": [{"numeric": ["~", 1]}]}),
            json!({"f": [{"numeric": [">"]}]}),
            json!({"f": [{"anything-but": [true]}]}),
            json!({"$or": ["x"]}),
        ] {
            assert!(
                Pattern::read(given.as_object().unwrap()).is_err(),
                "{given}"
            );
        }
    }
}
