//! Rows that were withheld and corrected: gold is what it would have been had they come right.

use std::collections::BTreeMap;

use crate::world::{World, copy_folder, csv_rows, repository};

/// The hospital project on a simulated network whose numbers are damaged at this rate.
fn hospital(dirt: &str) -> World {
    let world = World::empty();
    copy_folder(&repository().join("hospital"), world.path());
    world.ok(&["simulate", "--out", "landing", "--days", "3", "--hospitals", "1", "--seed", "11", "--dirt", dirt]);
    world.ok(&["ingest"]);
    world.ok(&["build"]);
    world
}

/// Place of a damaged row → the column and what it should hold.
fn truth(world: &World) -> BTreeMap<(String, String), (String, String)> {
    csv_rows(&world.path().join("landing/_truth/dirty_rows.csv"))
        .into_iter()
        .map(|row| ((row["file"].clone(), row["line"].clone()), (row["column"].clone(), row["original"].clone())))
        .collect()
}

#[test]
fn corrected_rows_reach_gold_as_if_they_had_come_right() {
    let dirty = hospital("not_a_number=0.06");
    let truth = truth(&dirty);
    let models = dirty.sql(
        "select model, cast(max(rows_open) as varchar) as n from system.accounting where rows_open > 0 group by model \
         order by model",
    );
    let (mut by_sql, mut by_file) = (0, 0);
    for model in models.iter().map(|row| row["model"].as_str()) {
        let withheld = dirty.sql(&format!(
            "select quarantine_id, source_file, source_position from quarantine.{model} where state = 'open'"
        ));
        let mut columns: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
        for row in &withheld {
            let (column, original) = &truth[&(row["source_file"].clone(), row["source_position"].clone())];
            columns.entry(column).or_default().push((&row["quarantine_id"], original));
        }
        for (index, (column, rows)) in columns.into_iter().enumerate() {
            // Every second column by SQL, the others by file.
            if index % 2 == 0 {
                let cases: String = rows.iter().map(|(id, value)| format!(" when '{id}' then '{value}'")).collect();
                let ids: Vec<String> = rows.iter().map(|(id, _)| format!("'{id}'")).collect();
                let set = format!("{column} = case withheld.quarantine_id{cases} end");
                let filter = format!("withheld.quarantine_id in ({})", ids.join(", "));
                dirty.ok(&[
                    "quarantine",
                    "fix",
                    model,
                    "--set",
                    &set,
                    "--where",
                    &filter,
                    "--reason",
                    "asked",
                    "--by",
                    "a",
                ]);
                by_sql += rows.len();
            } else {
                let lines: Vec<String> = rows.iter().map(|(id, value)| format!("{id},{value}")).collect();
                dirty.write("fix.csv", format!("quarantine_id,{column}\n{}\n", lines.join("\n")));
                dirty.ok(&["quarantine", "fix", model, "--file", "fix.csv", "--reason", "from the paper records"]);
                by_file += rows.len();
            }
        }
    }
    assert!(by_sql >= 10 && by_file >= 10 && by_sql + by_file >= 100, "{by_sql} by SQL, {by_file} by file");
    dirty.ok(&["quarantine", "replay"]);
    assert_eq!(open(&dirty), 0);
    let clean = hospital("0");
    let (got, wanted) = (gold(&dirty), gold(&clean));
    assert_eq!(got.keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>());
    for (table, rows) in &wanted {
        assert_eq!(&got[table], rows, "{table}");
    }
    // A second replay finds nothing to do.
    let epoch = dirty.ok(&["epochs", "list"]);
    dirty.ok(&["quarantine", "replay"]);
    assert_eq!(dirty.ok(&["epochs", "list"]), epoch);
}

fn open(world: &World) -> u64 {
    let tables = world.sql("select table_name as t from information_schema.tables where table_schema = 'quarantine'");
    tables.iter().map(|table| world.count(&format!("quarantine.{} where state = 'open'", table["t"]))).sum()
}

/// Every gold table; what is about the state of the data itself is left out.
fn gold(world: &World) -> BTreeMap<String, Vec<String>> {
    let mut contents = world.contents();
    contents.retain(|name, _| name.starts_with("\"gold\""));
    contents
}
