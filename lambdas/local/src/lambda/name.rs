//! How callers name a function: by name, partial ARN or ARN, with or without `:$LATEST`
//! (AWS Lambda API reference, `Invoke`, parameter `FunctionName`).

use crate::account;
use crate::error::AwsError;

/// The plain name in `given`; versions and aliases other than `$LATEST` do not exist here.
pub fn parse(given: &str) -> Result<String, AwsError> {
    let mut parts: Vec<&str> = given.split(':').collect();
    if parts.first() == Some(&"arn") {
        // arn:aws:lambda:REGION:ACCOUNT:function:NAME
        if parts.len() < 7 || parts.get(2) != Some(&"lambda") || parts.get(5) != Some(&"function") {
            return Err(invalid(given));
        }
        check_region(parts.get(3).copied())?;
        check_account(given, parts.get(4).copied())?;
        parts.drain(..6);
    } else if parts.get(1) == Some(&"function") {
        // ACCOUNT:function:NAME
        check_account(given, parts.first().copied())?;
        parts.drain(..2);
    }
    let (name, qualifier) = match parts.as_slice() {
        [name] => (*name, None),
        [name, qualifier] => (*name, Some(*qualifier)),
        _ => return Err(invalid(given)),
    };
    check(name)?;
    check_qualifier(name, qualifier)?;
    Ok(name.to_owned())
}

/// Refuses a `Qualifier` that names a version or an alias.
pub fn check_qualifier(name: &str, qualifier: Option<&str>) -> Result<(), AwsError> {
    match qualifier {
        None | Some("$LATEST") => Ok(()),
        Some(other) => Err(super::error::not_found(&format!(
            "Function not found: {}:{other}",
            account::function_arn(name)
        ))),
    }
}

fn check(name: &str) -> Result<(), AwsError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || name.len() > 64 || !name.chars().all(allowed) {
        return Err(invalid(name));
    }
    Ok(())
}

fn check_region(region: Option<&str>) -> Result<(), AwsError> {
    match region {
        Some(account::REGION) | None => Ok(()),
        Some(other) => Err(super::error::not_found(&format!(
            "Functions from '{}' are not reachable in this region ('{}')",
            shortened(other),
            account::REGION
        ))),
    }
}

fn check_account(given: &str, account: Option<&str>) -> Result<(), AwsError> {
    match account {
        Some(account::ACCOUNT_ID) | None => Ok(()),
        Some(_) => Err(AwsError::new(
            403,
            "AccessDeniedException",
            format!(
                "no policy allows a call on the resource {}: the only account here is {}",
                shortened(given),
                account::ACCOUNT_ID
            ),
        )),
    }
}

/// As much of what a caller sent as an error repeats: the longest name that AWS takes.
fn shortened(given: &str) -> &str {
    given
        .get(..given.floor_char_boundary(170))
        .unwrap_or_default()
}

fn invalid(given: &str) -> AwsError {
    let given = shortened(given);
    AwsError::new(
        400,
        "ValidationException",
        format!(
            "1 validation error detected: Value '{given}' at 'functionName' failed to satisfy constraint: a name of 1 to 64 letters, \
             digits, hyphens and underscores, or the ARN of a function"
        ),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_form_names_the_same_function() {
        for given in [
            "orders",
            "orders:$LATEST",
            "000000000000:function:orders",
            "arn:aws:lambda:us-east-1:000000000000:function:orders",
            "arn:aws:lambda:us-east-1:000000000000:function:orders:$LATEST",
        ] {
            assert_eq!(parse(given).unwrap(), "orders", "{given}");
        }
    }

    #[test]
    fn refuses_what_is_no_name() {
        for given in ["", "a b", "../etc", "arn:aws:sqs:us-east-1:0:q", "a:b:c:d"] {
            assert_eq!(
                parse(given).unwrap_err().code,
                "ValidationException",
                "{given}"
            );
        }
        assert_eq!(
            parse("orders:7").unwrap_err().code,
            "ResourceNotFoundException"
        );
    }
}
