//! Test settings.

use super::read::Reader;

/// How bad a failing test is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TestSeverity {
    /// The run fails if `error_if` holds.
    #[default]
    Error,
    /// The run goes on with a warning.
    Warn,
}

/// When a test fails, and what becomes of the failing rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestConfig {
    /// `severity`.
    pub severity: TestSeverity,
    /// Condition on [`fail_calc`](Self::fail_calc)'s result, such as `!= 0`.
    pub warn_if: String,
    /// Condition on [`fail_calc`](Self::fail_calc)'s result, such as `> 10`.
    pub error_if: String,
    /// SQL over the failing rows.
    pub fail_calc: String,
    /// Filter on the tested relation.
    pub where_sql: Option<String>,
    /// At most so many failing rows are looked at.
    pub limit: Option<u64>,
    /// Whether failing rows are kept in a table.
    pub store_failures: Option<bool>,
    /// `table`, `view` or `ephemeral`.
    pub store_failures_as: Option<String>,
}

impl TestConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let severity = reader.text("severity").map(|text| text.to_ascii_lowercase());
        let severity = match severity.as_deref() {
            None | Some("error") => TestSeverity::Error,
            Some("warn") => TestSeverity::Warn,
            Some(other) => {
                reader.problem("severity", format!("severity must be `warn` or `error`, not `{other}`"), None);
                TestSeverity::Error
            }
        };
        Self {
            severity,
            warn_if: reader.text("warn_if").unwrap_or_else(|| "!= 0".to_owned()),
            error_if: reader.text("error_if").unwrap_or_else(|| "!= 0".to_owned()),
            fail_calc: reader.text("fail_calc").unwrap_or_else(|| "count(*)".to_owned()),
            where_sql: reader.text("where"),
            limit: reader.integer("limit"),
            store_failures: reader.bool("store_failures"),
            store_failures_as: reader.one_of("store_failures_as", &["table", "view", "ephemeral"]),
        }
    }
}
