//! Models of one's own, with nothing of the shipped project: a withheld row is found in bronze, and explained, all the same.

use crate::world::{World, copy_folder, repository};

const SOURCE: &str = "version: 2
sources:
  - name: feed
    schema: bronze
    tables:
      - name: stays
        config:
          meta:
            wardlake:
              path: 'landing/stays.csv'
        columns: [{name: stay}, {name: beds}]
";

const PROPERTIES: &str = "version: 2
models:
  - name: stays
    config:
      meta:
        wardlake:
          INPUT
          row_key: stay
          expectations:
            - {not_null: beds}
";

const INPUT: &str = "input: source('feed', 'stays')";
const BEDS: &str = "try_cast(beds as integer) as beds";

/// A project with one model; the second of its three rows is withheld.
fn world(input: &str, sql: &str) -> World {
    let world = World::empty();
    let project = "name: own\nversion: '1.0'\nmodel-paths: [models, sources]\nmodels:\n  +materialized: table\n";
    world.write("dbt_project.yml", project);
    world.write("sources/feed.yml", SOURCE);
    world.write("macros/changes.sql", "{% macro changes(relation) %}{{ relation }}{% endmacro %}");
    world.write("models/stays.yml", PROPERTIES.replace("INPUT", input));
    world.write("models/stays.sql", sql);
    world.write("landing/stays.csv", "stay,beds\n1,1\n2,many\n3,3\n");
    world.ok(&["ingest"]);
    world.ok(&["build"]);
    assert_eq!(world.count("main.stays"), 2, "{sql}");
    world
}

fn fix(filter: &str) -> [&str; 9] {
    ["quarantine", "fix", "stays", "--set", "beds = '2'", "--where", filter, "--reason", "asked"]
}

#[test]
fn b06_a_withheld_row_of_a_model_of_ones_own_is_kept_as_it_came_and_corrected() {
    let source = "{{ source('feed', 'stays') }}";
    for sql in [
        format!("select stay, {BEDS} from {source}"),
        format!("select stay, {BEDS}, _file as source_file, _position as source_position from {source}"),
        format!("select stay, {BEDS}, _file, _position from {source} as s"),
        format!("select * exclude (beds), {BEDS} from {source}"),
        format!(
            "-- Größe\nwith raw as (select * from {source}), typed as (select raw.stay, {BEDS} from raw)\n\
             select * from typed where stay is not null"
        ),
        format!("select stay, {BEDS} from (select stay, beds, _position from {source}) as inner_rows"),
        format!(
            "select stay, {BEDS} from {source} where stay < '2' union all select stay, {BEDS} from {source} where stay >= '2'"
        ),
        format!(
            "{{{{ config(materialized='incremental') }}}}\nselect stay, {BEDS} from {{{{ changes(source('feed', 'stays')) }}}}"
        ),
    ] {
        let world = world(INPUT, &sql);
        let withheld = &world.sql("select source, source_file, source_position, raw from quarantine.stays")[0];
        let place = ["source", "source_file", "source_position"].map(|name| withheld[name].as_str());
        assert_eq!(place, ["feed.stays", "landing/stays.csv", "3"], "{sql}");
        assert!(withheld["raw"].contains("many"), "{sql}: {withheld:?}");
        let fixed = world.ok(&fix("beds = 'many'"));
        assert!(fixed.starts_with("Corrected 1 cell in 1 row of stays"), "{sql}: {fixed}");
        world.ok(&["quarantine", "replay"]);
        let stays = world.sql("select stay, beds from main.stays order by stay");
        let stays: Vec<String> = stays.iter().map(|row| format!("{} {}", row["stay"], row["beds"])).collect();
        assert_eq!(stays, ["1 1", "2 2", "3 3"], "{sql}");
        let columns = world.sql("select * from main.stays limit 1").remove(0);
        assert!(columns.keys().all(|name| !name.starts_with("_raw_")), "{sql}: {columns:?}");
    }
}

#[test]
fn b06_without_an_input_the_one_source_behind_views_is_it() {
    let world = World::empty();
    let sql = "select stay, try_cast(beds as integer) as beds, _file as _raw__file, _position as _raw__position, \
               _batch_id as _raw__batch_id from {{ ref('received') }}";
    world
        .write("models/received.sql", "{{ config(materialized='view') }}\nselect * from {{ source('feed', 'stays') }}");
    let project = "name: own\nversion: '1.0'\nmodel-paths: [models, sources]\nmodels:\n  +materialized: table\n";
    world.write("dbt_project.yml", project);
    world.write("sources/feed.yml", SOURCE);
    world.write("models/stays.yml", PROPERTIES.replace("          INPUT\n", ""));
    world.write("models/stays.sql", sql);
    world.write("landing/stays.csv", "stay,beds\n1,1\n2,many\n");
    world.ok(&["ingest"]);
    world.ok(&["build"]);
    assert!(world.value("select raw from quarantine.stays").contains("many"));
    assert!(world.ok(&fix("beds = 'many'")).starts_with("Corrected 1 cell in 1 row of stays"));
    world.ok(&["quarantine", "replay"]);
    assert_eq!(world.count("main.stays"), 2);
}

