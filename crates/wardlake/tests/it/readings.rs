//! How sources are read: what an empty field is, what a changed setting means for rows that are there, what is kept beside them, and what
//! models see of a source before its first row.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use wardlake_testkit::damage::without_checksum;

use crate::{served::Served, world::World};

const TOKEN: (&str, &str) = ("Authorization", "Bearer secret");

fn set(world: &World, settings: &str) {
    world.write(
        "sources/feed.yml",
        format!(
            "version: 2\nsources:\n  - name: feed\n    schema: bronze\n    tables:\n      - name: beds\n        config:\n          meta:\n            wardlake: {{{settings}}}\n"
        ),
    );
}

/// A project with one source table of these settings.
fn world(settings: &str) -> World {
    let world = World::empty();
    world.write("dbt_project.yml", "name: beds\nversion: '1.0'\nmodel-paths: [models, sources]\n");
    set(&world, settings);
    world
}

/// A model that takes what comes, so that a server shows it.
fn with_model(world: World) -> World {
    world.write("macros/changes.sql", "{% macro changes(relation) %}{{ relation }}{% endmacro %}");
    world.write(
        "models/taken.sql",
        "{{ config(materialized='incremental') }}\nselect _file, _position from {{ changes(source('feed', 'beds')) }}",
    );
    world
}

/// All that a command printed.
fn printed(world: &World, arguments: &[&str]) -> String {
    let output = world.run(arguments);
    let printed = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "wardlake {}\n{printed}", arguments.join(" "));
    printed
}

/// One text per row of a query, its values in the order of the columns' names.
fn lines(world: &World, query: &str) -> Vec<String> {
    let rows = world.sql(query);
    rows.iter().map(|row| row.values().cloned().collect::<Vec<_>>().join("|")).collect()
}

fn find(folder: &Path, end: &str) -> Option<PathBuf> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.ends_with(end) {
                return Some(path);
            }
            if path.is_dir() {
                folders.push(path);
            }
        }
    }
    None
}

/// Makes the table of beds one of a release that kept no reading with it.
fn forget_reading(world: &World) {
    let log = find(world.path(), "bronze/beds/_delta_log").expect("the table has a log");
    for entry in fs::read_dir(log).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let text = without_checksum(&fs::read_to_string(&path).unwrap());
        let forgotten = text.lines().map(|line| {
            let mut action: Value = serde_json::from_str(line).unwrap();
            if let Some(properties) = action["metaData"]["configuration"].as_object_mut() {
                properties.retain(|name, _| !name.starts_with("wardlake."));
                return action.to_string();
            }
            line.to_owned()
        });
        let forgotten: Vec<String> = forgotten.collect();
        fs::write(&path, forgotten.join("\n") + "\n").unwrap();
    }
}

const KINDS: &str = "select _position as a, case when id is null then 'NULL' else '<' || id || '>' end as b, \
                     case when name is null then 'NULL' else '<' || name || '>' end as c from bronze.beds order by 1";

#[test]
fn b03_an_empty_field_is_null_and_a_test_finds_it() {
    let world = world("path: 'in/*.csv'");
    world.write(
        "models/beds.sql",
        "{{ config(materialized='table') }}\nselect id, name from {{ source('feed', 'beds') }}",
    );
    world.write(
        "models/beds.yml",
        "version: 2\nmodels:\n  - name: beds\n    columns:\n      - name: id\n        data_tests: [not_null]\n",
    );
    world.write("in/beds.csv", "id,name\n1,x\n,y\n\"\",\"\"\n3,\n");
    world.ok(&["ingest"]);
    assert_eq!(lines(&world, KINDS), ["2|<1>|<x>", "3|NULL|<y>", "4|<>|<>", "5|<3>|NULL"]);
    assert!(world.fails(1, &["build"]).contains("not_null"));
    for (settings, wanted) in [
        ("null_values: x", ["2|<1>|NULL", "3|NULL|<y>", "4|<>|<>", "5|<3>|NULL"]),
        ("'null': [x, y]", ["2|<1>|NULL", "3|NULL|NULL", "4|<>|<>", "5|<3>|NULL"]),
        ("empty_is_null: false", ["2|<1>|<x>", "3|<>|<y>", "4|<>|<>", "5|<3>|<>"]),
    ] {
        set(&world, &format!("path: 'in/*.csv', format: {{{settings}}}"));
        world.ok(&["ingest", "--reload"]);
        assert_eq!(lines(&world, KINDS), wanted, "{settings}");
    }
}

