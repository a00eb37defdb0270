//! The proposal as files: the source file and a staging model per table.

use std::{collections::BTreeSet, fmt::Write};

use super::{
    Survey, Table,
    columns::{Column, Kind},
    names::{identifier, unique},
};
use crate::terminal::{counted, grouped};

/// Words that SQL, or some database that may read the models, does not take as a name without quotes.
const RESERVED: &str = "all analyse analyze and anti any array as asc asof at between both by case cast check cluster collate column \
    connect constraint create cross cube current current_date current_time current_timestamp date day default delete desc describe \
    distinct distribute drop else end escape except exclude exists explain extract false fetch filter following for foreign format \
    from full global grant group grouping having hour if ilike in index inner insert intersect interval into is join key language \
    lateral leading left like limit local localtime localtimestamp match merge minus minute month natural no not null nulls of \
    offset on only open or order outer output over overlaps partition percent pivot position preceding prewhere primary qualify \
    range references replace returning right rollup row rows sample schema second select semi session session_user set settings \
    show similar some sort start struct substring symmetric system_user table tablesample then time timestamp to top trailing \
    trim true truncate type unbounded union unique unknown unnest unpivot update use user using value values view when where \
    window with within without year zone";

/// The source file: how each table is found and read, and what could be its key.
pub(crate) fn source_file(survey: &Survey) -> String {
    let mut out = format!(
        "# A proposal by `wardlake init --from`, after a look at every file. Correct what is wrong and describe what is what:\n\
         # from now on the file is yours.\n\
         version: 2\n\nsources:\n  - name: {}\n    schema: bronze\n    config:\n      meta:\n        wardlake:\n          root: {}\n    tables:\n",
        survey.source,
        yaml(&survey.root)
    );
    for table in &survey.tables {
        let _ = write!(
            out,
            "      - name: {}\n        config:\n          meta:\n            wardlake:\n              path: {}\n              format: {}\n",
            table.name,
            paths(&table.paths),
            table.format
        );
        keys(table, &mut out);
        out.push_str("        columns:\n");
        for column in &table.columns {
            let _ = writeln!(out, "          - name: {}", yaml(&column.name));
        }
    }
    out
}

/// What could be the table's key stands as a comment: only people know whether it is one.
fn keys(table: &Table, out: &mut String) {
    let indent = "              ";
    match table.key() {
        Some(key) => {
            let rows = counted(table.rows, "row");
            let _ = write!(
                out,
                "{indent}# keys: [{}]   # a guess: filled in each row of a file and in none twice ({rows} seen)\n\
                 {indent}# change: full   # each file holds all rows; `changes` if it holds the new and changed ones\n\
                 {indent}# Without keys every row of every file is kept, also of a file that comes again.\n",
                yaml(&key.name)
            );
        }
        None => {
            let _ = writeln!(
                out,
                "{indent}# keys: []   # no column is filled in each row and has no value twice; several together may be the key"
            );
        }
    }
}

/// The staging model: the columns in groups, under names that need no quotes, each of the type that all its values fit.
pub(crate) fn staging_model(survey: &Survey, table: &Table) -> String {
    let mut taken = BTreeSet::from(["source_file".to_owned(), "source_position".to_owned()]);
    let named: Vec<(&Column, String)> = table
        .columns
        .iter()
        .enumerate()
        .map(|(place, column)| {
            let name = identifier(&column.name);
            let name = if name.is_empty() { format!("column_{}", place + 1) } else { name };
            (column, unique(&name, &mut taken))
        })
        .collect();
    let mut out = format!(
        "-- Every row of {}.{} as it was delivered, under plain names and with types.\n\
         -- The types are those that all {} in {} fitted; a value that does not fit fails this model.\n\
         {{{{ config(materialized='table') }}}}\n\nselect\n",
        survey.source,
        table.name,
        counted(table.rows, "row"),
        counted(table.files as u64, "file")
    );
    for (heading, kinds) in [
        ("ids and codes", &[Kind::Code][..]),
        ("text", &[Kind::Text]),
        ("yes or no", &[Kind::Boolean]),
        ("numbers", &[Kind::Integer, Kind::Decimal, Kind::Double]),
        ("dates and times", &[Kind::Date, Kind::Timestamp]),
    ] {
        let mut group = named.iter().filter(|(column, _)| kinds.contains(&column.kind)).peekable();
        if group.peek().is_some() {
            let _ = writeln!(out, "    -- {heading}");
        }
        for (column, name) in group {
            let _ = writeln!(out, "    {} as {},", value(column), sql_name(name));
        }
    }
    let _ = write!(
        out,
        "    -- where the row came from\n    _file as source_file,\n    _position as source_position\n\
         from {{{{ source('{}', '{}') }}}}\n",
        survey.source, table.name
    );
    out
}

