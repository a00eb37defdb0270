//! Names of columns and tables from outside: spellings that differ in case, names that are values, tables that are somebody else's. Nothing of it
//! stops what comes behind it, and nothing makes columns for ever or writes where it does not belong.

use crate::{
    served::{Answer, Served},
    world::World,
};

const PROJECT: &str = "name: names\nversion: '1.0'\nmodel-paths: [models, sources]\n";

const SOURCE: &str = "version: 2
sources:
  - name: feed
    schema: bronze
    tables:
      - name: events
        config: {meta: {wardlake: {http: true, format: {type: ndjson}}}}
        columns: [{name: id}, {name: ward}]
      - name: any
        config: {meta: {wardlake: {http: true}}}
      - name: drops
        config: {meta: {wardlake: {path: 'landing/drops/*.ndjson', format: ndjson}}}
      - name: patients
        config:
          meta:
            wardlake:
              path: 'landing/patients_{date}.csv'
              keys: [patient_id]
              change: full
";

fn world() -> World {
    let world = World::empty();
    world.write("dbt_project.yml", PROJECT);
    world.write("sources/feed.yml", SOURCE);
    world.write("models/wards.sql", "select id, ward from {{ source('feed', 'events') }}");
    world
}

fn post(served: &Served, table: &str, content_type: Option<&str>, body: impl AsRef<[u8]>) -> Answer {
    let headers: Vec<(&str, &str)> = content_type.map(|value| ("Content-Type", value)).into_iter().collect();
    served.post(&format!("/ingest/feed/{table}"), &headers, body.as_ref())
}

/// The values of a column of a query, in its order.
fn column(world: &World, query: &str, name: &str) -> Vec<String> {
    world.sql(query).into_iter().map(|mut row| row.remove(name).unwrap()).collect()
}

/// An object with so many keys.
fn wide(keys: usize) -> String {
    let members: Vec<String> = (0..keys).map(|key| format!("\"key{key}\":1")).collect();
    format!("{{{}}}\n", members.join(","))
}

#[test]
fn a02_names_that_differ_in_case_hold_up_no_delivery() {
    let world = world();
    let served = Served::start(&world, &[], &["http"]);
    for body in [
        r#"{"id":"c1","ward":"A"}"#,
        r#"{"ID":"c2"}"#,
        r#"{"_FILE_2":"x","id":"c3"}"#,
        r#"{"_file":"y","id":"c4"}"#,
        r#"{"id":"c5","Id":"five"}"#,
        r#"{"iD":"c6","WARD":"B"}"#,
    ] {
        assert_eq!(post(&served, "events", None, body).status, 200, "{body}");
    }
    served.wait_until_shown("feed.events", 6);
    served.kill();
    let served = Served::start(&world, &[], &["http"]);
    let two = "{\"Ward\":\"C\",\"id\":\"c7\"}\n{\"id_2\":\"seven\",\"ID\":\"c8\"}\n";
    assert_eq!(post(&served, "events", None, two).status, 200);
    served.wait_until_shown("feed.events", 8);
    served.stop();
    let ids = column(&world, "select id from bronze.events order by _position", "id");
    assert_eq!(ids, ["c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8"]);
    let wards = column(&world, "select ward from main.wards where ward is not null order by ward", "ward");
    assert_eq!(wards, ["A", "B", "C"]);
    let told_apart = world.sql(
        "select \"_FILE_2\" as f, \"Id_2\" as i from bronze.events \
         where \"_FILE_2\" is not null or \"Id_2\" is not null order by _position",
    );
    let told_apart: Vec<(&str, &str)> = told_apart.iter().map(|row| (row["f"].as_str(), row["i"].as_str())).collect();
    assert_eq!(told_apart, [("x", ""), ("y", ""), ("", "five"), ("", "seven")]);
    // Lineage columns are what they were.
    assert_eq!(world.value("select count(*) as n from bronze.events where _file like '_landing/intake/%'"), "8");
}

#[test]
fn a02_both_spellings_in_files_are_one_column() {
    let world = world();
    world.write("landing/drops/a.ndjson", "{\"id\":1}\n{\"ID\":2}\n{\"id\":3,\"ID\":4}\n");
    world.ok(&["ingest"]);
    world.write("landing/drops/b.ndjson", "{\"Id\":5,\"New\":6}\n{\"NEW\":7}\n");
    world.ok(&["ingest"]);
    world.ok(&["ingest"]);
    let rows = world.sql("select id, \"ID_2\" as other, \"New\" as more from bronze.drops order by _file, _position");
    let rows: Vec<[&str; 3]> = rows.iter().map(|row| ["id", "other", "more"].map(|name| row[name].as_str())).collect();
    assert_eq!(rows, [["1", "", ""], ["2", "", ""], ["3", "4", ""], ["5", "", "6"], ["", "", "7"]]);
}