#[test]
fn b03_a_table_of_the_release_before_is_read_as_it_was_until_it_is_read_again() {
    let world = world("path: 'in/*.csv', keys: [id], format: {empty_is_null: false}");
    world.write("in/a.csv", "id,name\n1,\n2,x\n");
    world.ok(&["ingest"]);
    forget_reading(&world);
    set(&world, "path: 'in/*.csv', keys: [id]");
    let told = printed(&world, &["ingest"]);
    assert!(told.contains("--reload -s feed.beds") && told.contains("empty field"), "{told}");
    // Every row would be an update if it were read otherwise.
    world.write("in/b.csv", "id,name\n1,\n2,x\n3,\n");
    let again = printed(&world, &["ingest"]);
    assert!(!again.contains("--reload"), "it is told once:\n{again}");
    let rows = "select replace(_file, 'in/', '') as a, id as b, case when name is null then 'NULL' else name end as c from bronze.beds order by 1, 2";
    assert_eq!(lines(&world, rows), ["a.csv|1|", "a.csv|2|x", "b.csv|3|"]);
    world.ok(&["ingest", "--reload", "-s", "feed.beds"]);
    assert_eq!(lines(&world, rows), ["a.csv|1|NULL", "a.csv|2|x", "b.csv|3|NULL"]);
    world.write("in/c.csv", "id,name\n4,\n1,\n");
    world.ok(&["ingest"]);
    assert_eq!(lines(&world, rows), ["a.csv|1|NULL", "a.csv|2|x", "b.csv|3|NULL", "c.csv|4|NULL"]);
}

#[test]
fn b11_a_changed_reading_is_told_and_the_kept_files_are_read_again() {
    let world = world("path: 'in/*.csv', format: {delimiter: ','}");
    world.write("in/a.csv", "bed;ward\n1;A\n2;B\n");
    world.write("in/b.csv", "bed;ward\n2;B\n3;C;D\n");
    world.ok(&["ingest"]);
    assert_eq!(world.count("bronze.beds"), 4);
    assert!(!printed(&world, &["ingest"]).contains("--reload"));
    set(&world, "path: 'in/*.csv', format: {delimiter: ';'}");
    for _ in 0..2 {
        let told = printed(&world, &["ingest"]);
        assert!(told.contains("`format.delimiter` from \",\" to \";\""), "{told}");
        assert!(told.contains("wardlake ingest --reload -s feed.beds"), "{told}");
    }
    assert_eq!(world.count("bronze.beds"), 4);
    let loads = lines(&world, "select * from system.load_log order by file");
    // What was loaded is kept; the folder is not asked.
    fs::remove_dir_all(world.path().join("in")).unwrap();
    let rows =
        "select replace(_file, 'in/', '') as a, _position as b, bed as c, ward as d from bronze.beds order by 1, 2";
    for _ in 0..2 {
        world.ok(&["ingest", "--reload", "-s", "feed.beds"]);
        assert_eq!(lines(&world, rows), ["a.csv|2|1|A", "a.csv|3|2|B", "b.csv|2|2|B"]);
        let rejected = lines(
            &world,
            "select replace(_file, 'in/', '') as a, _position as b, reason as c from system.rejected_rows",
        );
        assert_eq!(rejected, ["b.csv|3|too_many_fields"]);
        let columns = world.ok(&["sql", "select * from bronze.beds limit 1", "--format", "csv"]);
        assert!(columns.starts_with("bed,ward,_source,"), "{columns}");
    }
    assert_eq!(lines(&world, "select * from system.load_log order by file"), loads);
    assert!(!printed(&world, &["ingest"]).contains("--reload"));
}

#[test]
fn b11_a_file_of_which_every_line_was_rejected_is_read_again_as_well() {
    let world = world("path: 'in/*.csv'");
    world.write("in/a.csv", "a,b\n1,2,3\n4,5,6\n");
    world.ok(&["ingest"]);
    assert_eq!((world.count("bronze.beds"), world.count("system.rejected_rows")), (0, 2));
    set(&world, "path: 'in/*.csv', format: {columns: [a, b, c], header: true}");
    assert!(printed(&world, &["ingest"]).contains("--reload -s feed.beds"));
    world.ok(&["ingest", "--reload", "-s", "feed.beds"]);
    assert_eq!(lines(&world, "select a, b, c from bronze.beds order by 1"), ["1|2|3", "4|5|6"]);
    assert!(!printed(&world, &["ingest"]).contains("--reload"));
}

