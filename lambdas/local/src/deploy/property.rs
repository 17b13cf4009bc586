//! Reads a resource's properties, and complains about those that nobody read.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use super::error::Problem;
use super::yaml::{Entry, Node, Value};

/// The properties of one resource, or a mapping in them, after its references are resolved.
pub struct Properties<'a> {
    /// Whose they are, for messages: `CreateTask (AWS::Serverless::Function)`.
    owner: String,
    line: usize,
    entries: &'a [Entry],
    /// Names that were asked for, which is what is offered.
    offered: Vec<&'static str>,
}

impl<'a> Properties<'a> {
    /// Those in `node`, which must be a mapping.
    pub fn of(owner: String, node: &'a Node) -> Result<Self, Problem> {
        let entries = node.entries(&owner)?;
        Ok(Self {
            owner,
            line: node.line,
            entries,
            offered: Vec::new(),
        })
    }

    /// The line where they begin.
    pub fn line(&self) -> usize {
        self.line
    }

    fn take(&mut self, name: &'static str) -> Option<&'a Node> {
        self.offered.push(name);
        self.entries
            .iter()
            .find(|entry| entry.key == name)
            .map(|entry| &entry.value)
            .filter(|node| node.value != Value::Null)
    }

    /// Properties that are accepted, but make no difference here: of each that is given, `notes` says why.
    pub fn ignored(&mut self, names: &[(&'static str, &str)], notes: &mut BTreeSet<String>) {
        for (name, why) in names {
            if self.take(name).is_some() {
                notes.insert(format!("{name}: {why}"));
            }
        }
    }

    /// A text, if given.
    pub fn text(&mut self, name: &'static str) -> Result<Option<&'a str>, Problem> {
        let Some(node) = self.take(name) else {
            return Ok(None);
        };
        match &node.value {
            Value::Text(text) => Ok(Some(text)),
            _ => Err(self.wrong(node.line, name, "a text")),
        }
    }

    /// A text that must be given.
    pub fn required(&mut self, name: &'static str) -> Result<&'a str, Problem> {
        let line = self.line;
        self.text(name)?
            .ok_or_else(|| Problem::new(line, format!("{} lacks {name}", self.owner)))
    }

    /// A number or a truth value, if given.
    pub fn parsed<T: FromStr>(
        &mut self,
        name: &'static str,
        kind: &str,
    ) -> Result<Option<T>, Problem> {
        let Some(node) = self.take(name) else {
            return Ok(None);
        };
        match &node.value {
            Value::Text(text) => text
                .parse()
                .map(Some)
                .map_err(|_| self.wrong(node.line, name, kind)),
            _ => Err(self.wrong(node.line, name, kind)),
        }
    }

    /// A mapping, if given.
    pub fn nested(&mut self, name: &'static str) -> Result<Option<Properties<'a>>, Problem> {
        let owner = format!("{} {name}", self.owner);
        self.take(name)
            .map(|node| Properties::of(owner, node))
            .transpose()
    }

    /// A list, if given.
    pub fn list(&mut self, name: &'static str) -> Result<Option<&'a [Node]>, Problem> {
        let Some(node) = self.take(name) else {
            return Ok(None);
        };
        match &node.value {
            Value::List(items) => Ok(Some(items)),
            _ => Err(self.wrong(node.line, name, "a list")),
        }
    }

    /// Names and texts of the user's own choosing, such as tags; none if not given.
    pub fn texts(&mut self, name: &'static str) -> Result<BTreeMap<String, String>, Problem> {
        let Some(node) = self.take(name) else {
            return Ok(BTreeMap::new());
        };
        let what = format!("{name} of {}", self.owner);
        node.entries(&what)?
            .iter()
            .map(|entry| match &entry.value.value {
                Value::Text(text) => Ok((entry.key.clone(), text.clone())),
                _ => Err(Problem::new(
                    entry.value.line,
                    format!("{} in {what} must be a text", entry.key),
                )),
            })
            .collect()
    }

    /// Mappings under names of the user's own choosing, such as events.
    pub fn named(&mut self, name: &'static str) -> Result<Vec<Properties<'a>>, Problem> {
        let Some(node) = self.take(name) else {
            return Ok(Vec::new());
        };
        let what = format!("{name} of {}", self.owner);
        node.entries(&what)?
            .iter()
            .map(|entry| Properties::of(format!("{} in {what}", entry.key), &entry.value))
            .collect()
    }

    /// Complains about a property that is not offered.
    pub fn finish(self) -> Result<(), Problem> {
        match self
            .entries
            .iter()
            .find(|entry| !self.offered.contains(&entry.key.as_str()))
        {
            None => Ok(()),
            Some(entry) => Err(Problem::new(
                entry.line,
                format!(
                    "{} has the property {}, which is not offered here; offered are {}",
                    self.owner,
                    entry.key,
                    self.offered.join(", ")
                ),
            )),
        }
    }

    /// A value that is given but not what it should be.
    pub fn wrong(&self, line: usize, name: &str, kind: &str) -> Problem {
        Problem::new(line, format!("{name} of {} must be {kind}", self.owner))
    }
}

/// A value as JSON, for properties that pass to a service as they are. Numbers and truth values are recognised by their look.
pub fn json(node: &Node) -> serde_json::Value {
    match &node.value {
        Value::Null | Value::Call(..) => serde_json::Value::Null,
        Value::Text(text) => match (text.as_str(), text.parse::<i64>()) {
            ("true", _) => true.into(),
            ("false", _) => false.into(),
            (_, Ok(number)) => number.into(),
            (text, Err(_)) => text.into(),
        },
        Value::List(items) => items.iter().map(json).collect(),
        Value::Map(entries) => entries
            .iter()
            .map(|entry| (entry.key.clone(), json(&entry.value)))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::deploy::yaml::parse;

    #[test]
    fn an_unread_property_is_refused_with_its_line_and_what_is_offered() {
        let node = parse("Known: 1\nOther: 2\n").unwrap();
        let mut properties = Properties::of("Queue (AWS::SQS::Queue)".to_owned(), &node).unwrap();
        assert_eq!(
            properties.parsed::<u32>("Known", "a number").unwrap(),
            Some(1)
        );
        assert_eq!(properties.text("Missing").unwrap(), None);
        let problem = properties.finish().unwrap_err();
        assert_eq!(
            problem,
            Problem::new(
                2,
                "Queue (AWS::SQS::Queue) has the property Other, which is not offered here; offered are Known, Missing"
            )
        );
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_refused() {
        let node = parse("N: x\nT: [1]\n").unwrap();
        let mut properties = Properties::of("R".to_owned(), &node).unwrap();
        let problem = properties.parsed::<u32>("N", "a number").unwrap_err();
        assert_eq!(problem, Problem::new(1, "N of R must be a number"));
        assert_eq!(properties.text("T").unwrap_err().line, 2);
        assert_eq!(properties.required("Z").unwrap_err().text, "R lacks Z");
    }
}
