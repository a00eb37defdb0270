//! A lake with a damaged file, through the front door: the answer is the same, or the command says what is damaged and what to do.

use std::{fs, path::PathBuf, process::Output};

use wardlake_testkit::damage::{Random, damage, files};

use crate::{serve::ward, served::Served, world::World};

/// A failure is repeated with the seed that it prints: `WARDLAKE_DAMAGE_SEED`.
const SEED: u64 = 20_261_130;
const ROUNDS: u64 = 30;

const SOURCE: &str = "
version: 2
sources:
  - name: feed
    schema: bronze
    tables:
      - name: beds
        config: {meta: {wardlake: {path: 'landing/*.csv'}}}
        columns: [{name: id}, {name: ward}]
";
const STAYS: &str = "{{ config(materialized='incremental') }}
select cast(id as bigint) as id, ward from {{ changes(source('feed', 'beds')) }}";
const WARDS: &str = "{{ config(materialized='table') }}
select ward, count(*) as n, sum(id) as ids from {{ ref('stays') }} group by ward";
const SEEN: &str = "{{ config(materialized='view') }}
select * from {{ ref('wards') }}";
/// Every table and the view, counted.
const ANSWER: &str = "select (select count(*) from bronze.beds) as beds, (select count(distinct id) from bronze.beds) as ids, \
    (select count(*) from main.stays) as stays, (select sum(id) from main.stays) as sum_of_ids, \
    (select sum(n) from main.wards) as wards, (select sum(ids) from main.seen) as seen";

/// `BED_ROWS` rows of the nth file.
fn beds(number: u64) -> String {
    const BED_ROWS: u64 = 20;
    let rows = (number * BED_ROWS..(number + 1) * BED_ROWS).map(|id| format!("{id},W{}\n", id % 4));
    format!("id,ward\n{}", rows.collect::<String>())
}

/// A lake of four loads, each built and published.
fn lake() -> World {
    let world = World::empty();
    world.write("dbt_project.yml", "name: ward\nversion: '1.0'\nmodel-paths: [models, sources]\n");
    world.write("sources/feed.yml", SOURCE);
    for (name, sql) in [("stays", STAYS), ("wards", WARDS), ("seen", SEEN)] {
        world.write(&format!("models/{name}.sql"), sql);
    }
    for number in 0..4 {
        world.write(&format!("landing/beds{number}.csv"), beds(number));
        world.ok(&["ingest"]);
        world.ok(&["build"]);
    }
    world
}

/// A world of its own with the same files, as old as they are.
fn copy_of(world: &World) -> World {
    let copy = World::empty();
    for file in files(world.path()).unwrap() {
        let copied = copy.path().join(file.strip_prefix(world.path()).unwrap());
        fs::create_dir_all(copied.parent().unwrap()).unwrap();
        fs::copy(&file, &copied).unwrap();
        let modified = fs::metadata(&file).unwrap().modified().unwrap();
        fs::File::options().write(true).open(&copied).unwrap().set_modified(modified).unwrap();
    }
    copy
}

/// Damages a file of the log, of the system's log, of the epochs or of the state.
fn damage_one(world: &World, random: &mut Random) -> String {
    let folders: [&[&str]; 5] = [
        &["bronze/beds/_delta_log"],
        &["main/stays/_delta_log", "main/wards/_delta_log"],
        &["system/load_log/_delta_log", "system/runs/_delta_log", "system/run_nodes/_delta_log"],
        &["_epochs"],
        &["_state"],
    ];
    let which = folders[random.below(folders.len())];
    let lake = world.path().join("lake");
    let files: Vec<PathBuf> = which.iter().flat_map(|folder| files(&lake.join(folder)).unwrap()).collect();
    damage(&lake, &files[random.below(files.len())], random).unwrap()
}