#[test]
fn b11_history_is_the_same_when_it_is_read_again() {
    let world = world("path: 'in/beds_{date}.csv', keys: [bed], deletes: detect");
    let load = |day: u32, text: &str| {
        world.write(&format!("in/beds_2025-01-{day:02}.csv"), text);
        world.ok(&["ingest"]);
    };
    load(1, "bed,ward\n1,A\n2,B\n");
    load(3, "bed,ward\n1,A\n3,C\n");
    // A late one, and one that comes again with other bytes.
    load(2, "bed,ward\n1,X\n2,B\n2,B\n");
    load(3, "bed,ward\n1,A\n3,D\n4,\n");
    let states = "select ward as a, bed as b, _change as c, _file as d from bronze.beds order by d, _position, b, a";
    let (before, news) = (lines(&world, states), world.count("bronze.beds"));
    world.ok(&["ingest", "--reload"]);
    assert_eq!(lines(&world, states), before);
    // What is delivered once more is no news, and what changes is.
    load(3, "bed,ward\n1,A\n3,D\n4,\n");
    assert_eq!(world.count("bronze.beds"), news);
    load(4, "bed,ward\n1,A\n3,E\n");
    assert_eq!(
        lines(&world, "select bed, _change from bronze.beds where _file like '%04.csv' order by 1"),
        ["update|3", "delete|4"]
    );
}

#[test]
fn b11_a_reload_that_is_killed_is_made_good_by_the_next_one() {
    let world = world("path: 'in/*.csv', format: {delimiter: ','}");
    let rows: String = (0..20_000).map(|row| format!("{row};{}\n", row % 7)).collect();
    for file in 0..6 {
        world.write(&format!("in/{file}.csv"), format!("bed;ward\n{rows}"));
    }
    world.ok(&["ingest"]);
    set(&world, "path: 'in/*.csv', format: {delimiter: ';'}");
    let columns = || {
        let shown = world.ok(&["sql", "select * from bronze.beds limit 1", "--format", "csv"]);
        shown.lines().next().unwrap().to_owned()
    };
    let old = columns();
    for wait_ms in [50, 150, 300, 600] {
        let mut child = world.spawn(&["ingest", "--reload"]);
        std::thread::sleep(std::time::Duration::from_millis(wait_ms));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(world.count("bronze.beds"), 120_000, "the old rows or the new ones");
        let found = columns();
        assert!(found == old || found.starts_with("bed,ward,"), "{found}");
    }
    world.ok(&["ingest", "--reload"]);
    let wanted = "select count(*) as a, count(distinct _file || bed) as b, count(ward) as c from bronze.beds";
    assert_eq!(lines(&world, wanted), ["120000|120000|120000"]);
    world.ok(&["ingest", "--reload"]);
    assert_eq!(lines(&world, wanted), ["120000|120000|120000"]);
}

#[test]
fn b11_rows_that_came_by_a_feed_stay_in_their_place() {
    let settings = "path: 'in/*.ndjson', keys: [bed], change: changes, http: {token: secret}, format: {type: ndjson}";
    let world = with_model(world(settings));
    let row = |ward: &str| format!("{}\n", json!({"bed": "1", "ward": ward}));
    let load = |name: &str, ward: &str| {
        world.write(name, row(ward));
        world.ok(&["ingest"]);
    };
    load("in/a.ndjson", "A");
    load("in/b.ndjson", "B");
    let served = Served::start(&world, &[], &["http"]);
    assert_eq!(served.post("/ingest/feed/beds", &[TOKEN], row("C").as_bytes()).status, 200);
    served.wait_until_shown("feed.beds", 1);
    served.stop();
    load("in/b.ndjson", "B");
    let wards = "select ward from bronze.beds order by _received_at, _position";
    assert_eq!(lines(&world, wards), ["A", "B", "C", "B"]);
    world.ok(&["ingest", "--reload"]);
    assert_eq!(lines(&world, wards), ["A", "B", "C", "B"]);
    load("in/b.ndjson", "D");
    assert_eq!(lines(&world, wards), ["A", "B", "C", "B", "D"]);
}

