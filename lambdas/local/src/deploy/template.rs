//! A template's sections: parameters, defaults for functions, and resources in the order in which they can be created
//! (AWS SAM developer guide, "AWS SAM template anatomy").

use std::collections::BTreeSet;

use super::error::Problem;
use super::resolve::{self, Scope};
use super::yaml::{self, Entry, Node, Value};

/// The types that `Globals` has defaults for.
pub const FUNCTION: &str = "AWS::Serverless::Function";
/// See [`FUNCTION`].
pub const HTTP_API: &str = "AWS::Serverless::HttpApi";

/// What a template declares.
#[derive(Debug)]
pub struct Template {
    /// Pseudo parameters and parameters.
    pub scope: Scope,
    /// Each after all it refers to.
    pub resources: Vec<Declared>,
    /// Names and unresolved values.
    pub outputs: Vec<(String, Node)>,
}

/// One resource as it is written, with the defaults of `Globals`.
#[derive(Debug)]
pub struct Declared {
    /// Its logical id.
    pub id: String,
    /// Where it begins.
    pub line: usize,
    /// Such as `AWS::SQS::Queue`.
    pub kind: String,
    /// Unresolved.
    pub properties: Node,
    /// Logical ids that must exist before it.
    needs: BTreeSet<String>,
}

/// Reads `text` for the stack `stack`.
pub fn read(stack: &str, text: &str) -> Result<Template, Problem> {
    let root = yaml::parse(text)?;
    let mut scope = Scope::of_stack(stack);
    let mut parameters = BTreeSet::new();
    let mut globals = None;
    let mut resources = Vec::new();
    let mut outputs = Vec::new();
    for section in root.entries("the template")? {
        match section.key.as_str() {
            "AWSTemplateFormatVersion" | "Transform" | "Description" | "Metadata" => {}
            "Parameters" => {
                for entry in section.value.entries("Parameters")? {
                    scope.set(&entry.key, default(entry)?);
                    parameters.insert(entry.key.clone());
                }
            }
            "Globals" => {
                only(&section.value, "Globals", &["Function", "HttpApi"])?;
                globals = Some(&section.value);
            }
            "Resources" => resources = section.value.entries("Resources")?.to_vec(),
            "Outputs" => {
                for entry in section.value.entries("Outputs")? {
                    outputs.push((entry.key.clone(), output(entry)?));
                }
            }
            other => {
                return Err(Problem::new(
                    section.line,
                    format!(
                        "the section {other} is not offered here: Parameters, Globals, Resources and Outputs are"
                    ),
                ));
            }
        }
    }
    let declared = resources
        .into_iter()
        .map(|entry| declare(entry, globals))
        .collect::<Result<Vec<_>, _>>()?;
    check_references(&declared, &parameters)?;
    Ok(Template {
        scope,
        resources: ordered(declared)?,
        outputs,
    })
}

fn default(parameter: &Entry) -> Result<String, Problem> {
    let what = format!("the parameter {}", parameter.key);
    // What bounds a given value has nothing to bound: the default is all there is.
    let offered = [
        "Type",
        "Default",
        "Description",
        "AllowedPattern",
        "AllowedValues",
        "ConstraintDescription",
        "MaxLength",
        "MaxValue",
        "MinLength",
        "MinValue",
        "NoEcho",
    ];
    only(&parameter.value, &what, &offered)?;
    match parameter.value.get("Type") {
        Some(Node {
            value: Value::Text(kind),
            ..
        }) if matches!(kind.as_str(), "String" | "Number") => {}
        kind => {
            let line = kind.map_or(parameter.line, |node| node.line);
            let text = format!("the Type of {what} must be String or Number");
            return Err(Problem::new(line, text));
        }
    }
    match parameter.value.get("Default").map(|node| &node.value) {
        Some(Value::Text(text)) => Ok(text.clone()),
        _ => Err(Problem::new(
            parameter.line,
            format!("{what} has no Default, and there is nobody here to give it a value"),
        )),
    }
}

