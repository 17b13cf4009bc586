//! `AWS::DynamoDB::Table` (`CloudFormation` template reference).

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{Resource, tags};
use crate::deploy::error::Problem;
use crate::deploy::property::{self, Properties};

/// A table.
pub struct Table {
    /// Its name.
    pub name: String,
    /// The request of `CreateTable`.
    pub request: Value,
    /// The specification of `UpdateTimeToLive`.
    pub time_to_live: Option<Value>,
}

/// Reads a table's properties.
pub fn read(
    given: &mut Properties<'_>,
    unnamed: String,
    notes: &mut BTreeSet<String>,
) -> Result<Resource, Problem> {
    let unencrypted = "tables are not encrypted";
    let ignored = [
        ("SSESpecification", unencrypted),
        ("PointInTimeRecoverySpecification", "nothing is backed up"),
        (
            "ContributorInsightsSpecification",
            "there are no insights here",
        ),
        ("TableClass", "storage costs nothing here"),
    ];
    given.ignored(&ignored, notes);
    let name = given.text("TableName")?.map_or(unnamed, str::to_owned);
    let mut request = Map::from_iter([("TableName".to_owned(), json!(name))]);
    for property in [
        "AttributeDefinitions",
        "KeySchema",
        "GlobalSecondaryIndexes",
        "LocalSecondaryIndexes",
    ] {
        if let Some(items) = given.list(property)? {
            let items: Value = items.iter().map(property::json).collect();
            request.insert(property.to_owned(), items);
        }
    }
    let tags = tags(given)?
        .into_iter()
        .map(|(key, value)| json!({"Key": key, "Value": value}))
        .collect::<Value>();
    request.insert("Tags".to_owned(), tags);
    if let Some(flag) = given.parsed::<bool>("DeletionProtectionEnabled", "true or false")? {
        request.insert("DeletionProtectionEnabled".to_owned(), json!(flag));
    }
    if let Some(mode) = given.text("BillingMode")? {
        request.insert("BillingMode".to_owned(), json!(mode));
    }
    if let Some(mut throughput) = given.nested("ProvisionedThroughput")? {
        let read: Option<u64> = throughput.parsed("ReadCapacityUnits", "a number")?;
        let write: Option<u64> = throughput.parsed("WriteCapacityUnits", "a number")?;
        throughput.finish()?;
        let units = json!({"ReadCapacityUnits": read, "WriteCapacityUnits": write});
        request.insert("ProvisionedThroughput".to_owned(), units);
    }
    let time_to_live = match given.nested("TimeToLiveSpecification")? {
        None => None,
        Some(mut specification) => {
            let attribute = specification.required("AttributeName")?;
            let enabled: Option<bool> = specification.parsed("Enabled", "true or false")?;
            specification.finish()?;
            (enabled == Some(true)).then(|| json!({"AttributeName": attribute, "Enabled": true}))
        }
    };
    Ok(Resource::Table(Table {
        name,
        request: Value::Object(request),
        time_to_live,
    }))
}