#[test]
fn b06_what_changes_nothing_says_why_and_fails() {
    let world = world(INPUT, "select stay, try_cast(beds as integer) as beds from {{ source('feed', 'stays') }}");
    let told = world.fails(1, &fix("beds = 'few'"));
    assert!(told.contains("No open row of stays was changed: no such row meets the condition"), "{told}");
    let dismiss = ["quarantine", "dismiss", "stays", "--where", "row_key = '9'", "--reason", "a test"];
    let told = world.fails(1, &dismiss);
    assert!(told.contains("No row of stays is dismissed: no such row meets the condition"), "{told}");
    let told = world.fails(1, &["quarantine", "reopen", "stays", "--reason", "a test"]);
    assert!(told.contains("No row of stays is open again: `stays` has no row that is dismissed"), "{told}");
    world.ok(&["quarantine", "dismiss", "stays", "--reason", "a test"]);
    let told = world.fails(1, &fix("true"));
    assert!(told.contains("`stays` has no row that is open"), "{told}");
    world.ok(&["quarantine", "reopen", "stays", "--reason", "a test"]);

    // Rows of a group are no rows of bronze.
    let grouped =
        "select stay, try_cast(max(beds) as integer) as beds from {{ source('feed', 'stays') }} group by stay";
    world.write("models/stays.sql", grouped);
    world.ok(&["build"]);
    let told = world.fails(1, &fix("beds = 'many'"));
    assert!(told.contains("have no place in bronze.stays") && told.contains("_file as _raw__file"), "{told}");
}

#[test]
fn b04_the_first_model_of_the_readme_takes_the_newest_row() {
    let world = World::empty();
    world.write("dbt_project.yml", "name: own\nversion: '1.0'\nmodel-paths: [models, sources]\n");
    let source = "version: 2\nsources:\n  - name: registration\n    schema: bronze\n    tables:\n      - name: patients\n        \
                  config:\n          meta:\n            wardlake:\n              path: 'landing/patients_{date}.csv'\n              \
                  keys: [patient_id]\n              change: changes\n";
    world.write("sources/registration.yml", source);
    world.write(
        "models/patients.sql",
        "{{ config(materialized='table') }}
select patient_id, try_cast(date_of_birth as date) as birth_date
from {{ source('registration', 'patients') }}
qualify row_number() over (partition by patient_id order by _file desc, _received_at desc, _position desc) = 1
",
    );
    let load = |day: &str, rows: &str| {
        world.write(&format!("landing/patients_2026-01-{day}.csv"), format!("patient_id,date_of_birth\n{rows}"));
        world.ok(&["ingest"]);
    };
    load("05", "P1,1972-02-01\nP2,1980-01-01\n");
    // Replaced in place: the corrected row stands on an earlier line than before.
    load("05", "P2,1981-01-01\nP1,1972-02-01\nP3,1990-01-01\n");
    // A file that comes late tells of an earlier day.
    load("04", "P3,1999-09-09\n");
    world.ok(&["build"]);
    let born = world.sql("select patient_id, birth_date from main.patients order by patient_id");
    let born: Vec<String> = born.iter().map(|row| format!("{} {}", row["patient_id"], row["birth_date"])).collect();
    assert_eq!(born, ["P1 1972-02-01", "P2 1981-01-01", "P3 1990-01-01"]);
}

#[test]
fn b05_a_row_behind_a_union_is_explained_by_its_own_source_or_not_at_all() {
    let world = World::empty();
    world.write("dbt_project.yml", "name: own\nversion: '1.0'\nmodel-paths: [models, sources]\n");
    let hospital = |name: &str| {
        format!(
            "  - name: {name}\n    schema: bronze\n    config: {{meta: {{wardlake: {{root: 'landing/{name}'}}}}}}\n    tables:\n      \
             - name: patients\n        identifier: {name}_patients\n        config: {{meta: {{wardlake: {{path: 'patients.csv'}}}}}}\n"
        )
    };
    world.write("sources/feeds.yml", format!("version: 2\nsources:\n{}{}", hospital("north"), hospital("south")));
    world.write("landing/north/patients.csv", "id,name\nN1,Anna\nN2,Bert\n");
    world.write("landing/south/patients.csv", "id,name\nS1,Carla\nS2,Dora\nS3,Emil\n");
    let branch = |name: &str, more: &str| {
        format!(
            "select id, name{more}, _file as source_file, _position as source_position from {{{{ source('{name}', 'patients') }}}}"
        )
    };
    for (model, more) in [("silent", ""), ("telling", ", _source as source_name")] {
        let sql = format!("{} union all {}", branch("north", more), branch("south", more));
        world.write(&format!("models/{model}.sql"), format!("{{{{ config(materialized='table') }}}}\n{sql}"));
    }
    world.ok(&["ingest"]);
    world.ok(&["build"]);
    for (id, line, other) in [("N1", "N1,Anna", "Carla"), ("S1", "S1,Carla", "Anna")] {
        let told = world.ok(&["explain", "telling", id]);
        assert!(told.contains(line) && !told.contains(other), "{told}");
        let told = world.ok(&["explain", "silent", id]);
        assert!(told.contains("cannot be told") && told.contains("north.patients and south.patients"), "{told}");
        assert!(!told.contains(line) && !told.contains(other), "{told}");
    }
    // One of them only has a line of that number.
    let told = world.ok(&["explain", "silent", "S3"]);
    assert!(told.contains("S3,Emil") && told.contains("south.patients"), "{told}");
}

