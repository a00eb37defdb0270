//! `config.meta.wardlake` → [`Audit`], with everything that is wrong in it.

use serde_json::{Map, Value as Json};
use wardlake_core::did_you_mean;

use super::{
    Action, Audit, Check, Deduplicate, Filter, Kpi, RelationCall, Repair, RepairKind, Rule, RuleSeverity, Threshold,
};
use crate::jinja::{RefCall, SourceCall};

/// Something wrong, and where in the block: a section and the place in its list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AuditProblem {
    pub(crate) section: String,
    pub(crate) index: Option<usize>,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

const BLOCK: &str = "wardlake";
const SECTIONS: [&str; 5] = ["input", "row_key", "expectations", "repairs", "filters"];
/// All settings of the block: what is said of rows, and what others read of it.
const SETTINGS: [&str; 8] =
    ["input", "row_key", "expectations", "repairs", "filters", "trimmed_to", "kpi", super::identity::SECTION];
const SHORTHANDS: [&str; 9] =
    ["that", "not_null", "in", "between", "matches", "before", "unique_in", "exists_in", "typed"];
const RULE_KEYS: [&str; 6] = ["name", "kind", "action", "severity", "threshold", "reason"];
const REPAIRS: [&str; 4] = ["standardise", "default", "reread", "deduplicate"];
const REPAIR_KEYS: [&str; 5] = ["name", "kind", "reason", "spellings", "codes"];
const FILTER_KEYS: [&str; 3] = ["name", "where", "reason"];
const KPI_KEYS: [&str; 2] = ["key", "figures"];

/// The settings inside a shorthand or a repair that is a mapping.
fn settings_of(shorthand: &str) -> &'static [&'static str] {
    match shorthand {
        "in" => &["column", "values"],
        "between" => &["column", "min", "max"],
        "matches" => &["column", "pattern"],
        "before" => &["column", "other"],
        "exists_in" => &["column", "to", "field"],
        "default" => &["column", "value"],
        "reread" => &["column", "where"],
        "deduplicate" => &["key", "order_by", "version"],
        _ => &[],
    }
}

impl Audit {
    /// Reads a model's own settings; none if they say nothing about its rows.
    pub(crate) fn read(block: &Map<String, Json>) -> (Option<Self>, Vec<AuditProblem>) {
        let mut reader = AuditReader { audit: Self::default(), problems: Vec::new() };
        for key in block.keys().filter(|key| !SETTINGS.contains(&key.as_str())) {
            let message = format!("`{key}` is not a setting of `meta.wardlake` of a model");
            reader.wrong(key, None, message, Some(known_or_near(key, &SETTINGS)));
        }
        if !SECTIONS.iter().any(|section| block.contains_key(*section)) {
            return (None, reader.problems);
        }
        if let Some(input) = block.get("input") {
            reader.audit.input = input.as_str().and_then(relation_call);
            if reader.audit.input.is_none() {
                reader.wrong("input", None, "`input` must be ref('…') or source('…', '…')".to_owned(), None);
            }
        }
        reader.audit.row_key = block.get("row_key").map(texts).unwrap_or_default();
        for (section, read) in [
            ("expectations", AuditReader::expectation as fn(&mut AuditReader, usize, &Map<String, Json>)),
            ("repairs", AuditReader::repair),
            ("filters", AuditReader::filter),
        ] {
            match block.get(section) {
                None | Some(Json::Null) => {}
                Some(Json::Array(items)) => {
                    for (index, item) in items.iter().enumerate() {
                        match item.as_object() {
                            Some(item) => read(&mut reader, index, item),
                            None => reader.wrong(section, Some(index), "this must be a mapping".to_owned(), None),
                        }
                    }
                }
                Some(_) => reader.wrong(section, None, format!("`{section}` must be a list"), None),
            }
        }
        reader.names_are_unique();
        if reader.audit.row_key.is_empty()
            && let Some(deduplicate) = &reader.audit.deduplicate
        {
            reader.audit.row_key.clone_from(&deduplicate.key);
        }
        (Some(reader.audit), reader.problems)
    }
}

