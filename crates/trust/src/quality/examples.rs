//! Rows that broke rules, shown without showing anybody: only the columns the rule is about, letters and digits hidden.

use std::collections::HashMap;

use serde_json::{Map, Value};
use wardlake_project::audit::{Audit, Check};

use super::{
    records::{Findings, Quarantine},
    report::{Example, MaskedValue},
};

/// Characters of a value whose shape is shown.
const SHOWN: usize = 3;
/// Withheld rows shown of one rule.
const PER_RULE: usize = 2;
/// Findings shown of one rule.
const PER_FINDING: usize = 1;
/// Columns of one example.
const MOST_COLUMNS: usize = 6;

/// The shape of the first characters: letters become `x`, digits `9`. What else there is, is its length.
pub(crate) fn mask(value: &str) -> String {
    if value.is_empty() {
        return "(empty)".to_owned();
    }
    let shape = value.chars().take(SHOWN).map(|character| match character {
        character if character.is_numeric() => '9',
        character if character.is_alphabetic() => 'x',
        character if character.is_control() => '·',
        // Signs that separate are shape; any other symbol may be what a name was damaged to.
        ' ' | '-' | '/' | '.' | ',' | ':' | '+' | '_' => character,
        _ => '·',
    });
    let shape: String = shape.collect();
    match value.chars().count() {
        length if length > SHOWN => format!("{shape}… ({length} characters)"),
        _ => shape,
    }
}

fn masked(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "(missing)".to_owned(),
        Some(Value::String(text)) => mask(text),
        Some(other) => mask(&other.to_string()),
    }
}

/// Examples of every rule of every model. An audit keeps the text of repaired cells only; of the others it tells the place.
pub(crate) fn examples<'a>(
    quarantine: &[Quarantine],
    findings: &[Findings],
    audit_of: impl Fn(&str) -> Option<&'a Audit>,
) -> Vec<Example> {
    let mut examples = Vec::new();
    for table in quarantine {
        let audit = audit_of(&table.model);
        let mut seen: HashMap<&str, usize> = HashMap::new();
        for row in &table.rows {
            for rule in &row.rules {
                let count = seen.entry(rule).or_default();
                *count += 1;
                if *count > PER_RULE {
                    continue;
                }
                // A raw row that is not kept, or that another version kept in its own way, shows no values.
                let raw = row.raw.as_deref().and_then(|raw| serde_json::from_str::<Map<String, Value>>(raw).ok());
                let raw = raw.unwrap_or_default();
                let value = |column: String| MaskedValue { shape: masked(raw.get(&column)), column, becomes: None };
                examples.push(Example {
                    model: table.model.clone(),
                    rule: rule.clone(),
                    action: "quarantine".to_owned(),
                    quarantine_id: row.quarantine_id.clone(),
                    source: row.source.clone(),
                    source_file: row.source_file.clone(),
                    source_position: row.source_position,
                    values: rule_columns(audit, rule, &raw).into_iter().map(value).collect(),
                });
            }
        }
    }
    for table in findings {
        let mut seen: HashMap<(&str, &str), usize> = HashMap::new();
        for row in table.rows.iter().filter(|row| !matches!(row.action.as_str(), "duplicate" | "filtered")) {
            let count = seen.entry((&row.rule, &row.action)).or_default();
            *count += 1;
            if *count > PER_FINDING {
                continue;
            }
            let value = |column: &String| MaskedValue {
                column: column.clone(),
                shape: row.raw_value.as_deref().map_or_else(|| "(not kept)".to_owned(), mask),
                becomes: row.value.as_deref().filter(|_| row.action == "repair").map(mask),
            };
            examples.push(Example {
                model: table.model.clone(),
                rule: row.rule.clone(),
                action: row.action.clone(),
                quarantine_id: None,
                source: row.source.clone(),
                source_file: row.source_file.clone(),
                source_position: row.source_position,
                values: row.column_name.iter().map(value).collect(),
            });
        }
    }
    examples.sort_by(|a, b| (&a.model, &a.action, &a.rule).cmp(&(&b.model, &b.action, &b.rule)));
    examples
}