#[test]
fn b18_capitals_with_a_tilde_or_a_circumflex_are_no_damage() {
    let world = World::empty();
    copy_folder(&repository().join("hospital"), world.path());
    let damaged = |first: &str, last: &str| {
        let sql =
            format!("select {{{{ is_damaged_text(['f', 'l']) }}}} as d from (values ('{first}', '{last}')) as t(f, l)");
        let text = world.ok(&["show", "--inline", &sql, "--format", "csv"]);
        text.lines().last().unwrap().to_owned()
    };
    for (first, last) in [("JOÃO", "CONCEIÇÃO"), ("ÂNGELA", "MAGALHÃES"), ("Ângela", "Ã"), ("Zoë", "O''Neill")]
    {
        assert_eq!(damaged(first, last), "false", "{first} {last}");
    }
    for (first, last) in [("JosÃ©", "Silva"), ("Zo", "MÃ¼ller"), ("Ã‰mile", "x"), ("a", "Fran�ois"), ("Ã?mile", "x")]
    {
        assert_eq!(damaged(first, last), "true", "{first} {last}");
    }
}

#[test]
fn d01_a_withheld_message_is_corrected_and_reaches_the_ledger() {
    let world = World::empty();
    copy_folder(&repository().join("hospital"), world.path());
    world.ok(&["simulate", "--out", "landing", "--days", "3", "--hospitals", "1", "--seed", "11", "--dirt", "0"]);
    let message = "MSH|^~\\&|ADT|C01|LAKE|HOME|20990105080000-0500||ADT^A01|1|P|2.5.1\rEVN|A01|20990105080000-0500\r\
                   PID|1||P1\rPV1|1|I|W1^101^A||||||||||||||||E1\r";
    world.write("landing/hl7/messages.hl7", message);
    world.ok(&["ingest"]);
    world.ok(&["build"]);
    let ledger = "silver.int_bed_ledger where encounter_id = 'E1'";
    assert_eq!(world.count(ledger), 0);
    let raw = world.value("select raw from quarantine.stg_hl7__adt where state = 'open'");
    assert!(raw.contains("20990105080000"), "{raw}");
    let at = "'20260105080000-0500'";
    let (occurred, recorded) = (format!("occurred_at = {at}"), format!("recorded_at = {at}"));
    let reason = ["--reason", "the sender's clock"];
    let fix = ["quarantine", "fix", "stg_hl7__adt", "--set", &occurred, "--set", &recorded];
    let told = world.ok(&[&fix[..], &reason].concat());
    assert!(told.starts_with("Corrected 2 cells in 1 row of stg_hl7__adt"), "{told}");
    world.ok(&["quarantine", "replay", "stg_hl7__adt"]);
    assert_eq!(world.count("silver.stg_hl7__adt where encounter_id = 'E1'"), 1);
    assert_eq!(world.count(ledger), 1);
}

/// The rows of keys that repeat, numbered by a window: the many rows are not held for the few keys, and texts that batches share are counted
/// once. (Two gigabytes were not enough for two million rows, where the process took a third of one.)
#[test]
fn a_window_over_the_rows_of_keys_that_repeat_runs_in_little_memory() {
    let world = World::empty();
    world.write("dbt_project.yml", "name: own\nversion: '1.0'\nmodels:\n  +materialized: table\n");
    world.write("wardlake.yml", "targets:\n  dev: {lake: ./lake, memory_limit: 256MiB}\n");
    world.write(
        "models/visits.sql",
        "select concat('visit-', cast(n % 900000 as varchar)) as id, concat('patient of the house ', cast(n % 5003 as varchar)) as patient,
                concat('a note that is longer than a view of a text, ', cast(n as varchar)) as note, n
         from (select unnest(range(0, 1000000)) as n) as numbers",
    );
    world.write(
        "models/repeated.sql",
        "select v.*, row_number() over (partition by v.id order by v.n) as place, count(*) over (partition by v.patient) as many
         from {{ ref('visits') }} v join (select id from {{ ref('visits') }} group by id having count(*) > 1) twice on twice.id = v.id",
    );
    world.ok(&["run"]);
    assert_eq!(world.count("main.repeated"), 200_000);
    assert_eq!(world.value("select count(*) as n from main.repeated where place = 2"), "100000");

    // What is too much says who held how much.
    world.write("wardlake.yml", "targets:\n  dev: {lake: ./lake, memory_limit: 32MiB}\n");
    let refused = world.run(&["run", "--full-refresh", "-s", "repeated"]);
    let said = String::from_utf8_lossy(&refused.stdout);
    assert!(said.contains("the memory limit is too small") && said.contains("most was held by"), "{said}");
}