impl Kpi {
    /// Reads `kpi: {key: […], figures: […]}`; none if the model declares no figures.
    pub(crate) fn read(block: &Map<String, Json>) -> Result<Option<Self>, AuditProblem> {
        let Some(kpi) = block.get("kpi") else { return Ok(None) };
        let unknown = kpi.as_object().and_then(|map| map.keys().find(|key| !KPI_KEYS.contains(&key.as_str())));
        if let Some(key) = unknown {
            return Err(AuditProblem {
                section: "kpi".to_owned(),
                index: None,
                message: format!("`{key}` is not a setting of `kpi`"),
                help: Some(known_or_near(key, &KPI_KEYS)),
            });
        }
        let read = kpi.as_object().map(|map| Self {
            key: map.get("key").map(texts).unwrap_or_default(),
            figures: map.get("figures").map(texts).unwrap_or_default(),
        });
        match read.filter(|kpi| !kpi.figures.is_empty()) {
            Some(kpi) => Ok(Some(kpi)),
            None => Err(AuditProblem {
                section: "kpi".to_owned(),
                index: None,
                message: "`kpi` must name its `figures`".to_owned(),
                help: Some("as in `kpi: {key: [hospital_id], figures: [occupancy_rate]}`".to_owned()),
            }),
        }
    }
}

struct AuditReader {
    audit: Audit,
    problems: Vec<AuditProblem>,
}

impl AuditReader {
    fn wrong(&mut self, section: &str, index: Option<usize>, message: String, help: Option<String>) {
        self.problems.push(AuditProblem { section: section.to_owned(), index, message, help });
    }

    /// Reports the keys of a mapping within an entry that nothing reads.
    fn unknown(&mut self, section: &str, index: usize, what: &str, value: &Json, known: &[&str]) {
        let Some(map) = value.as_object().filter(|_| !known.is_empty()) else { return };
        for key in map.keys().filter(|key| !known.contains(&key.as_str())) {
            let message = format!("`{key}` is not a setting of `{what}`");
            self.wrong(section, Some(index), message, Some(known_or_near(key, known)));
        }
    }

