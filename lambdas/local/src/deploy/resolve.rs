//! References: what a value depends on, and what it is once that is known
//! (`CloudFormation` user guide, "Intrinsic function reference" and "Pseudo parameters").

use std::collections::{BTreeMap, BTreeSet};

use super::error::Problem;
use super::yaml::{Entry, Node, Value};
use crate::account;

/// The intrinsic functions that a template may use.
const OFFERED: &str = "Ref, GetAtt, Sub and Join are offered";

/// The values that references stand for, by `Ref` name or by `Id.Attribute`.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    values: BTreeMap<String, String>,
}

impl Scope {
    /// The pseudo parameters of the stack `name`.
    pub fn of_stack(name: &str) -> Self {
        let mut scope = Self::default();
        for (name, value) in [
            ("AWS::StackName", name),
            ("AWS::Region", account::REGION),
            ("AWS::AccountId", account::ACCOUNT_ID),
            ("AWS::Partition", "aws"),
            ("AWS::URLSuffix", "amazonaws.com"),
        ] {
            scope.set(name, value);
        }
        scope
    }

    /// `name` is a `Ref` name or `Id.Attribute`.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.values.insert(name.to_owned(), value.into());
    }

    fn value(&self, line: usize, name: &str) -> Result<&str, Problem> {
        self.values.get(name).map(String::as_str).ok_or_else(|| {
            Problem::new(
                line,
                format!(
                    "{name} is no parameter, resource or attribute of a resource that is known here"
                ),
            )
        })
    }

    /// `node` without calls.
    pub fn resolve(&self, node: &Node) -> Result<Node, Problem> {
        let line = node.line;
        let value = match &node.value {
            Value::Null => Value::Null,
            Value::Text(text) => Value::Text(text.clone()),
            Value::List(items) => Value::List(
                items
                    .iter()
                    .map(|item| self.resolve(item))
                    .collect::<Result<_, _>>()?,
            ),
            Value::Map(entries) => Value::Map(
                entries
                    .iter()
                    .map(|entry| {
                        Ok(Entry {
                            line: entry.line,
                            key: entry.key.clone(),
                            value: self.resolve(&entry.value)?,
                        })
                    })
                    .collect::<Result<_, _>>()?,
            ),
            Value::Call(function, argument) => Value::Text(self.call(line, function, argument)?),
        };
        Ok(Node { line, value })
    }

    fn call(&self, line: usize, function: &str, argument: &Node) -> Result<String, Problem> {
        let mut resolved = String::new();
        for piece in pieces(line, function, argument)? {
            match piece {
                Piece::Text(text) => resolved.push_str(&text),
                Piece::Name(name) => resolved.push_str(self.value(line, &name)?),
            }
        }
        Ok(resolved)
    }
}

/// The logical ids and parameters that `node` refers to.
pub fn references(node: &Node) -> Result<BTreeSet<String>, Problem> {
    let mut found = BTreeSet::new();
    collect(node, &mut found)?;
    Ok(found)
}

fn collect(node: &Node, found: &mut BTreeSet<String>) -> Result<(), Problem> {
    match &node.value {
        Value::Null | Value::Text(_) => {}
        Value::List(items) => {
            for item in items {
                collect(item, found)?;
            }
        }
        Value::Map(entries) => {
            for entry in entries {
                collect(&entry.value, found)?;
            }
        }
        Value::Call(function, argument) => {
            for piece in pieces(node.line, function, argument)? {
                if let Piece::Name(name) = piece {
                    let id = name.split('.').next().unwrap_or_default();
                    found.insert(id.to_owned());
                }
            }
        }
    }
    Ok(())
}

/// A part of a call's result.
#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Name(String),
}

fn pieces(line: usize, function: &str, argument: &Node) -> Result<Vec<Piece>, Problem> {
    match (function, &argument.value) {
        ("Ref", Value::Text(name)) => Ok(vec![Piece::Name(name.clone())]),
        ("GetAtt", Value::Text(name)) if name.contains('.') => Ok(vec![Piece::Name(name.clone())]),
        ("GetAtt", Value::List(parts)) => match parts.as_slice() {
            [
                Node {
                    value: Value::Text(id),
                    ..
                },
                Node {
                    value: Value::Text(attribute),
                    ..
                },
            ] => Ok(vec![Piece::Name(format!("{id}.{attribute}"))]),
            _ => Err(Problem::new(
                line,
                "GetAtt takes a logical id and an attribute",
            )),
        },
        ("Sub", Value::Text(text)) => substitution(line, text),
        ("Join", Value::List(parts)) => joined(line, parts),
        ("Ref" | "GetAtt" | "Sub", _) => Err(Problem::new(
            line,
            format!(
                "{function} takes text here: `!Ref Id`, `!GetAtt Id.Attribute` or `!Sub \"… ${{Id}} …\"`"
            ),
        )),
        _ => Err(Problem::new(
            line,
            format!("the intrinsic function {function} is not offered here: {OFFERED}"),
        )),
    }
}