fn output(entry: &Entry) -> Result<Node, Problem> {
    let what = format!("the output {}", entry.key);
    only(&entry.value, &what, &["Value", "Description", "Export"])?;
    let value = entry.value.get("Value").cloned();
    value.ok_or_else(|| Problem::new(entry.line, format!("{what} lacks Value")))
}

fn declare(entry: Entry, globals: Option<&Node>) -> Result<Declared, Problem> {
    let what = format!("the resource {}", entry.key);
    // `Metadata` is for tools; the policies speak of a stack that is deleted, and here none is.
    let offered = [
        "Type",
        "Properties",
        "DependsOn",
        "Metadata",
        "DeletionPolicy",
        "UpdateReplacePolicy",
    ];
    only(&entry.value, &what, &offered)?;
    let Some(Value::Text(kind)) = entry.value.get("Type").map(|node| &node.value) else {
        return Err(Problem::new(entry.line, format!("{what} lacks Type")));
    };
    let own = entry.value.get("Properties").cloned().unwrap_or(Node {
        line: entry.line,
        value: Value::Map(Vec::new()),
    });
    let defaults = match kind.as_str() {
        FUNCTION => globals.and_then(|globals| globals.get("Function")),
        HTTP_API => globals.and_then(|globals| globals.get("HttpApi")),
        _ => None,
    };
    let properties = match defaults {
        Some(defaults) => merged(defaults, own),
        None => own,
    };
    let mut needs = resolve::references(&properties)?;
    if let Some(node) = entry.value.get("DependsOn") {
        let named = match &node.value {
            Value::List(items) => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        for node in named {
            match &node.value {
                Value::Text(id) => needs.insert(id.clone()),
                _ => return Err(Problem::new(node.line, "DependsOn takes logical ids")),
            };
        }
    }
    Ok(Declared {
        id: entry.key,
        line: entry.line,
        kind: kind.clone(),
        properties,
        needs,
    })
}

/// Mappings merge, lists add up, and in all else the resource's own value wins (AWS SAM developer guide, "Globals section").
fn merged(global: &Node, own: Node) -> Node {
    let value = match (&global.value, own.value) {
        (Value::Map(globals), Value::Map(mut entries)) => {
            for entry in globals {
                match entries.iter_mut().find(|other| other.key == entry.key) {
                    Some(other) => other.value = merged(&entry.value, other.value.clone()),
                    None => entries.push(entry.clone()),
                }
            }
            Value::Map(entries)
        }
        (Value::List(globals), Value::List(items)) => {
            Value::List(globals.iter().cloned().chain(items).collect())
        }
        (_, own) => own,
    };
    Node {
        line: own.line,
        value,
    }
}

/// Refuses a key of `node` that is not offered.
fn only(node: &Node, what: &str, offered: &[&str]) -> Result<(), Problem> {
    match node
        .entries(what)?
        .iter()
        .find(|entry| !offered.contains(&entry.key.as_str()))
    {
        None => Ok(()),
        Some(entry) => Err(Problem::new(
            entry.line,
            format!(
                "{what} has {}, which is not offered here; offered are {}",
                entry.key,
                offered.join(", ")
            ),
        )),
    }
}

fn check_references(declared: &[Declared], parameters: &BTreeSet<String>) -> Result<(), Problem> {
    let known = |name: &String| {
        name.starts_with("AWS::")
            || parameters.contains(name)
            || declared.iter().any(|other| other.id == *name)
    };
    for resource in declared {
        if let Some(name) = resource.needs.iter().find(|name| !known(name)) {
            return Err(Problem::new(
                resource.line,
                format!(
                    "{} refers to {name}, which the template does not declare",
                    resource.id
                ),
            ));
        }
    }
    Ok(())
}

/// Each resource after those it needs, otherwise in the order of the file.
fn ordered(mut waiting: Vec<Declared>) -> Result<Vec<Declared>, Problem> {
    let mut done: Vec<Declared> = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let ready = waiting.iter().position(|resource| {
            let needed = |other: &&Declared| resource.needs.contains(&other.id);
            waiting.iter().find(needed).is_none()
        });
        let Some(ready) = ready else {
            let ids: Vec<&str> = waiting
                .iter()
                .map(|resource| resource.id.as_str())
                .collect();
            let line = waiting.first().map_or(1, |resource| resource.line);
            return Err(Problem::new(
                line,
                format!(
                    "these resources refer to each other in a circle, or to one that does: {}",
                    ids.join(", ")
                ),
            ));
        };
        done.push(waiting.remove(ready));
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn ids(template: &str) -> Vec<String> {
        let template = read("s", template).unwrap();
        template
            .resources
            .into_iter()
            .map(|resource| resource.id)
            .collect()
    }

    fn problem(template: &str) -> (usize, String) {
        let problem = read("s", template).unwrap_err();
        (problem.line, problem.text)
    }

    #[test]
    fn resources_follow_what_they_refer_to() {
        let template = "Resources:
  Source:
    Type: T
    Properties: {Arn: !GetAtt Dead.Arn}
  First: {Type: T, DependsOn: Source}
  Dead: {Type: T}
";
        assert_eq!(ids(template), ["Dead", "Source", "First"]);
    }

    #[test]
    fn a_circle_is_named() {
        let template = "Resources:
  A: {Type: T, Properties: {X: !Ref B}}
  B: {Type: T, Properties: {X: !Ref A}}
";
        let (line, text) = problem(template);
        assert_eq!(line, 2);
        assert!(text.contains("circle") && text.contains("A, B"), "{text}");
    }

    #[test]
    fn globals_merge_into_functions_only() {
        let template = "Globals:
  Function:
    Timeout: 10
    Environment: {Variables: {A: global, B: global}}
    Layers: [one]
Resources:
  F:
    Type: AWS::Serverless::Function
    Properties:
      Environment: {Variables: {B: own}}
      Layers: [two]
  Q: {Type: AWS::SQS::Queue}
";
        let template = read("s", template).unwrap();
        let function = template.resources.iter().find(|r| r.id == "F").unwrap();
        let text = |node: &Node| match &node.value {
            Value::Text(text) => text.clone(),
            other => panic!("{other:?}"),
        };
        let variables = function
            .properties
            .get("Environment")
            .unwrap()
            .get("Variables")
            .unwrap();
        assert_eq!(text(variables.get("A").unwrap()), "global");
        assert_eq!(text(variables.get("B").unwrap()), "own");
        assert_eq!(text(function.properties.get("Timeout").unwrap()), "10");
        let Value::List(layers) = &function.properties.get("Layers").unwrap().value else {
            panic!("a list")
        };
        assert_eq!(layers.iter().map(text).collect::<Vec<_>>(), ["one", "two"]);
        let queue = template.resources.iter().find(|r| r.id == "Q").unwrap();
        assert!(queue.properties.get("Timeout").is_none());
    }

    #[test]
    fn what_is_not_offered_is_named_with_its_line() {
        for (template, line, part) in [
            ("Conditions: {}\n", 1, "Conditions"),
            ("Parameters:\n  P: {Type: String}\n", 2, "no Default"),
            (
                "Parameters:\n  P:\n    Type: String\n    Colour: red\n",
                4,
                "Colour",
            ),
            (
                "Parameters:\n  P:\n    Default: a,b\n    Type: CommaDelimitedList\n",
                4,
                "String or Number",
            ),
            ("Globals:\n  Api: {}\n", 2, "Api"),
            ("Resources:\n  A: {Type: T, Condition: C}\n", 2, "Condition"),
            ("Resources:\n  A: {Properties: {}}\n", 2, "lacks Type"),
            (
                "Resources:\n  A: {Type: T, Properties: {X: !Ref Gone}}\n",
                2,
                "Gone",
            ),
        ] {
            let (at, text) = problem(template);
            assert_eq!(at, line, "{text}");
            assert!(text.contains(part), "{text}");
        }
    }
}