    fn names_are_unique(&mut self) {
        let mut seen = std::collections::BTreeSet::new();
        let rules = self.audit.rules.iter().map(|rule| ("expectations", &rule.name));
        let repairs = self.audit.repairs.iter().map(|repair| ("repairs", &repair.name));
        let filters = self.audit.filters.iter().map(|filter| ("filters", &filter.name));
        let repeated: Vec<(&'static str, String)> = rules
            .chain(repairs)
            .chain(filters)
            .filter(|(_, name)| !seen.insert((*name).clone()))
            .map(|(section, name)| (section, name.clone()))
            .collect();
        for (section, name) in repeated {
            let help = "give one of them another `name`".to_owned();
            self.wrong(section, None, format!("there are several entries named `{name}`"), Some(help));
        }
    }

    fn expectation(&mut self, index: usize, item: &Map<String, Json>) {
        const SECTION: &str = "expectations";
        let known = || SHORTHANDS.into_iter().chain(RULE_KEYS);
        for key in item.keys().filter(|key| !known().any(|k| k == key.as_str())) {
            let help = did_you_mean(key, known()).map(|near| format!("did you mean `{near}`?"));
            self.wrong(SECTION, Some(index), format!("`{key}` is no part of an expectation"), help);
        }
        let given: Vec<&str> = SHORTHANDS.into_iter().filter(|key| item.contains_key(*key)).collect();
        let [shorthand] = given.as_slice() else {
            let help = format!("write exactly one of {}", SHORTHANDS.join(", "));
            self.wrong(SECTION, Some(index), "it is not clear what is expected".to_owned(), Some(help));
            return;
        };
        self.unknown(SECTION, index, shorthand, &item[*shorthand], settings_of(shorthand));
        let checks = match checks(shorthand, &item[*shorthand]) {
            Ok(checks) => checks,
            Err(wanted) => {
                self.wrong(SECTION, Some(index), format!("`{shorthand}` must be {wanted}"), None);
                return;
            }
        };
        let action = self.word(SECTION, index, item, "action", &["warn", "quarantine", "fail"]);
        let severity = self.word(SECTION, index, item, "severity", &["low", "medium", "high"]);
        let threshold = item.get("threshold").map(threshold);
        if threshold == Some(None) {
            let help = "as in `threshold: 5 %` or `threshold: 100`".to_owned();
            self.wrong(SECTION, Some(index), "`threshold` must be a share or a number of rows".to_owned(), Some(help));
        }
        let is_alone = checks.len() == 1;
        for (default_name, check) in checks {
            let name = match text(item, "name") {
                Some(name) if is_alone => name,
                Some(name) => format!("{name}_{}", check.columns().join("_")),
                None if default_name.is_empty() => {
                    let message = "an expectation in free SQL needs a `name`".to_owned();
                    self.wrong(SECTION, Some(index), message, None);
                    return;
                }
                None => default_name,
            };
            self.audit.rules.push(Rule {
                kind: text(item, "kind").unwrap_or_else(|| name.clone()),
                reason: text(item, "reason").unwrap_or_else(|| words(&check)),
                name,
                check,
                action: match action.as_deref() {
                    Some("warn") => Action::Warn,
                    Some("fail") => Action::Fail,
                    _ => Action::Quarantine,
                },
                severity: match severity.as_deref() {
                    Some("low") => RuleSeverity::Low,
                    Some("high") => RuleSeverity::High,
                    _ => RuleSeverity::Medium,
                },
                threshold: threshold.flatten(),
            });
        }
    }

    fn word(
        &mut self,
        section: &str,
        index: usize,
        item: &Map<String, Json>,
        key: &str,
        allowed: &[&str],
    ) -> Option<String> {
        let word = text(item, key)?;
        if allowed.contains(&word.as_str()) {
            return Some(word);
        }
        let help = did_you_mean(&word, allowed.iter().copied()).map(|near| format!("did you mean `{near}`?"));
        self.wrong(section, Some(index), format!("`{key}` must be one of {}", allowed.join(", ")), help);
        None
    }

    fn repair(&mut self, index: usize, item: &Map<String, Json>) {
        const SECTION: &str = "repairs";
        let known = || REPAIRS.into_iter().chain(REPAIR_KEYS);
        for key in item.keys().filter(|key| !known().any(|k| k == key.as_str())) {
            let help = did_you_mean(key, known()).map(|near| format!("did you mean `{near}`?"));
            self.wrong(SECTION, Some(index), format!("`{key}` is no part of a repair"), help);
        }
        let given: Vec<&str> = REPAIRS.into_iter().filter(|key| item.contains_key(*key)).collect();
        let [shorthand] = given.as_slice() else {
            let help = format!("write exactly one of {}", REPAIRS.join(", "));
            self.wrong(SECTION, Some(index), "it is not clear what is repaired".to_owned(), Some(help));
            return;
        };
        let value = &item[*shorthand];
        self.unknown(SECTION, index, shorthand, value, settings_of(shorthand));
        if *shorthand == "deduplicate" {
            match deduplicate(value) {
                Some(deduplicate) if self.audit.deduplicate.is_none() => self.audit.deduplicate = Some(deduplicate),
                Some(_) => self.wrong(SECTION, Some(index), "rows are deduplicated once".to_owned(), None),
                None => {
                    let help = "as in `deduplicate: {key: [id], order_by: [updated_at desc]}`".to_owned();
                    let message = "`deduplicate` needs `key` and `order_by`".to_owned();
                    self.wrong(SECTION, Some(index), message, Some(help));
                }
            }
            return;
        }
        let read = match *shorthand {
            "standardise" => {
                let codes = item.get("codes").map_or_else(|| Some(Vec::new()), spellings);
                let how = item.get("spellings").and_then(spellings).zip(codes).map(|(spellings, codes)| {
                    let codes = codes.into_iter().flat_map(|(_, texts)| texts).collect();
                    RepairKind::Standardise { spellings, codes }
                });
                value.as_str().zip(how).map(|(column, how)| (column.to_owned(), how, "written in one way".to_owned()))
            }
            "default" => value.as_object().and_then(|map| {
                let column = text(map, "column")?;
                let default = map.get("value").and_then(literal_text)?;
                Some((column, RepairKind::Default(default), "a missing value has a declared one".to_owned()))
            }),
            _ => value.as_object().and_then(|map| {
                let predicate = text(map, "where")?;
                Some((text(map, "column")?, RepairKind::Reread(predicate), "read in another format".to_owned()))
            }),
        };
        let Some((column, how, reason)) = read else {
            let wanted = match *shorthand {
                "standardise" => "a column, with `spellings: {standard: [other, …]}` beside it",
                "default" => "{column: …, value: …}",
                _ => "{column: …, where: …}",
            };
            self.wrong(SECTION, Some(index), format!("`{shorthand}` must be {wanted}"), None);
            return;
        };
        let name = text(item, "name").unwrap_or_else(|| format!("{shorthand}_{column}"));
        let kind = text(item, "kind").unwrap_or_else(|| name.clone());
        let reason = text(item, "reason").unwrap_or(reason);
        self.audit.repairs.push(Repair { name, kind, column, how, reason });
    }

    fn filter(&mut self, index: usize, item: &Map<String, Json>) {
        for key in item.keys().filter(|key| !FILTER_KEYS.contains(&key.as_str())) {
            let help = known_or_near(key, &FILTER_KEYS);
            self.wrong("filters", Some(index), format!("`{key}` is no part of a filter"), Some(help));
        }
        match (text(item, "name"), text(item, "where")) {
            (Some(name), Some(predicate)) => {
                let reason = text(item, "reason").unwrap_or_else(|| name.replace('_', " "));
                self.audit.filters.push(Filter { name, predicate, reason });
            }
            _ => self.wrong("filters", Some(index), "a filter needs `name` and `where`".to_owned(), None),
        }
    }
}

/// What a node says of its rows where nothing reads it: beside `meta.wardlake`, or under a name that is nearly that.
pub(crate) fn misplaced(config: &Map<String, Json>, meta: &Map<String, Json>) -> Vec<AuditProblem> {
    let wrong = |section: &str, message: String, help: &str| AuditProblem {
        section: section.to_owned(),
        index: None,
        message,
        help: Some(help.to_owned()),
    };
    const PLACE: &str = "write it as `config: {meta: {wardlake: {…}}}`";
    let mut problems = Vec::new();
    if meta.get(BLOCK).is_some_and(|block| !block.is_object() && !block.is_null()) {
        problems.push(wrong(BLOCK, "`meta.wardlake` must be a mapping of settings".to_owned(), PLACE));
    }
    if config.contains_key(BLOCK) {
        problems.push(wrong(BLOCK, "`wardlake` stands outside of `meta`, where nothing reads it".to_owned(), PLACE));
    }
    for key in meta.keys().filter(|key| did_you_mean(key, [BLOCK]).is_some()) {
        problems.push(wrong(key, format!("nothing reads `meta.{key}`"), "did you mean `wardlake`?"));
    }
    const RULES: &str = "expectations";
    if config.contains_key(RULES) || meta.contains_key(RULES) {
        let message = format!("`{RULES}` stands outside of `meta.wardlake`, where nothing reads it");
        problems.push(wrong(RULES, message, "write it as `config: {meta: {wardlake: {expectations: […]}}}`"));
    }
    problems
}

/// What to write in place of a setting that nothing reads.
pub(super) fn known_or_near(key: &str, known: &[&str]) -> String {
    match did_you_mean(key, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("its settings are {}", known.join(", ")),
    }
}

type Named = (String, Check);

/// The checks of one shorthand with their default names, or what should stand there.
fn checks(shorthand: &str, value: &Json) -> Result<Vec<Named>, &'static str> {
    let named = |name: &str, columns: &[&str], check: Check| vec![(format!("{name}_{}", columns.join("_")), check)];
    match shorthand {
        "that" => {
            let sql = value.as_str().filter(|sql| !sql.trim().is_empty()).ok_or("a SQL predicate")?;
            Ok(vec![(String::new(), Check::That(sql.trim().to_owned()))])
        }
        "not_null" | "typed" => {
            let columns = texts(value);
            let check = |column| if shorthand == "typed" { Check::Typed(column) } else { Check::NotNull(column) };
            let checks: Vec<Named> =
                columns.into_iter().map(|column| (format!("{shorthand}_{column}"), check(column))).collect();
            if checks.is_empty() { Err("a column or a list of columns") } else { Ok(checks) }
        }
        "unique_in" => {
            let columns = texts(value);
            if columns.is_empty() {
                return Err("a list of columns");
            }
            let name = format!("unique_{}", columns.join("_"));
            Ok(vec![(name, Check::UniqueIn(columns))])
        }
        _ => {
            let map = value.as_object().ok_or("a mapping")?;
            let column = text(map, "column").ok_or("a mapping with `column`")?;
            let check = match shorthand {
                "in" => {
                    let values = map.get("values").and_then(Json::as_array).ok_or("{column: …, values: […]}")?;
                    let values = values.iter().filter_map(literal).collect();
                    Check::In { column: column.clone(), values }
                }
                "between" => {
                    let (min, max) = (map.get("min").and_then(literal), map.get("max").and_then(literal));
                    if min.is_none() && max.is_none() {
                        return Err("{column: …, min: …, max: …}");
                    }
                    Check::Between { column: column.clone(), min, max }
                }
                "matches" => {
                    let pattern = text(map, "pattern").ok_or("{column: …, pattern: …}")?;
                    Check::Matches { column: column.clone(), pattern }
                }
                "before" => {
                    let other = text(map, "other").ok_or("{column: …, other: …}")?;
                    return Ok(named(
                        "before",
                        &[&column, &other],
                        Check::Before { column: column.clone(), other: other.clone() },
                    ));
                }
                _ => {
                    let wanted = "{column: …, to: ref('…'), field: …}";
                    let to = text(map, "to").as_deref().and_then(relation_call).ok_or(wanted)?;
                    let field = text(map, "field").ok_or(wanted)?;
                    Check::ExistsIn { column: column.clone(), to, field }
                }
            };
            Ok(named(shorthand, &[&column], check))
        }
    }
}

