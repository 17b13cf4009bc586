//! `GetAccountSettings` (AWS Lambda API reference).

use serde_json::json;

use super::{Answer, ok};
use crate::lambda::Lambda;
use crate::lambda::code::{Code, MAX_UNPACKED_BYTES, MAX_ZIP_BYTES};

/// Bytes of all code in an account (AWS Lambda developer guide, "Lambda quotas"). Reported, not enforced.
const TOTAL_CODE_BYTES: u64 = 75 * 1024 * 1024 * 1024;

impl Lambda {
    pub(super) fn account_settings(&self) -> Answer {
        let total = self.inner.parts.concurrency;
        let state = self.state();
        let functions = state.functions.values();
        let reserved: u32 = functions
            .clone()
            .filter_map(|function| function.reserved_concurrency)
            .sum();
        let bytes: u64 = functions
            .map(|function| match &function.configuration.code {
                Code::Zip { size, .. } => *size,
                Code::Path(_) | Code::Handler => 0,
            })
            .sum();
        ok(json!({
            "AccountLimit": {
                "TotalCodeSize": TOTAL_CODE_BYTES,
                "CodeSizeUnzipped": MAX_UNPACKED_BYTES,
                "CodeSizeZipped": MAX_ZIP_BYTES,
                "ConcurrentExecutions": total,
                "UnreservedConcurrentExecutions": total.saturating_sub(reserved),
            },
            "AccountUsage": {"TotalCodeSize": bytes, "FunctionCount": state.functions.len()},
        }))
    }
}
