//! `alerts.yml`: what people are told while it happens.

use std::{collections::BTreeSet, path::Path, time::Duration};

use serde::{Deserialize, Serialize};
use wardlake_core::{Diagnostic, Diagnostics};

use crate::{
    UniqueId,
    jinja::RefCall,
    lookup::{Found, Lookup},
    yaml::{self, Mark, Yaml, YamlValue},
};

const FILE: &str = "alerts.yml";
const TOP_KEYS: [&str; 4] = ["version", "clock", "webhooks", "alerts"];
const CLOCK_KEYS: [&str; 2] = ["model", "column"];
const ALERT_KEYS: [&str; 9] = ["name", "model", "sql", "key", "value", "when", "for", "severity", "message"];

/// How much somebody should care.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertSeverity {
    /// Good to know.
    Info,
    /// Somebody should look.
    #[default]
    Warning,
    /// Somebody has to act.
    Critical,
}

/// One alert as declared.
#[derive(Clone, Debug)]
pub struct AlertRule {
    /// Its name, unique in the project.
    pub name: String,
    /// The query whose rows are looked at, with Jinja.
    pub sql: String,
    /// Columns that say which thing a row is about.
    pub key: Vec<String>,
    /// The column that is shown.
    pub value: Option<String>,
    /// The condition, in SQL.
    pub when: String,
    /// How long it has to hold.
    pub lasting: Duration,
    /// How much somebody should care.
    pub severity: AlertSeverity,
    /// The text; `{column}` is filled in.
    pub message: String,
}

/// Where the data's own time stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertClock {
    /// The model.
    pub model: UniqueId,
    /// Its column of instants; the newest counts.
    pub column: String,
}

/// All of the file. A project without one has no alerts.
#[derive(Clone, Debug, Default)]
pub struct AlertRules {
    /// By what `for` is measured; the machine's clock if none.
    pub clock: Option<AlertClock>,
    /// Addresses that are told, with Jinja.
    pub webhooks: Vec<String>,
    /// The alerts.
    pub alerts: Vec<AlertRule>,
}

impl AlertRules {
    /// Reads the file, if the project `package` has one, and adds to `problems` all that is wrong with it.
    pub(crate) fn read(dir: &Path, package: &str, lookup: &Lookup, problems: &mut Diagnostics) -> Self {
        match yaml::read(&dir.join(FILE), Path::new(FILE)) {
            Ok(Some(tree)) => Reader { package, lookup, problems }.rules(&tree),
            Ok(None) => Self::default(),
            Err(problem) => {
                problems.push(problem);
                Self::default()
            }
        }
    }
}

struct Reader<'a> {
    package: &'a str,
    lookup: &'a Lookup,
    problems: &'a mut Diagnostics,
}