#[test]
fn b08_keys_are_looked_for_in_the_header_and_a_file_without_them_stops_alone() {
    let world = world();
    world.write("landing/patients_2026-01-01.csv", "Patient_ID,ward\n7,A\n");
    world.write("landing/patients_2026-01-02.csv", "mrn,ward\n7,C\n");
    world.write("landing/patients_2026-01-03.csv", "PATIENT_ID,ward\n7,A\n8,B\n");
    let printed = world.fails(1, &["ingest"]);
    assert!(printed.contains("patients_2026-01-02.csv") && printed.contains("no column `patient_id`"), "{printed}");
    assert!(printed.contains("mrn, ward"), "{printed}");
    let rows = || {
        let rows =
            world.sql("select \"Patient_ID\" as id, ward, _change from bronze.patients order by _file, _position");
        rows.iter().map(|row| format!("{} {} {}", row["id"], row["ward"], row["_change"])).collect::<Vec<_>>()
    };
    assert_eq!(
        rows(),
        ["7 A insert", "8 B insert"],
        "the files around it are loaded, and what did not change is no update"
    );
    // Put right, it takes its place between them.
    world.write("landing/patients_2026-01-02.csv", "patient_id,ward\n7,C\n");
    world.ok(&["ingest"]);
    assert_eq!(rows(), ["7 A insert", "7 C update", "7 A update", "8 B insert"]);
}

#[test]
fn b20_what_is_no_record_of_the_table_is_refused_and_makes_no_column() {
    let world = world();
    let served = Served::start(&world, &[], &["http"]);
    let message = "MSH|^~\\&|A|F|||2026||ADT^A01|1|P|2.5\rPID|1||P1\r";
    let csv = "id,ward\n1,A\n";
    let refused: [(&str, Option<&str>, Vec<u8>); 15] = [
        ("events", None, b"{\"id\":\"\xff\"}".to_vec()),
        ("events", None, b"{\"id\":\"M\xfcller\"}".to_vec()),
        ("events", None, b"{\"id\":NaN}".to_vec()),
        ("events", None, b"{\"id\":1,\"x\":-Infinity}".to_vec()),
        ("events", None, wide(10_000).into()),
        ("events", None, format!("{{\"{}\":1}}", "n".repeat(2000)).into()),
        ("events", None, b"{\"a\\nb\":1}".to_vec()),
        ("events", Some("text/csv"), csv.into()),
        ("events", Some("text/csv"), message.into()),
        ("events", Some("text/tab-separated-values"), "id\tward\n1\tA\n".into()),
        ("events", Some("application/hl7-v2"), message.into()),
        ("events", Some("application/json"), message.into()),
        ("any", Some("text/csv"), message.into()),
        ("any", Some("text/csv"), "{\"id\":1}\n{\"id\":2}\n".into()),
        ("any", Some("application/json"), csv.into()),
    ];
    for (table, content_type, body) in refused {
        let answer = post(&served, table, content_type, &body);
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        assert_eq!(answer.status, 400, "{table} {content_type:?} {shown}: {answer:?}");
        assert!(!answer.body.contains("ller"), "{answer:?}");
    }
    // The format of a table that names none is the sender's to say; JSON is JSON in either shape.
    for (table, content_type, body, rows) in [
        ("any", "text/csv", csv, 1),
        ("events", "application/json", "[{\"id\":\"1\"},{\"id\":\"2\"}]", 2),
        ("events", "application/json", "{\"id\":\"3\"}\n{\"id\":\"4\"}\n", 2),
        ("events", "application/x-ndjson", "{\"id\":\"5\"}\n", 1),
    ] {
        let answer = post(&served, table, Some(content_type), body);
        assert_eq!((answer.status, answer.json()["rows"].as_u64()), (200, Some(rows)), "{table} {body}: {answer:?}");
    }
    // So many columns at once, and no more.
    assert_eq!(post(&served, "events", None, wide(513)).status, 400);
    assert_eq!(post(&served, "events", None, wide(512)).status, 200);
    served.wait_until_shown("feed.events", 6);
    served.wait_until_shown("feed.any", 1);
    served.stop();
    // Publishes what no model reads, too.
    world.ok(&["ingest"]);
    assert_eq!((world.count("bronze.events"), world.count("bronze.any")), (6, 1));
    let columns = |table: &str| {
        let sql = "select count(*) as n from information_schema.columns where table_schema = 'bronze' and table_name";
        world.value(&format!("{sql} = '{table}'"))
    };
    assert_eq!((columns("events"), columns("any")), ("523".to_owned(), "11".to_owned()));
}

