//! Expectations, quarantine, repairs and accounting on a small project of its own.

use crate::world::World;

const PROJECT: &str = "name: audit\nversion: '1.0'\nmodel-paths: [models, sources]\nmodels:\n  +materialized: table\n";

const SOURCE: &str = "version: 2
sources:
  - name: feed
    schema: bronze
    tables:
      - name: stays
        config:
          meta:
            wardlake:
              path: 'landing/stays_{date}.csv'
              keys: [stay]
              change: changes
      - name: wards
        config:
          meta:
            wardlake:
              path: 'landing/wards.csv'
";

const MODEL: &str = "select
    nullif(trim(stay), '') as stay,
    case when lower(trim(gender)) in ('w', '2') then 'F' else upper(trim(gender)) end as gender,
    try_cast(admitted as date) as admitted,
    try_cast(discharged as date) as discharged,
    try_cast(beds as integer) as beds,
    ward,
    state = 'test' as is_test,
    _file as source_file,
    _position as source_position,
    gender as _raw_gender,
    beds as _raw_beds,
    _source as _raw__source,
    _file as _raw__file,
    _position as _raw__position,
    _batch_id as _raw__batch_id,
    _row_hash as _raw__row_hash
from {{ source('feed', 'stays') }}
";

fn properties(expectations: &str) -> String {
    format!(
        "version: 2
models:
  - name: stays
    config:
      meta:
        wardlake:
          input: source('feed', 'stays')
          expectations:
{expectations}
          repairs:
            - {{standardise: gender, spellings: {{F: [w, '2']}}, name: gender_spelling}}
            - deduplicate: {{key: stay, order_by: [_raw__file desc, _raw__position desc], version: admitted}}
          filters:
            - {{name: test_patients, where: is_test, reason: not a patient}}
"
    )
}