/// A rule in words, where its author gave no reason.
fn words(check: &Check) -> String {
    match check {
        Check::That(sql) => sql.clone(),
        Check::NotNull(column) => format!("{column} is missing"),
        Check::In { column, .. } => format!("{column} is none of its codes"),
        Check::Between { column, .. } => format!("{column} is out of its range"),
        Check::Matches { column, .. } => format!("{column} does not have its form"),
        Check::Before { column, other } => format!("{column} is after {other}"),
        Check::UniqueIn(columns) => format!("another row has the same {}", columns.join(", ")),
        Check::ExistsIn { column, to, .. } => format!("{column} is not found in {to}"),
        Check::Typed(column) => format!("{column} cannot be read"),
    }
}

impl std::fmt::Display for RelationCall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ref(call) => f.write_str(&call.name),
            Self::Source(call) => write!(f, "{}.{}", call.source, call.table),
        }
    }
}

/// `ref('a')`, `ref('package', 'a')` or `source('s', 't')`, with or without braces around it.
pub(super) fn relation_call(text: &str) -> Option<RelationCall> {
    let text = text.trim().trim_start_matches("{{").trim_end_matches("}}").trim();
    let (function, rest) = text.split_once('(')?;
    let arguments = rest.trim().strip_suffix(')')?;
    let names: Vec<String> = arguments
        .split(',')
        .map(|argument| argument.trim().trim_matches(['\'', '"']).to_owned())
        .filter(|name| !name.is_empty())
        .collect();
    match (function.trim(), names.as_slice()) {
        ("ref", [name]) => {
            Some(RelationCall::Ref(RefCall { package: None, name: name.clone(), version: None, line: 1 }))
        }
        ("ref", [package, name]) => Some(RelationCall::Ref(RefCall {
            package: Some(package.clone()),
            name: name.clone(),
            version: None,
            line: 1,
        })),
        ("source", [source, table]) => {
            Some(RelationCall::Source(SourceCall { source: source.clone(), table: table.clone(), line: 1 }))
        }
        _ => None,
    }
}