/// The columns of the raw row that a rule is about: those its declaration names, else those in whose words it is named.
fn rule_columns(audit: Option<&Audit>, rule: &str, raw: &Map<String, Value>) -> Vec<String> {
    let declared = audit.and_then(|audit| audit.rules.iter().find(|declared| declared.name == rule));
    let words: Vec<String> = match declared.map(|declared| &declared.check) {
        Some(Check::That(predicate)) => identifiers(predicate),
        Some(check) => check.columns().into_iter().map(str::to_owned).collect(),
        None => Vec::new(),
    };
    // A column keeps its name on the way from the source, or has a suffix that tells its type or zone.
    let is_named = |column: &str| {
        let column = column.to_lowercase();
        words.iter().any(|word| *word == column || word.trim_start_matches("_raw_") == column)
            || words.is_empty() && rule.contains(&column)
    };
    raw.keys().filter(|column| is_named(column)).take(MOST_COLUMNS).cloned().collect()
}

/// The names in a SQL predicate, in lower case; texts in quotes are values.
fn identifiers(predicate: &str) -> Vec<String> {
    let outside = predicate.split('\'').step_by(2);
    let is_part = |character: char| character.is_alphanumeric() || character == '_';
    let words = outside.flat_map(|part| part.split(move |character: char| !is_part(character)));
    words.filter(|word| word.starts_with(|first: char| !first.is_numeric())).map(str::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quality::records::QuarantinedRow;

    #[test]
    fn no_letter_and_no_digit_survives() {
        let check = |value: &str, expected: &str| assert_eq!(mask(value), expected, "{value}");
        check("", "(empty)");
        check("F", "x");
        check("Müller", "xxx… (6 characters)");
        check("1958-03-12", "999… (10 characters)");
        check("+1 555 0123", "+9 … (11 characters)");
        check("№7", "·9");
        check("Ñandú", "xxx… (5 characters)");
    }

    #[test]
    fn only_the_columns_of_a_rule_are_shown() {
        let raw = r#"{"patient_name":"Zelda Fitz","admitted_at":"2026-03-01 10:00","discharged_at":null,"mrn":"881"}"#;
        let row = |rules: &[&str]| QuarantinedRow {
            quarantine_id: Some("q1".to_owned()),
            rules: rules.iter().map(|rule| (*rule).to_owned()).collect(),
            source: Some("hospital.encounters".to_owned()),
            source_file: Some("encounters_1.csv".to_owned()),
            source_position: Some(7),
            raw: Some(raw.to_owned()),
        };
        let quarantine = Quarantine {
            model: "stg_encounters".to_owned(),
            rows: vec![row(&["impossible_stay", "mrn_known"]); 4],
            ..Quarantine::default()
        };
        let found = examples(&[quarantine], &[], |_| None);
        assert_eq!(found.len(), 2 * PER_RULE);
        let of = |rule: &str| found.iter().find(|example| example.rule == rule).unwrap();
        assert_eq!(of("impossible_stay").values, [], "without its declaration nothing tells its columns");
        let mrn = MaskedValue { column: "mrn".to_owned(), shape: "999".to_owned(), becomes: None };
        assert_eq!(of("mrn_known").values, [mrn]);
        let text = serde_json::to_string(&found).unwrap();
        assert!(!text.contains("Zelda") && !text.contains("2026-03-01") && !text.contains("881"), "{text}");
    }

    #[test]
    fn a_predicate_names_its_columns() {
        let names = identifiers("coalesce(admitted_at, DISCHARGED_AT) <= now() and state <> 'patient_name'");
        assert!(
            names.contains(&"discharged_at".to_owned()) && !names.contains(&"patient_name".to_owned()),
            "{names:?}"
        );
    }
}