pub(crate) const RULES: &str =
    "            - {before: {column: admitted, other: discharged}, kind: wrong_order, reason: left before coming}
            - typed: beds
            - {exists_in: {column: ward, to: \"source('feed', 'wards')\", field: ward}, action: warn, name: known_ward}
            - {between: {column: beds, min: 0, max: 9}, action: warn}";

const STAYS: &str = "stay,gender,admitted,discharged,beds,ward,state
1,F,2025-01-01,2025-01-03,1,A,
2,w,2025-01-01,2025-01-03,1,A,
3,M,2025-01-05,2025-01-03,1,A,
4,M,2025-01-01,2025-01-03,many,Z,
5,M,2025-01-01,,1,Z,
6,M,2025-01-01,,1,A,test
7,M,2025-01-01,,1,A,
";

pub(crate) fn world(expectations: &str) -> World {
    let world = World::empty();
    world.write("dbt_project.yml", PROJECT);
    world.write("sources/feed.yml", SOURCE);
    world.write("models/stays.sql", MODEL);
    world.write("models/stays.yml", properties(expectations));
    world.write("models/fct_stays.sql", "select * from {{ ref('stays') }}");
    world.write("landing/wards.csv", "ward\nA\nB\n");
    world.write("landing/stays_2025-01-10.csv", STAYS);
    // The same stay later: another state; and once more with the same version and other content.
    world.write(
        "landing/stays_2025-01-11.csv",
        "stay,gender,admitted,discharged,beds,ward,state\n7,M,2025-01-02,2025-01-09,1,A,\n7,M,2025-01-02,2025-01-08,1,A,\n",
    );
    world
}

#[test]
fn every_row_is_accounted_for() {
    let world = world(RULES);
    world.ok(&["ingest"]);
    let printed = world.ok(&["build"]);
    assert!(printed.contains("2 rows quarantined, 1 cell repaired, 1 duplicate, 2 warnings"), "{printed}");
    let accounts = &world.sql("select * from system.accounting")[0];
    let counts = ["rows_in", "rows_out", "rows_quarantined", "rows_duplicate", "rows_filtered"];
    assert_eq!(counts.map(|name| accounts[name].as_str()), ["9", "4", "2", "1", "2"]);
    assert_eq!(accounts["is_balanced"], "true");
    let stored: Vec<String> = world
        .sql("select stay || gender as s from main.stays order by stay")
        .into_iter()
        .map(|row| row["s"].clone())
        .collect();
    assert_eq!(stored, ["1F", "2F", "5M", "7M"]);
    let hidden = "select count(*) as n from information_schema.columns where table_schema = 'main' and column_name like '\\_raw%'";
    assert_eq!(world.value(hidden), "0", "hidden columns are not stored");

    let withheld = world.sql("select array_to_string(rules, ',') as rules, row_key, source_position, raw from quarantine.stays order by row_key");
    assert_eq!(withheld[0]["rules"], "before_admitted_discharged");
    assert_eq!(withheld[1]["rules"], "typed_beds,known_ward", "every rule it broke is named");
    assert_eq!((withheld[1]["row_key"].as_str(), withheld[1]["source_position"].as_str()), ("4", "5"));
    assert!(withheld[1]["raw"].contains("\"beds\":\"many\""), "{}", withheld[1]["raw"]);

    let found = world.sql("select rule, action, row_key, raw_value, value from audit.stays order by row_key, rule");
    let found: Vec<String> =
        found.iter().map(|row| format!("{} {} {}", row["rule"], row["action"], row["row_key"])).collect();
    assert_eq!(found, ["gender_spelling repair 2", "known_ward warn 5", "conflicting_duplicate conflict 7"]);
    let statuses = world.sql("select rule, rows_checked, rows_broken, status from system.rule_results order by rule");
    let status = |rule: &str| statuses.iter().find(|row| row["rule"] == rule).unwrap()["status"].clone();
    assert_eq!((status("typed_beds").as_str(), status("between_beds").as_str()), ("warn", "pass"));

    let explained = world.ok(&["explain", "fct_stays", "2"]);
    for part in ["← model main.stays", "gender_spelling: gender `w` became `F`", "2,w,2025-01-01,2025-01-03,1,A,"] {
        assert!(explained.contains(part), "`{part}` is missing in:\n{explained}");
    }
}

#[test]
fn a_failed_gate_leaves_the_published_table_as_it_was() {
    let world = world(RULES);
    world.ok(&["ingest"]);
    world.ok(&["build"]);
    world.write(
        "models/stays.yml",
        properties(&format!("{RULES}\n            - {{not_null: discharged, action: fail}}")),
    );
    let printed = world.fails(1, &["build"]);
    assert!(printed.contains("`not_null_discharged` is broken by 3 of 9 rows"), "{printed}");
    assert_eq!(world.count("main.stays"), 4);
    world.write(
        "models/stays.yml",
        properties(&format!("{RULES}\n            - {{not_null: discharged, action: fail, threshold: 40 %}}")),
    );
    world.ok(&["build"]);
    // Rows that are lost on the way are a failed gate too.
    world.write("models/stays.sql", format!("{MODEL}where stay <> '1'\n"));
    let printed = world.fails(1, &["build"]);
    assert!(printed.contains("rows are unaccounted for: 9 in"), "{printed}");
    assert_eq!(world.count("main.stays"), 4);
}

#[test]
fn corrected_rows_flow_on_as_if_they_had_come_right() {
    let world = world(RULES);
    world.ok(&["ingest"]);
    world.ok(&["build"]);
    let fixed = world.ok(&[
        "quarantine",
        "fix",
        "stays",
        "--set",
        "beds = '1'",
        "--where",
        "array_has(rules, 'typed_beds')",
        "--reason",
        "asked the ward",
        "--by",
        "anna",
    ]);
    assert!(fixed.starts_with("Corrected 1 cell in 1 row of stays"), "{fixed}");
    let id = world.value("select quarantine_id as i from quarantine.stays where state = 'open'");
    world.write("fix.csv", format!("quarantine_id,admitted\n{id},2025-01-02\n"));
    world.ok(&["quarantine", "fix", "stays", "--file", "fix.csv", "--reason", "from paper", "--by", "ben"]);
    world.ok(&["quarantine", "replay"]);
    let clean = World::empty();
    for file in [
        "dbt_project.yml",
        "sources/feed.yml",
        "models/stays.sql",
        "models/stays.yml",
        "models/fct_stays.sql",
        "landing/wards.csv",
        "landing/stays_2025-01-11.csv",
    ] {
        clean.write(file, std::fs::read(world.path().join(file)).unwrap());
    }
    let stays = STAYS.replace("3,M,2025-01-05", "3,M,2025-01-02").replace("many", "1");
    clean.write("landing/stays_2025-01-10.csv", stays);
    clean.ok(&["ingest"]);
    clean.ok(&["build"]);
    let gold = |world: &World| world.sql("select * from main.fct_stays order by stay");
    assert_eq!(gold(&world), gold(&clean));
    assert_eq!(gold(&world).len(), 6);
    // Both versions are kept, and who changed what.
    assert_eq!(world.value("select count(*) as n from bronze.stays where _batch_id like 'fix:%'"), "2");
    let actions =
        world.sql("select actor, column_name, old_value, new_value from system.quarantine_actions order by actor");
    let actions: Vec<String> = actions
        .iter()
        .map(|row| format!("{} {} {} {}", row["actor"], row["column_name"], row["old_value"], row["new_value"]))
        .collect();
    assert_eq!(actions, ["anna beds many 1", "ben admitted 2025-01-05 2025-01-02"]);
    // A correction can be corrected; the same one again is none.
    let again = ["quarantine", "fix", "stays", "--set", "beds = '2'", "--where", "row_key = '4'", "--reason", "two"];
    assert!(world.ok(&again).starts_with("Corrected 1 cell in 1 row"));
    let nothing = world.fails(1, &again);
    assert!(
        nothing.contains("No open row of stays was changed: the rows that meet the condition have these values"),
        "{nothing}"
    );
    world.ok(&["quarantine", "replay"]);
    assert_eq!(world.value("select beds as b from main.fct_stays where stay = '4'"), "2");
    // Replaying again changes nothing, and neither does the same extract again.
    let versions = world.value("select max(version) as v from system.run_nodes where relation = 'main.stays'");
    world.ok(&["quarantine", "replay"]);
    world.ok(&["ingest"]);
    world.ok(&["build"]);
    assert_eq!(world.value("select max(version) as v from system.run_nodes where relation = 'main.stays'"), versions);
}

#[test]
fn a_source_that_still_sends_the_wrong_value_does_not_undo_a_correction() {
    let world = world(RULES);
    world.ok(&["ingest"]);
    world.ok(&["build"]);
    world.ok(&["quarantine", "fix", "stays", "--set", "beds = '1'", "--where", "row_key = '4'", "--reason", "x"]);
    world.write("landing/stays_2025-01-12.csv", STAYS);
    world.ok(&["ingest"]);
    world.ok(&["build"]);
    let stay = "select count(*) as n from main.stays where stay = '4' and beds = 1";
    assert_eq!(world.value(stay), "1");
    assert_eq!(world.value("select count(*) as n from quarantine.stays where row_key = '4'"), "1", "it is no news");
}

#[test]
fn dismissed_rows_stay_out_and_are_not_open() {
    let world = world(RULES);
    world.ok(&["ingest"]);
    world.ok(&["build"]);
    let printed = world.ok(&["quarantine", "dismiss", "stays", "--where", "row_key = '3'", "--reason", "a test"]);
    assert!(printed.starts_with("1 row of stays: dismissed"), "{printed}");
    world.ok(&["build", "--full-refresh"]);
    let states = world.sql("select row_key, state from quarantine.stays order by row_key");
    let states: Vec<&str> = states.iter().map(|row| row["state"].as_str()).collect();
    assert_eq!(states, ["dismissed", "open"]);
    // A changed rule lets a row go: it is released.
    world.write("models/stays.yml", properties(&RULES.replace("- typed: beds", "- {typed: beds, action: warn}")));
    world.ok(&["quarantine", "replay", "stays"]);
    assert_eq!(world.value("select state as s from quarantine.stays where row_key = '4'"), "released");
    assert_eq!(world.value("select count(*) as n from main.stays where stay = '4'"), "1");
}

#[test]
fn what_is_wrong_in_a_declaration_is_told_with_its_line() {
    let world = world("            - {not_nul: beds}");
    let printed = world.fails(2, &["parse"]);
    assert!(printed.contains("did you mean `not_null`?") && printed.contains("stays.yml:9"), "{printed}");
    world.write("models/stays.yml", properties("            - {not_null: bed}"));
    world.ok(&["ingest"]);
    let printed = world.fails(1, &["build"]);
    assert!(printed.contains("expectation `not_null_bed` asks for column `bed`; did you mean `beds`?"), "{printed}");
}
