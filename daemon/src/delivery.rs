//! Breaking and healing deliveries: one variable in the environment of a function of ours.

use patterns_core::function::{FAIL_RATE_VARIABLE, PATTERN_TAG};
use patterns_core::problem::{Problem, ProblemKind};

use crate::aws::Aws;
use crate::aws::functions::FunctionEnvironment;
use crate::state::{Reading, State};

/// Lets every delivery of `function` fail, or none.
pub async fn set(aws: &Aws, state: &State, function: &str, broken: bool) -> Result<(), Problem> {
    let mut environment = aws.environment(function).await?;
    let rate = change(function, &mut environment, broken)?;
    aws.set_environment(function, environment).await?;
    tracing::info!(function, broken, "deliveries changed");
    state
        .report(Reading::DeliveryFailRate {
            function: function.to_owned(),
            rate,
        })
        .await;
    Ok(())
}

/// Changes the one variable and nothing else; refuses functions that are not ours.
fn change(
    function: &str,
    environment: &mut FunctionEnvironment,
    broken: bool,
) -> Result<String, Problem> {
    let refused = |why: String| {
        Problem::new(
            ProblemKind::Conflict,
            format!("deliveries of {function} cannot be broken or healed"),
            why,
            "choose a function of a pattern stack that delivers",
        )
    };
    if environment.pattern.is_none() {
        return Err(refused(format!("it has no tag {PATTERN_TAG}")));
    }
    let Some(variable) = environment.variables.get_mut(FAIL_RATE_VARIABLE) else {
        return Err(refused(format!(
            "its environment has no {FAIL_RATE_VARIABLE}"
        )));
    };
    if broken { "1" } else { "0" }.clone_into(variable);
    Ok(variable.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pattern: Option<&str>, variables: &[(&str, &str)]) -> FunctionEnvironment {
        FunctionEnvironment {
            pattern: pattern.map(str::to_owned),
            variables: variables
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            revision_id: None,
        }
    }

    #[test]
    fn one_variable_changes_and_no_other() {
        let mut ours = environment(Some("p"), &[(FAIL_RATE_VARIABLE, "0"), ("OTHER", "x")]);
        assert_eq!(change("f", &mut ours, true).unwrap(), "1");
        assert_eq!(ours.variables[FAIL_RATE_VARIABLE], "1");
        assert_eq!(ours.variables["OTHER"], "x");
        assert_eq!(change("f", &mut ours, false).unwrap(), "0");
    }

    #[test]
    fn functions_of_others_are_left_alone() {
        let mut other = environment(None, &[(FAIL_RATE_VARIABLE, "0")]);
        assert_eq!(
            change("f", &mut other, true).unwrap_err().kind,
            ProblemKind::Conflict
        );
        assert_eq!(other.variables[FAIL_RATE_VARIABLE], "0");
        let mut quiet = environment(Some("p"), &[]);
        assert!(change("f", &mut quiet, true).is_err());
        assert!(quiet.variables.is_empty());
    }
}
