//! Puts a resource in place: created, or brought to what the template says.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::resource::{Function, Table};
use crate::dynamodb::Dynamo;
use crate::error::AwsError;
use crate::lambda::{Declaration, Lambda};

/// A function and the mappings that feed it.
pub fn function(function: Function, lambda: &Lambda) -> Result<(), AwsError> {
    let name = function.name.clone();
    lambda.declare(Declaration {
        name: function.name,
        changes: function.changes,
        tags: function.tags,
        events: function.events,
        reserved: function.reserved,
    })?;
    for mapping in function.mappings {
        lambda.declare_mapping(mapping)?;
    }
    for schedule in function.schedules {
        lambda.run_by_clock(name.clone(), schedule);
    }
    Ok(())
}

/// A table. The keys of one that is there cannot be changed, because its items depend on them.
pub async fn table(table: Table, dynamo: &Dynamo) -> Result<(), AwsError> {
    let named = json!({"TableName": table.name});
    match dynamo.call("DescribeTable", named.clone()).await {
        Ok(answer) => {
            let present = answer.get("Table").cloned().unwrap_or_default();
            if keys(&present) != keys(&table.request) {
                let text = format!(
                    "the table {} is there with other keys or indexes than the template's; save what you need of it, delete it \
                     (`aws dynamodb delete-table`) and start again",
                    table.name
                );
                return Err(AwsError::new(400, "ResourceInUseException", text));
            }
        }
        Err(error) if error.code == "ResourceNotFoundException" => {
            dynamo.call("CreateTable", table.request).await?;
        }
        Err(error) => return Err(error),
    }
    let Some(wanted) = table.time_to_live else {
        return Ok(());
    };
    let present = dynamo.call("DescribeTimeToLive", named).await?;
    let present = present.get("TimeToLiveDescription");
    let present = present.and_then(|ttl| ttl.get("AttributeName"));
    if present == wanted.get("AttributeName") {
        return Ok(());
    }
    let request = json!({"TableName": table.name, "TimeToLiveSpecification": wanted});
    dynamo.call("UpdateTimeToLive", request).await?;
    Ok(())
}

/// The key schemas of a table and of its indexes, whose order means nothing.
fn keys(table: &Value) -> BTreeSet<String> {
    let schema = |of: &Value| of.get("KeySchema").cloned().unwrap_or_default();
    let mut keys = BTreeSet::from([format!("{}", schema(table))]);
    for kind in ["GlobalSecondaryIndexes", "LocalSecondaryIndexes"] {
        let indexes = table.get(kind).and_then(Value::as_array);
        for index in indexes.into_iter().flatten() {
            let name = index.get("IndexName").cloned().unwrap_or_default();
            keys.insert(format!("{kind} {name} {}", schema(index)));
        }
    }
    keys
}