/// `[delimiter, [part, …]]`.
fn joined(line: usize, arguments: &[Node]) -> Result<Vec<Piece>, Problem> {
    let [
        Node {
            value: Value::Text(delimiter),
            ..
        },
        Node {
            value: Value::List(parts),
            ..
        },
    ] = arguments
    else {
        let text = "Join takes a delimiter and a list: `!Join [\"-\", [a, !Ref B]]`";
        return Err(Problem::new(line, text));
    };
    let mut joined = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            joined.push(Piece::Text(delimiter.clone()));
        }
        match &part.value {
            Value::Text(text) => joined.push(Piece::Text(text.clone())),
            Value::Call(function, argument) => {
                joined.extend(pieces(part.line, function, argument)?);
            }
            _ => return Err(Problem::new(part.line, "Join joins texts")),
        }
    }
    Ok(joined)
}

/// `${Name}` is a reference, `${!Name}` the text `${Name}`.
fn substitution(line: usize, text: &str) -> Result<Vec<Piece>, Problem> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, remainder) = after
            .split_once('}')
            .ok_or_else(|| Problem::new(line, format!("`${{` without `}}` in {text:?}")))?;
        pieces.push(Piece::Text(before.to_owned()));
        pieces.push(match name.strip_prefix('!') {
            Some(literal) => Piece::Text(format!("${{{literal}}}")),
            None => Piece::Name(name.trim().to_owned()),
        });
        rest = remainder;
    }
    pieces.push(Piece::Text(rest.to_owned()));
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::deploy::yaml::parse;

    fn scope() -> Scope {
        let mut scope = Scope::of_stack("orders");
        scope.set("Queue", "http://q");
        scope.set("Queue.Arn", "arn:q");
        scope
    }

    fn resolved(text: &str) -> Result<String, Problem> {
        match scope().resolve(&parse(text).unwrap())?.value {
            Value::Text(text) => Ok(text),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn references_become_their_values() {
        assert_eq!(resolved("!Ref Queue").unwrap(), "http://q");
        assert_eq!(resolved("!GetAtt Queue.Arn").unwrap(), "arn:q");
        assert_eq!(resolved("{Fn::GetAtt: [Queue, Arn]}").unwrap(), "arn:q");
        assert_eq!(
            resolved("!Sub \"${AWS::StackName}-${Queue.Arn}-${!Literal}\"").unwrap(),
            "orders-arn:q-${Literal}"
        );
        assert_eq!(
            resolved("!Join [':', [a, !GetAtt Queue.Arn, !Sub '${AWS::Region}']]").unwrap(),
            "a:arn:q:us-east-1"
        );
    }

    #[test]
    fn problems_name_what_is_unknown_and_what_is_offered() {
        for (template, part) in [
            ("!Ref Nobody", "Nobody"),
            ("!GetAtt Queue.Depth", "Queue.Depth"),
            (
                "!Select [0, [a]]",
                "Select is not offered here: Ref, GetAtt, Sub and Join",
            ),
            ("!Join [a, b]", "Join takes"),
            ("!Join [a, [!Ref Nobody]]", "Nobody"),
            ("!Sub \"${Queue\"", "without"),
            ("!GetAtt Queue", "GetAtt takes"),
        ] {
            let problem = resolved(template).unwrap_err();
            assert_eq!(problem.line, 1);
            assert!(problem.text.contains(part), "{}", problem.text);
        }
    }

    #[test]
    fn references_are_found_at_any_depth() {
        let node = parse("a: [!Ref X, {b: !Sub \"${Y.Arn}-${AWS::Region}\"}]").unwrap();
        let found: Vec<String> = references(&node).unwrap().into_iter().collect();
        assert_eq!(found, ["AWS::Region", "X", "Y"]);
    }
}