fn deduplicate(value: &Json) -> Option<Deduplicate> {
    let map = value.as_object()?;
    let (key, order_by) = (texts(map.get("key")?), texts(map.get("order_by")?));
    let version = text(map, "version");
    (!key.is_empty() && !order_by.is_empty()).then_some(Deduplicate { key, order_by, version })
}

fn spellings(value: &Json) -> Option<Vec<(String, Vec<String>)>> {
    let map = value.as_object()?;
    Some(map.iter().map(|(standard, others)| (standard.clone(), texts(others))).collect())
}

fn threshold(value: &Json) -> Option<Threshold> {
    if let Some(rows) = value.as_u64() {
        return Some(Threshold::Rows(rows));
    }
    let text = value.as_str()?.trim();
    if let Some(percent) = text.strip_suffix('%') {
        let percent: f64 = percent.trim().parse().ok()?;
        return (0.0..=100.0).contains(&percent).then_some(Threshold::Share(percent / 100.0));
    }
    text.parse().ok().map(Threshold::Rows)
}

/// A value as a SQL literal.
fn literal(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(format!("'{}'", text.replace('\'', "''"))),
        Json::Number(number) => Some(number.to_string()),
        Json::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

fn literal_text(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(text.clone()),
        other => literal(other),
    }
}