/// The column's text, without blanks around it and NULL where nothing is left, as its type.
fn value(column: &Column) -> String {
    let text = format!("nullif(trim({}), '')", sql_name(&column.name));
    let data_type = match column.kind {
        Kind::Code | Kind::Text => return text,
        Kind::Boolean => "boolean",
        Kind::Integer => "bigint",
        Kind::Decimal => "decimal(18, 4)",
        Kind::Double => "double precision",
        Kind::Date => "date",
        Kind::Timestamp => "timestamp",
    };
    format!("cast({text} as {data_type})")
}

/// A name in SQL: quoted unless it is plain, and nothing of it is a template.
fn sql_name(name: &str) -> String {
    let is_plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    match is_plain && !RESERVED.split_whitespace().any(|word| word == name) {
        true => name.to_owned(),
        false => plain_text(&format!("\"{}\"", name.replace('"', "\"\""))),
    }
}

/// A text that templates leave alone.
fn plain_text(text: &str) -> String {
    match ["{{", "{%", "{#"].iter().any(|opening| text.contains(opening)) {
        true => format!("{{% raw %}}{text}{{% endraw %}}"),
        false => text.to_owned(),
    }
}

/// A text in YAML: quoted unless it is plain.
pub(super) fn yaml(text: &str) -> String {
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c))
        && !["true", "false", "yes", "no", "on", "off", "null", "y", "n"].contains(&text.to_lowercase().as_str());
    match is_plain {
        true => text.to_owned(),
        // Every JSON text is one of YAML.
        false => serde_json::Value::String(plain_text(text)).to_string(),
    }
}

fn paths(paths: &[String]) -> String {
    match paths {
        [one] => yaml(one),
        several => format!("[{}]", several.iter().map(|path| yaml(path)).collect::<Vec<_>>().join(", ")),
    }
}

/// What was found, a line per table.
pub(crate) fn summary(survey: &Survey) -> String {
    let width = survey.tables.iter().map(|table| table.name.chars().count()).max().unwrap_or_default();
    let mut out = String::new();
    for table in &survey.tables {
        let key = table.key().map(|key| format!(", key perhaps {}", key.name)).unwrap_or_default();
        let _ = writeln!(
            out,
            "  {:<width$}  {}, {}, {}{key}",
            table.name,
            table.paths.join(", "),
            counted(table.rows, "row"),
            counted(table.columns.len() as u64, "column")
        );
        if table.rejected > 0 {
            let _ = writeln!(out, "  {:<width$}  {} could not be read", "", grouped(table.rejected));
        }
    }
    for (file, reason) in &survey.left_out {
        let _ = writeln!(out, "  left out: {file} ({reason})");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_where_they_have_to_be() {
        for (name, expected) in [
            ("patient_id", "patient_id"),
            ("FullName", "\"FullName\""),
            ("use", "\"use\""),
            ("a\"b", "\"a\"\"b\""),
            ("{{ x }}", "{% raw %}\"{{ x }}\"{% endraw %}"),
        ] {
            assert_eq!(sql_name(name), expected);
        }
        for (text, expected) in [
            ("raw_patients.csv", "raw_patients.csv"),
            ("p_{date}.csv", "\"p_{date}.csv\""),
            ("no", "\"no\""),
            ("a: b", "\"a: b\""),
            ("{{x", "\"{% raw %}{{x{% endraw %}\""),
        ] {
            assert_eq!(yaml(text), expected);
        }
    }
}
