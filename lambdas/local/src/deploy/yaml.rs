//! YAML with `CloudFormation`'s short tags, as a tree that knows its lines. A scalar is text, as in `CloudFormation`: the property that
//! reads it says what it should be.

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, StrInput, Tag};

use super::error::Problem;

/// A value and the line where it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Counted from 1.
    pub line: usize,
    /// The value.
    pub value: Value,
}

/// What can stand in a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Nothing.
    Null,
    /// Any scalar.
    Text(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in the order of the file.
    Map(Vec<Entry>),
    /// An intrinsic function without `Fn::`, and its argument.
    Call(String, Box<Node>),
}

/// One key of a mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Line of the key.
    pub line: usize,
    /// The key.
    pub key: String,
    /// Its value.
    pub value: Node,
}

impl Node {
    /// The mapping's entries, or what is wrong; `what` names the value.
    pub fn entries(&self, what: &str) -> Result<&[Entry], Problem> {
        match &self.value {
            Value::Map(entries) => Ok(entries),
            _ => Err(Problem::new(self.line, format!("{what} must be a mapping"))),
        }
    }

    /// The value under `key`, if this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Map(entries) => entries
                .iter()
                .find(|entry| entry.key == key)
                .map(|entry| &entry.value),
            _ => None,
        }
    }
}

/// So deep may a template be nested: its tree is walked by recursion.
const MAX_DEPTH: usize = 64;

/// The one document of `text`.
pub fn parse(text: &str) -> Result<Node, Problem> {
    let mut reader = Reader {
        parser: Parser::new_from_str(text),
    };
    loop {
        match reader.next()? {
            (Event::StreamStart | Event::DocumentStart(_) | Event::Nothing, _) => {}
            (Event::StreamEnd | Event::DocumentEnd, mark) => {
                return Err(Problem::new(mark.line(), "the template is empty"));
            }
            event => return reader.node(event, 0),
        }
    }
}

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Marker), Problem> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, span.start)),
            Some(Err(error)) => Err(Problem::new(error.marker().line(), error.info())),
            None => Err(Problem::new(
                1,
                "the template ends in the middle of a value",
            )),
        }
    }

    fn node(&mut self, (event, mark): (Event<'a>, Marker), depth: usize) -> Result<Node, Problem> {
        let line = mark.line();
        if depth > MAX_DEPTH {
            let text = format!("values are nested more than {MAX_DEPTH} deep");
            return Err(Problem::new(line, text));
        }
        let (value, tag) = match event {
            Event::Scalar(text, style, _, tag) => {
                let is_null =
                    style == ScalarStyle::Plain && matches!(text.as_ref(), "" | "~" | "null");
                let value = if is_null {
                    Value::Null
                } else {
                    Value::Text(text.into_owned())
                };
                (value, tag)
            }
            Event::SequenceStart(_, tag) => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, _) => break,
                        event => items.push(self.node(event, depth + 1)?),
                    }
                }
                (Value::List(items), tag)
            }
            Event::MappingStart(_, tag) => (self.mapping(depth)?, tag),
            _ => {
                return Err(Problem::new(
                    line,
                    "aliases (`*name`) are not offered: write the value out",
                ));
            }
        };
        let node = Node { line, value };
        match tag.as_deref().and_then(function_of_tag) {
            Some(function) => Ok(call(line, function, node)),
            None => Ok(long_form(node)),
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Value, Problem> {
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let (event, mark) = self.next()?;
            let line = mark.line();
            let key = match event {
                Event::MappingEnd => return Ok(Value::Map(entries)),
                Event::Scalar(key, ..) => key.into_owned(),
                _ => return Err(Problem::new(line, "a key must be text")),
            };
            if entries.iter().any(|entry| entry.key == key) {
                return Err(Problem::new(line, format!("{key} is given twice")));
            }
            let event = self.next()?;
            let value = self.node(event, depth + 1)?;
            entries.push(Entry { line, key, value });
        }
    }
}

/// `!Ref`, `!Sub`; the tags of YAML itself (`!!str`) are none of ours.
fn function_of_tag(tag: &Tag) -> Option<&str> {
    (!tag.is_yaml_core_schema()).then_some(tag.suffix.as_str())
}

fn call(line: usize, function: &str, argument: Node) -> Node {
    Node {
        line,
        value: Value::Call(function.to_owned(), Box::new(argument)),
    }
}

/// `{Ref: X}` and `{Fn::Sub: …}` are the long forms of the tags.
fn long_form(node: Node) -> Node {
    let Value::Map(entries) = &node.value else {
        return node;
    };
    let [entry] = entries.as_slice() else {
        return node;
    };
    match entry.key.as_str() {
        "Ref" => call(node.line, "Ref", entry.value.clone()),
        key => match key.strip_prefix("Fn::") {
            Some(function) => call(node.line, function, entry.value.clone()),
            None => node,
        },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn text(line: usize, text: &str) -> Node {
        Node {
            line,
            value: Value::Text(text.to_owned()),
        }
    }

    #[test]
    fn short_and_long_forms_are_the_same_call() {
        let node =
            parse("a: !Ref X\nb: {Ref: X}\nc: !GetAtt Q.Arn\nd:\n  Fn::Sub: \"${X}\"\n").unwrap();
        let call = |line, name: &str, argument| {
            Value::Call(name.to_owned(), Box::new(text(line, argument)))
        };
        assert_eq!(node.get("a").unwrap().value, call(1, "Ref", "X"));
        assert_eq!(node.get("b").unwrap().value, call(2, "Ref", "X"));
        assert_eq!(node.get("c").unwrap().value, call(3, "GetAtt", "Q.Arn"));
        assert_eq!(node.get("d").unwrap().value, call(5, "Sub", "${X}"));
    }

    #[test]
    fn scalars_are_text_and_know_their_lines() {
        let node = parse("n: 256\nlist:\n  - true\n  - \"0\"\nnone:\n").unwrap();
        assert_eq!(node.get("n"), Some(&text(1, "256")));
        assert_eq!(
            node.get("list").unwrap().value,
            Value::List(vec![text(3, "true"), text(4, "0")])
        );
        assert_eq!(node.get("none").unwrap().value, Value::Null);
    }

    #[test]
    fn problems_name_their_line() {
        for (template, line, part) in [
            ("a: 1\na: 2\n", 2, "twice"),
            ("a:\n  - *x\n", 2, ""),
            ("", 1, "empty"),
            ("a: [1\n", 2, ""),
        ] {
            let problem = parse(template).unwrap_err();
            assert_eq!(problem.line, line, "{template:?}: {}", problem.text);
            assert!(problem.text.contains(part), "{}", problem.text);
        }
        let deep = "[".repeat(MAX_DEPTH + 2);
        assert!(parse(&deep).unwrap_err().text.contains("nested"));
    }
}