fn text(map: &Map<String, Json>, key: &str) -> Option<String> {
    map.get(key).and_then(literal_text).filter(|text| !text.trim().is_empty())
}

fn texts(value: &Json) -> Vec<String> {
    match value {
        Json::Array(items) => items.iter().filter_map(literal_text).collect(),
        one => literal_text(one).into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: Json) -> (Option<Audit>, Vec<AuditProblem>) {
        Audit::read(value.as_object().unwrap())
    }

    #[test]
    fn every_shorthand_becomes_a_rule_with_a_name() {
        let (audit, problems) = read(json!({"input": "source('h', 'e')", "expectations": [
            {"name": "order", "that": "a <= b", "kind": "wrong_order", "reason": "a after b"},
            {"not_null": ["a", "b"], "action": "warn"},
            {"in": {"column": "g", "values": ["F", "it's", 1]}},
            {"between": {"column": "age", "min": 0, "max": 120}, "threshold": "5 %"},
            {"matches": {"column": "mrn", "pattern": "^\\d+$"}, "severity": "high"},
            {"before": {"column": "a", "other": "b"}, "threshold": 3},
            {"unique_in": ["a", "b"], "action": "fail"},
            {"exists_in": {"column": "d", "to": "ref('departments')", "field": "id"}},
            {"typed": "n"},
        ]}));
        assert_eq!(problems, []);
        let audit = audit.unwrap();
        let names: Vec<&str> = audit.rules.iter().map(|rule| rule.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "order",
                "not_null_a",
                "not_null_b",
                "in_g",
                "between_age",
                "matches_mrn",
                "before_a_b",
                "unique_a_b",
                "exists_in_d",
                "typed_n"
            ]
        );
        assert_eq!(
            audit.rules[3].check,
            Check::In { column: "g".to_owned(), values: vec!["'F'".to_owned(), "'it''s'".to_owned(), "1".to_owned()] }
        );
        assert_eq!(audit.rules[4].threshold, Some(Threshold::Share(0.05)));
        assert_eq!((audit.rules[1].action, audit.rules[7].action), (Action::Warn, Action::Fail));
        assert_eq!(audit.rules[0].kind, "wrong_order");
    }

    #[test]
    fn everything_wrong_is_told_at_once() {
        let (_, problems) = read(json!({
            "input": "patients",
            "expectations": [{"not_nul": "a"}, {"that": "x"}, {"not_null": "a", "action": "quarantin"},
                             {"between": {"column": "a"}}, {"not_null": "a"}],
            "repairs": [{"deduplicate": {"key": "a"}}, {"standardise": "gender"}],
            "filters": [{"name": "x"}],
        }));
        let texts: Vec<&str> = problems.iter().map(|problem| problem.message.as_str()).collect();
        assert_eq!(problems.len(), 10, "{texts:#?}");
        assert!(problems.iter().any(|problem| problem.help.as_deref() == Some("did you mean `quarantine`?")));
    }

    #[test]
    fn a_block_without_rows_in_it_is_no_audit() {
        assert_eq!(read(json!({"trimmed_to": "newest"})), (None, vec![]));
        assert_eq!(read(json!({})), (None, vec![]));
    }

    #[test]
    fn b08_what_nothing_reads_is_named_with_what_was_meant() {
        for (block, says, help) in [
            (json!({"expectation": [{"not_null": "a"}]}), "`expectation`", "`expectations`"),
            (json!({"owner": "ward"}), "`owner`", "its settings are"),
            (
                json!({"expectations": [{"between": {"column": "a", "min": 1, "maximum": 2}}]}),
                "`maximum`",
                "column, min, max",
            ),
            (
                json!({"repairs": [{"deduplicate": {"key": "a", "order_by": "b", "versions": "c"}}]}),
                "`versions`",
                "`version`",
            ),
            (json!({"repairs": [{"default": {"column": "a", "value": 1}, "reasons": "x"}]}), "`reasons`", "`reason`"),
            (json!({"filters": [{"name": "x", "where": "a", "resaon": "y"}]}), "`resaon`", "`reason`"),
        ] {
            let (_, problems) = read(block.clone());
            assert_eq!(problems.len(), 1, "{block}: {problems:?}");
            assert!(problems[0].message.contains(says), "{block}: {problems:?}");
            assert!(problems[0].help.as_deref().is_some_and(|text| text.contains(help)), "{block}: {problems:?}");
        }
        let kpi = json!({"kpi": {"figures": ["a"], "keys": ["b"]}});
        let problem = Kpi::read(kpi.as_object().unwrap()).unwrap_err();
        assert!(problem.message.contains("`keys`"), "{problem:?}");
    }

    #[test]
    fn the_key_of_a_row_is_that_of_its_duplicates() {
        let (audit, problems) = read(json!({"repairs": [
            {"deduplicate": {"key": "id", "order_by": ["updated_at desc"], "version": "updated_at"}},
            {"standardise": "gender", "spellings": {"F": ["w", "2"], "M": "m."}},
            {"default": {"column": "severity", "value": "unknown"}},
        ]}));
        assert_eq!(problems, []);
        let audit = audit.unwrap();
        assert_eq!(audit.row_key, ["id"]);
        assert_eq!(audit.repairs[0].name, "standardise_gender");
    }
}