/// What a command printed, on both ways.
fn printed(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A text as it was before it was broken into lines.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether it says that something of the lake is not as it was left.
fn is_told(text: &str) -> bool {
    let text = one_line(text);
    [
        "is damaged",
        "cannot be read",
        "are gone",
        "is gone",
        "was made anew",
        "has no version",
        "no longer holds",
        "is not there",
    ]
    .iter()
    .any(|word| text.contains(word))
}

/// Runs a command on a damaged lake. It ends as commands do, and if it fails, it says of what, where that can be known; tells whether it
/// told anything.
fn run(world: &World, what: &str, arguments: &[&str]) -> (Output, bool) {
    let output = world.run(arguments);
    let text = printed(&output);
    assert!(
        matches!(output.status.code(), Some(0..=2)),
        "{what}: {} ended with {}\n{text}",
        arguments[0],
        output.status
    );
    assert!(!text.contains("panicked"), "{what}: {}\n{text}", arguments[0]);
    let is_told = is_told(&text);
    if !output.status.success() {
        let names = ["bronze", "main.", "main/", "system.", "system/", "_epochs", "_state"];
        assert!(names.iter().any(|name| text.contains(name)), "{what}: {} says not where\n{text}", arguments[0]);
    }
    let is_told = is_told || !output.status.success();
    (output, is_told)
}

#[test]
fn a16_a_damaged_lake_gives_the_same_answer_or_says_that_it_cannot() {
    let seed = std::env::var("WARDLAKE_DAMAGE_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(SEED);
    let whole = lake();
    let ask = ["sql", ANSWER, "--format", "csv"];
    let before = whole.ok(&ask);
    let next = copy_of(&whole);
    next.write("landing/beds4.csv", beds(4));
    next.ok(&["ingest"]);
    next.ok(&["build"]);
    let after = next.ok(&ask);
    assert_ne!(before, after);

    for round in 0..ROUNDS {
        let world = copy_of(&whole);
        let how = damage_one(&world, &mut Random(seed.wrapping_add(round)));
        let what = format!("WARDLAKE_DAMAGE_SEED={seed}, round {round}: {how}");
        let (answer, is_told) = run(&world, &what, &ask);
        let is_same = String::from_utf8_lossy(&answer.stdout) == before;
        assert!(is_same || is_told, "{what}: another answer without a word\n{}", printed(&answer));
        // News come, and the lake goes on or says why it cannot.
        world.write("landing/beds4.csv", beds(4));
        let commands: [&[&str]; 4] = [&["ingest"], &["build"], &["epochs", "list"], &["maintain"]];
        let told = commands.map(|arguments| run(&world, &what, arguments).1);
        let (answer, is_told) = run(&world, &what, &ask);
        let is_same = String::from_utf8_lossy(&answer.stdout) == after;
        let is_told = is_told || told.contains(&true);
        assert!(is_same || is_told, "{what}: another answer without a word\n{}", printed(&answer));
    }
}

#[test]
fn a16_commits_that_are_gone_are_told_and_made_again() {
    let world = lake();
    let ask = ["sql", ANSWER, "--format", "csv"];
    let log = |table: &str| world.path().join(format!("lake/{table}/_delta_log"));
    let newest = |table: &str| files(&log(table)).unwrap().pop().unwrap();

    // A model's: what it had not consumed then comes again with the news, in a version that was there before; what reads it is built anew.
    fs::remove_file(newest("main/stays")).unwrap();
    let told = world.fails(2, &ask);
    assert!(told.contains("main.stays has no version 3"), "{told}");
    world.write("landing/beds4.csv", beds(4));
    world.ok(&["ingest"]);
    let told = one_line(&world.ok(&["build"]));
    assert!(told.contains("the newest commits of main.stays are gone"), "{told}");
    let before = world.ok(&ask);
    assert_eq!(before, "beds,ids,stays,sum_of_ids,wards,seen\n100,100,100,4950,100,4950\n");

    // A source's: the files that it lacks are loaded again, and those who consumed them are to read it anew.
    fs::remove_file(newest("bronze/beds")).unwrap();
    let told = one_line(&world.ok(&["ingest"]));
    assert!(told.contains("the newest commits of bronze.beds are gone") && told.contains("--full-refresh"), "{told}");
    world.ok(&["build", "--full-refresh"]);
    assert_eq!(world.ok(&ask), before);
    let loads = "select sequence from system.load_log where file like '%beds4.csv' order by sequence";
    assert_eq!(world.sql(loads).iter().map(|row| row["sequence"].as_str()).collect::<Vec<_>>(), ["1", "2"]);
    let told = world.ok(&["ingest"]);
    assert!(!told.contains("are gone"), "{told}");

    // In the middle of a log: the file is named, with what to do, and that works.
    fs::write(log("main/wards").join("00000000000000000001.json"), "{\"add\":").unwrap();
    for command in [&ask[..], &["build"]] {
        let output = world.run(command);
        let told = one_line(&printed(&output));
        let is_told = told.contains("main/wards/_delta_log/00000000000000000001.json is damaged");
        assert!(!output.status.success() && is_told && !told.contains("fault of Wardlake's own"), "{told}");
    }
    fs::remove_dir_all(world.path().join("lake/main/wards")).unwrap();
    world.ok(&["build"]);
    assert_eq!(world.ok(&ask), before);
}

/// JSON that is as good as before and says something else.
#[test]
fn a16_a_digit_of_a_commit_that_is_another_is_told_with_what_to_do() {
    let world = lake();
    let ask = ["sql", ANSWER, "--format", "csv"];
    let before = world.ok(&ask);
    for (table, newest) in [("bronze/beds", 20), ("main/wards", 4)] {
        let commit = files(&world.path().join(format!("lake/{table}/_delta_log"))).unwrap().pop().unwrap();
        let whole = fs::read_to_string(&commit).unwrap();
        let rows = |rows: u64| format!("\\\"numRecords\\\":{rows}");
        let damaged = whole.replacen(&rows(newest), &rows(newest - 1), 1);
        assert_ne!(damaged, whole);
        fs::write(&commit, damaged).unwrap();
        let name = commit.file_name().unwrap().to_string_lossy();
        let output = world.run(&ask);
        let told = one_line(&printed(&output));
        let is_told = told.contains(&format!("{table}/_delta_log/{name} is damaged"));
        assert!(!output.status.success() && is_told && told.contains("checksum") && told.contains("backup"), "{told}");
        fs::write(&commit, whole).unwrap();
        assert_eq!(world.ok(&ask), before);
    }
    // Without a backup, for a model.
    let commit = files(&world.path().join("lake/main/wards/_delta_log")).unwrap().pop().unwrap();
    let damaged = fs::read_to_string(&commit).unwrap().replacen("\"size\":", "\"size\":1", 1);
    fs::write(&commit, damaged).unwrap();
    let output = world.run(&["build"]);
    let told = one_line(&printed(&output));
    assert!(!output.status.success() && told.contains("is damaged") && told.contains("checksum"), "{told}");
    fs::remove_dir_all(world.path().join("lake/main/wards")).unwrap();
    world.ok(&["build"]);
    assert_eq!(world.ok(&ask), before);
}

#[test]
fn a05_what_was_delivered_in_commits_that_are_gone_comes_from_the_journal_again() {
    let world = ward();
    let deliver = |served: &Served, id: u64| {
        let body = format!("{{\"id\": \"{id}\", \"ward\": \"a\", \"beds\": \"1\"}}\n");
        let answer = served.post("/ingest/feed/events", &[("Authorization", "Bearer secret")], body.as_bytes());
        assert_eq!(answer.status, 200, "{answer:?}");
        served.wait_until_shown("feed.events", id);
    };
    let served = Served::start(&world, &[], &["http"]);
    (1..=5).for_each(|id| deliver(&served, id));
    served.kill();
    let commits = files(&world.path().join("lake/bronze/events/_delta_log")).unwrap();
    assert!(commits.len() >= 5, "{commits:?}");
    commits.iter().rev().take(2).for_each(|commit| fs::remove_file(commit).unwrap());
    let told = world.fails(2, &["sql", "select count(*) as n from bronze.events"]);
    assert!(told.contains("bronze.events has no version"), "{told}");

    let served = Served::start(&world, &[], &["http"]);
    served.wait_for("the rows to be loaded", |status| status["feeds"][0]["rows_loaded"] == 5);
    // Which of them it had is more than a model that reads what is new can say.
    served.wait_for("the model to stand still", |status| {
        status["stopped_models"][0]["cause"].as_str().is_some_and(|cause| cause.contains("--full-refresh"))
    });
    deliver(&served, 6);
    served.stop();
    let rows = world.sql("select id from bronze.events order by id");
    assert_eq!(rows.iter().map(|row| row["id"].as_str()).collect::<Vec<_>>(), ["1", "2", "3", "4", "5", "6"]);
    world.ok(&["build", "--full-refresh"]);
    assert_eq!(world.count("main.events"), 6);
}

#[test]
fn c08_an_epoch_that_cannot_be_read_is_told_with_the_one_before_it() {
    let world = lake();
    let ask = ["sql", "select sum(n) as n from main.wards", "--format", "csv"];
    let before = world.ok(&ask);
    fs::write(world.path().join("lake/_epochs/8.json"), "{").unwrap();
    let output = world.run(&ask);
    let told = printed(&output);
    assert!(output.status.success() && told.contains("warning: epoch 8 cannot be read (_epochs/8.json: "), "{told}");
    assert_ne!(String::from_utf8_lossy(&output.stdout), before);
    let told = one_line(&world.ok(&["build"]));
    assert!(told.contains("epoch 7 is shown in its place"), "{told}");
    assert_eq!(world.ok(&ask), before);
}