impl Reader<'_> {
    fn rules(&mut self, tree: &Yaml) -> AlertRules {
        self.block(tree, "alerts.yml", &TOP_KEYS);
        if let Some(version) = tree.get("version").filter(|version| !matches!(version.value, YamlValue::Int(1))) {
            self.wrong(version.at, "`version` must be 1");
        }
        let webhooks = self.list(tree, "webhooks").iter().filter_map(|url| self.text(url, "a webhook")).collect();
        let mut names = BTreeSet::new();
        let mut alerts = Vec::new();
        for block in self.list(tree, "alerts") {
            let Some(alert) = self.alert(block) else { continue };
            if !names.insert(alert.name.clone()) {
                let message = format!("there are two alerts `{}`", alert.name);
                self.problems.push(problem("WL-P010", message, block.at).help("give one of them another name"));
            }
            alerts.push(alert);
        }
        AlertRules { clock: tree.get("clock").and_then(|block| self.clock(block)), webhooks, alerts }
    }

    fn clock(&mut self, block: &Yaml) -> Option<AlertClock> {
        self.block(block, "the clock", &CLOCK_KEYS);
        let model = self.required(block, "the clock", "model");
        let column = self.required(block, "the clock", "column");
        let model = self.model(&model?, block.get("model")?.at)?;
        Some(AlertClock { model, column: column? })
    }

    fn alert(&mut self, block: &Yaml) -> Option<AlertRule> {
        self.block(block, "an alert", &ALERT_KEYS);
        let name = self.required(block, "an alert", "name");
        let what = name.as_ref().map_or("an alert".to_owned(), |name| format!("alert `{name}`"));
        let when = self.required(block, &what, "when");
        let message = self.required(block, &what, "message");
        let value = block.get("value").and_then(|value| self.text(value, "`value`"));
        let before = self.problems.0.len();
        let key: Vec<String> =
            self.list(block, "key").iter().filter_map(|column| self.text(column, "a column of `key`")).collect();
        if key.is_empty() && self.problems.0.len() == before {
            self.wrong(block.at, format!("{what} needs a `key`: the columns that say which thing a row is about"));
        }
        let sql = match (block.get("model"), block.get("sql")) {
            (Some(model), None) => self.text(model, "`model`").map(|name| {
                self.model(&name, model.at);
                format!("select * from {{{{ ref('{name}') }}}}")
            }),
            (None, Some(sql)) => self.text(sql, "`sql`"),
            _ => {
                self.wrong(block.at, format!("{what} needs either `model` or `sql`"));
                None
            }
        };
        let lasting = block.get("for").and_then(|lasting| {
            let read = lasting.as_str().and_then(parse_duration);
            if read.is_none() {
                self.wrong(lasting.at, format!("{what}: `for` is no time; write 90s, 15m, 4h or 1d"));
            }
            read
        });
        let severity = block.get("severity").and_then(|severity| {
            let read = serde_json::from_value(severity.to_json()).ok();
            if read.is_none() {
                self.wrong(severity.at, format!("{what}: `severity` is info, warning or critical"));
            }
            read
        });
        Some(AlertRule {
            name: name?,
            sql: sql?,
            key,
            value,
            when: when?,
            lasting: lasting.unwrap_or_default(),
            severity: severity.unwrap_or_default(),
            message: message?,
        })
    }

    /// A mapping with known keys.
    fn block(&mut self, block: &Yaml, what: &str, known: &[&str]) {
        if !block.is_map() {
            self.wrong(block.at, format!("{what} must be a mapping, not {}", block.kind()));
        }
        let unknown = block.entries().iter().filter(|(key, _)| !known.contains(&key.text.as_str()));
        self.problems.0.extend(unknown.map(|(key, _)| yaml::unknown_key(Path::new(FILE), key, known)));
    }

    fn list<'y>(&mut self, block: &'y Yaml, key: &str) -> &'y [Yaml] {
        let Some(list) = block.get(key) else { return &[] };
        if !matches!(list.value, YamlValue::List(_) | YamlValue::Null) {
            self.wrong(list.at, format!("`{key}` must be a list, not {}", list.kind()));
        }
        list.items()
    }

    fn required(&mut self, block: &Yaml, what: &str, key: &str) -> Option<String> {
        match block.get(key) {
            Some(value) => self.text(value, &format!("`{key}`")),
            None => {
                self.wrong(block.at, format!("{what} needs a `{key}`"));
                None
            }
        }
    }

    fn text(&mut self, value: &Yaml, what: &str) -> Option<String> {
        let text = value.as_str().map(str::to_owned);
        if text.is_none() {
            self.wrong(value.at, format!("{what} must be a text, not {}", value.kind()));
        }
        text
    }

    fn model(&mut self, name: &str, at: Mark) -> Option<UniqueId> {
        let call = RefCall { package: None, name: name.to_owned(), version: None, line: at.line };
        let (code, message, help) = match self.lookup.find_ref(self.package, &call) {
            Found::Here(id) => return Some(id),
            Found::Broken => return None,
            Found::Disabled => ("WL-P015", format!("model `{name}` is disabled"), "enable it, or take this out".into()),
            Found::Missing => ("WL-P014", format!("there is no model `{name}`"), self.lookup.ref_help(&call)),
        };
        self.problems.push(problem(code, message, at).help(help));
        None
    }

    fn wrong(&mut self, at: Mark, message: impl Into<String>) {
        self.problems.push(problem("WL-P005", message, at));
    }
}

fn problem(code: &'static str, message: impl Into<String>, at: Mark) -> Diagnostic {
    Diagnostic::error(code, message).at(FILE, at.line, at.column)
}

/// A time as people write it: `90s`, `15m`, `4h`, `1d`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let unit = text.chars().next_back()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return None,
    };
    let number: u64 = text[..text.len() - 1].trim().parse().ok()?;
    number.checked_mul(seconds).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_with_a_unit() {
        assert_eq!(parse_duration("90s"), Some(Duration::from_secs(90)));
        assert_eq!(parse_duration("4 h"), Some(Duration::from_secs(14_400)));
        for wrong in ["", "15", "m", "-1m", "15 minutes", "5é", "99999999999999999999d"] {
            assert_eq!(parse_duration(wrong), None, "{wrong}");
        }
    }
}