#[test]
fn b22_the_record_behind_each_row_is_kept_where_it_is_asked_for() {
    let world = with_model(world("path: 'in/*', keep_raw: true, http: {token: secret}"));
    world.write("in/a.ndjson", "{\"n\":181}\n\n{\"n\":\"181\"}\n{\"n\": 1.50}\n");
    world.write("in/b.csv", "n,m\n\"x\ny\",1\n\n2,\n");
    world.write("in/c.json", "[{\"n\": 7},\n{\"n\": \"7\", \"_raw\": \"own\"}]");
    world.ok(&["ingest"]);
    let kept = "select replace(_file, 'in/', '') as a, _position as b, _record as c, replace(_raw, chr(10), '~') as d from bronze.beds order by 1, 2";
    let wanted = [
        "a.ndjson|1|1|{\"n\":181}",
        "a.ndjson|3|2|{\"n\":\"181\"}",
        "a.ndjson|4|3|{\"n\": 1.50}",
        "b.csv|2|1|\"x~y\",1",
        "b.csv|5|2|2,",
        "c.json|1|1|{\"n\": 7}",
        "c.json|2|2|{\"n\": \"7\", \"_raw\": \"own\"}",
    ];
    assert_eq!(lines(&world, kept), wanted);
    assert_eq!(lines(&world, "select \"_raw_2\" from bronze.beds where \"_raw_2\" is not null"), ["own"]);
    let served = Served::start(&world, &[], &["http"]);
    assert_eq!(served.post("/ingest/feed/beds", &[TOKEN], b"{\"n\":1}\n{\"n\":\"1\"}\n").status, 200);
    served.wait_until_shown("feed.beds", 2);
    served.stop();
    let live = lines(&world, "select _record as a, _raw as b from bronze.beds where _file like '_landing%' order by 1");
    assert_eq!(live, ["1|{\"n\":1}", "2|{\"n\":\"1\"}"]);
    // Files that are read again keep them as well.
    world.ok(&["ingest", "--reload"]);
    assert_eq!(lines(&world, &kept.replace(" order by", " where _file not like '_landing%' order by")), wanted);
    assert_eq!(world.count("bronze.beds"), 9);
}

#[test]
fn b23_a_source_of_which_nothing_was_loaded_is_an_empty_relation_and_told_once() {
    let world = world("http: {token: secret}, format: {type: ndjson}");
    world.write("macros/changes.sql", "{% macro changes(relation) %}{{ relation }}{% endmacro %}");
    world.write(
        "models/news.sql",
        "{{ config(materialized='incremental') }}\nselect b.bed, upper(b.ward) as ward, _position from {{ changes(source('feed', 'beds')) }} as b",
    );
    world.write(
        "models/wards.sql",
        "{{ config(materialized='table') }}\nselect ward, count(*) as n from {{ source('feed', 'beds') }} where bed <> '' group by ward",
    );
    world.write(
        "models/shown.sql",
        "{{ config(materialized='view') }}\nselect bed, ward from {{ source('feed', 'beds') }}",
    );
    world.write("models/below.sql", "{{ config(materialized='table') }}\nselect bed from {{ ref('shown') }}");
    world.write(
        "models/beds.yml",
        "version: 2\nmodels:\n  - name: shown\n    columns:\n      - name: bed\n        data_tests: [not_null, unique]\n",
    );
    let told = printed(&world, &["build"]);
    assert_eq!(told.matches("feed.beds was never loaded").count(), 1, "{told}");
    assert!(told.contains("columns are unknown"), "{told}");
    for model in ["news", "wards", "shown", "below"] {
        assert_eq!(world.count(&format!("main.{model}")), 0, "{model}");
    }
    for command in ["compile", "test", "build"] {
        world.ok(&[command]);
    }
    // A column of a table that is there is not made up.
    world.write("models/wrong.sql", "{{ config(materialized='table') }}\nselect w.typo from {{ ref('wards') }} as w cross join {{ source('feed', 'beds') }}");
    assert!(world.fails(1, &["build", "-s", "wrong"]).contains("typo"));
    fs::remove_file(world.path().join("models/wrong.sql")).unwrap();
    let served = Served::start(&world, &[], &["http"]);
    assert_eq!(served.post("/ingest/feed/beds", &[TOKEN], b"{\"bed\":\"1\",\"ward\":\"a\"}\n").status, 200);
    served.wait_until_shown("feed.beds", 1);
    served.stop();
    assert_eq!(lines(&world, "select bed as a, ward as b from main.news"), ["1|A"]);
    let again = printed(&world, &["build"]);
    assert!(!again.contains("never loaded"), "{again}");
    assert_eq!(lines(&world, "select ward as a, n as b from main.wards"), ["a|1"]);
    assert_eq!((world.count("main.shown"), world.count("main.below")), (1, 1));
}