#[test]
fn b20_such_records_of_files_are_rejected_and_the_others_loaded() {
    let world = world();
    world.write("landing/drops/a.ndjson", "{\"id\":1}\n");
    world.ok(&["ingest"]);
    let mut bytes = b"{\"id\":2}\n{\"id\":\"\xff\"}\n{\"id\":NaN}\n".to_vec();
    bytes.extend_from_slice(wide(10_000).as_bytes());
    bytes.extend_from_slice(b"{\"a\\u0001\":1}\n{\"id\":3}\n");
    world.write("landing/drops/b.ndjson", bytes);
    world.ok(&["ingest"]);
    assert_eq!(column(&world, "select id from bronze.drops order by id", "id"), ["1", "2", "3"]);
    let rejected = world.sql("select _position as p, reason from system.rejected_rows order by _position");
    let rejected: Vec<String> = rejected.iter().map(|row| format!("{} {}", row["p"], row["reason"])).collect();
    assert_eq!(rejected, ["2 invalid_encoding", "3 invalid_json", "4 too_many_columns", "5 column_name"]);
}

#[test]
fn a18_no_model_writes_over_a_source_or_what_wardlake_keeps() {
    let world = world();
    world.write("landing/drops/a.ndjson", "{\"id\":1}\n");
    world.ok(&["ingest"]);
    world.write(
        "macros/schema.sql",
        "{% macro generate_schema_name(custom_schema_name, node) %}{{ custom_schema_name or target.schema }}{% endmacro %}",
    );
    for (config, table) in
        [("schema='bronze', alias='Drops'", "bronze.drops"), ("schema='SYSTEM', alias='load_log'", "system.load_log")]
    {
        world.write("models/mine.sql", format!("{{{{ config(materialized='table', {config}) }}}}\nselect 1 as mine"));
        for command in ["build", "run", "ingest", "parse"] {
            let printed = world.fails(2, &[command]);
            assert!(printed.contains("WL-P027") && printed.contains("mine.sql"), "{command}: {printed}");
        }
        world.write("models/mine.sql", "select 1 as mine");
        assert_eq!(world.count(table), 1, "{table} is as it was");
    }
}

#[test]
fn a11_clean_never_removes_a_lake() {
    let world = world();
    world.write("landing/drops/a.ndjson", "{\"id\":1}\n");
    let here = world.path().display().to_string();
    let keeps = |why: &str| {
        let refused = world.fails(2, &["clean"]);
        assert!(refused.contains(why) && refused.contains("nothing was removed"), "{why}: {refused}");
    };
    let target = |lake: &str| world.write("wardlake.yml", format!("targets:\n  dev: {{lake: \"{lake}\"}}\n"));
    for lake in [
        "target/lake".to_owned(),
        format!("{here}/target/./lake"),
        format!("file://{here}/target/lake"),
        format!("file://{here}/target/deep/lake/"),
    ] {
        target(&lake);
        world.ok(&["ingest"]);
        keeps("holds the lake");
        assert_eq!(world.count("bronze.drops"), 1, "{lake}");
    }
    // Another target's, and one that is only reached through the folder.
    target("lake");
    world.ok(&["ingest"]);
    keeps("holds a lake");
    std::fs::rename(world.path().join("target"), world.path().join("elsewhere")).unwrap();
    std::fs::create_dir(world.path().join("target")).unwrap();
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(world.path().join("elsewhere/lake"), world.path().join("target/lake")).unwrap();
        target("target/lake");
        assert_eq!(world.count("bronze.drops"), 1);
        keeps("holds a lake");
        std::fs::remove_file(world.path().join("target/lake")).unwrap();
    }
    // Parts of a lake, and of the project.
    target("lake");
    for (folder, why) in
        [("lake/bronze", "holds the lake"), ("models", "files of the project"), ("../..", "not a folder within")]
    {
        world.write("dbt_project.yml", format!("{PROJECT}clean-targets: [target, '{folder}']\n"));
        keeps(why);
    }
    assert!(world.path().join("target").exists(), "nothing is removed before everything was looked at");
    assert_eq!(world.count("bronze.drops"), 1);
    world.write("dbt_project.yml", PROJECT);
    world.ok(&["parse"]);
    assert!(world.ok(&["clean"]).contains("Removed"));
    assert!(!world.path().join("target").exists());
    assert_eq!(world.count("bronze.drops"), 1);
}
