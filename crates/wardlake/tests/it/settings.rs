//! Settings that nothing reads, files and templates without end: each is told with its place, by every command that rests on it.

use crate::world::World;

const PROJECT: &str = "name: ward\nversion: '1.0'\nmodel-paths: [models, sources]\n";

fn project(files: &[(&str, &str)]) -> World {
    let world = World::empty();
    world.write("dbt_project.yml", PROJECT);
    world.write("models/stays.sql", "select 1 as id");
    files.iter().for_each(|(name, text)| world.write(name, text));
    world
}

fn source(settings: &str) -> String {
    format!(
        "sources:\n  - name: feed\n    tables:\n      - name: beds\n        config:\n          meta:\n            \
         wardlake:\n              path: x.csv\n{settings}"
    )
}

#[test]
fn b08_what_a_source_says_in_vain_stops_whoever_builds_on_it() {
    for (settings, place, says) in [
        ("              key: [id]\n", "sources/feed.yml:9:15", "`keys`"),
        ("              format: {type: csv, delimter: ';'}\n", "sources/feed.yml:9:35", "`delimiter`"),
        ("              format: {type: csv, delimiter: ';;'}\n", "sources/feed.yml:9:35", "write `;`"),
        ("              http: {tokn: x}\n", "sources/feed.yml:9:22", "`token`"),
    ] {
        let world = project(&[("sources/feed.yml", source(settings).as_str())]);
        for command in ["parse", "build", "ingest"] {
            let printed = world.fails(2, &[command, "--log-format", "json"]);
            let problem = printed
                .lines()
                .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
                .find(|event| event["event"] == "problem")
                .unwrap_or_else(|| panic!("{command} tells no problem:\n{printed}"));
            let found = format!("{}:{}:{}", problem["file"].as_str().unwrap(), problem["line"], problem["column"]);
            assert_eq!(found, place, "{settings}: {problem}");
            assert!(problem.to_string().contains(says), "{settings}: {problem}");
        }
    }
}

#[test]
fn b08_rules_that_nothing_reads_are_no_rules_that_hold() {
    let model = |rest: &str| format!("models:\n  - name: stays\n{rest}");
    for (rest, place, says) in [
        (
            "    config: {meta: {wardlake: {expectation: [{not_null: id}]}}}\n",
            "models/stays.yml:3:32",
            "`expectations`",
        ),
        ("    config: {meta: {wardlke: {expectations: [{not_null: id}]}}}\n", "models/stays.yml:3:21", "`wardlake`"),
        ("    config: {wardlake: {expectations: [{not_null: id}]}}\n", "models/stays.yml:3:14", "meta: {wardlake"),
        ("    config: {meta: {expectations: [{not_null: id}]}}\n", "models/stays.yml:3:21", "meta: {wardlake"),
        ("    wardlake: {expectations: [{not_null: id}]}\n", "models/stays.yml:3:5", "meta: {wardlake"),
        ("    config: {meta: {wardlake: [not_null]}}\n", "models/stays.yml:3:21", "mapping"),
    ] {
        let world = project(&[("models/stays.yml", model(rest).as_str())]);
        let printed = world.fails(2, &["build", "--log-format", "json"]);
        let problem = printed
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .find(|event| event["event"] == "problem")
            .unwrap_or_else(|| panic!("{rest}:\n{printed}"));
        let found = format!("{}:{}:{}", problem["file"].as_str().unwrap(), problem["line"], problem["column"]);
        assert_eq!((found.as_str(), problem["code"].as_str()), (place, Some("WL-P026")), "{rest}: {problem}");
        assert!(problem.to_string().contains(says), "{rest}: {problem}");
    }
}

#[test]
fn identity_that_names_no_models_is_told_with_its_place() {
    let declared = |name: &str, settings: &str| {
        format!("  - name: {name}\n    config: {{meta: {{wardlake: {{identity: {settings}}}}}}}\n")
    };
    let whole = "{record: id, decisions: ref('stays'), review: ref('stays')}";
    let second = declared("more", whole);
    let place = "models/stays.yml:3:32";
    for (settings, more, says) in [
        ("{record: id, decisions: ref('stays')}", "", "`review: ref('…')`"),
        ("stays", "", "mapping of record"),
        ("{record: id, decisions: ref('stay'), review: ref('stays')}", "", "did you mean `stays`"),
        (whole, second.as_str(), "`more` declares it as well"),
    ] {
        let properties = format!("models:\n{}{more}", declared("stays", settings));
        let world = project(&[("models/stays.yml", properties.as_str()), ("models/more.sql", "select 1 as id")]);
        let printed = world.fails(2, &["parse", "--log-format", "json"]);
        let problem = printed
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .find(|event| event["event"] == "problem")
            .unwrap_or_else(|| panic!("{settings}:\n{printed}"));
        let found = format!("{}:{}:{}", problem["file"].as_str().unwrap(), problem["line"], problem["column"]);
        assert_eq!((found.as_str(), problem["code"].as_str()), (place, Some("WL-P026")), "{settings}: {problem}");
        assert!(problem.to_string().contains(says), "{settings}: {problem}");
    }
}

#[test]
fn c08_files_and_templates_without_end_are_told_with_their_place() {
    for (file, text, says) in [
        ("models/large.yml", "models: [] # and much more\n".repeat(700_000), "16 MiB"),
        ("models/deep.yml", format!("models:\n{}x\n", "- ".repeat(100_000)), "one inside the other"),
        ("models/flow.yml", format!("models: {}\n", "[".repeat(100_000)), "not valid YAML"),
        (
            "models/doubled.sql",
            "{% set ns = namespace(s='ab') %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}select 1"
                .to_owned(),
            "32 MiB",
        ),
    ] {
        let world = project(&[(file, text.as_str())]);
        let printed = world.fails(2, &["parse"]);
        assert!(printed.contains(file) && printed.contains(says), "{file}: {printed}");
    }
}

#[test]
fn a10_what_run_publishes_untested_is_said() {
    let tested = "models:\n  - name: stays\n    columns:\n      - name: id\n        data_tests: [unique, not_null]\n";
    let world = project(&[("models/stays.yml", tested), ("models/plain.sql", "select 2 as id")]);
    let warnings = |arguments: &[&str]| {
        let printed = world.ok(&[arguments, &["--log-format", "json"]].concat());
        let events = printed.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let warned = events.filter(|event| event["event"] == "message" && event["level"] == "warn");
        warned.map(|event| event["text"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(warnings(&["run", "--select", "plain"]), [""; 0]);
    let told = warnings(&["run"]);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("untested: 2 tests") && told[0].contains("wardlake build"), "{told:?}");
    world.write("models/stays.sql", "select 3 as id");
    assert_eq!(warnings(&["build"]), [""; 0]);
    world.write("models/stays.sql", "select 4 as id");
    let told = warnings(&["build", "--exclude", "unique_stays_id"]);
    assert!(told.len() == 1 && told[0].contains("1 test of what was written was not run"), "{told:?}");
}

#[test]
fn b15_what_is_asked_for_and_not_done_is_said_with_its_place() {
    let world = project(&[
        (
            "models/stays.yml",
            "models:\n  - name: stays\n    config:\n      contract: {enforced: true}\n    constraints:\n      - {type: primary_key, columns: [id]}\n    \
             columns:\n      - name: id\n        data_type: bigint\n        constraints: [{type: not_null}]\nunit_tests:\n  - name: adds\n    model: stays\n",
        ),
        ("models/in_file.sql", "{{ config(contract={'enforced': true}) }}\nselect 1 as id"),
        (
            "models/free.yml",
            "models:\n  - name: in_file\n    constraints: []\n    columns: [{name: id, constraints: []}]\n",
        ),
    ]);
    world.write(
        "dbt_project.yml",
        format!("{PROJECT}on-run-start: \"select 1\"\non-run-end:\n  - select 2\n  - \"\"\n"),
    );
    for command in ["parse", "build"] {
        let printed = world.ok(&[command, "--log-format", "json"]);
        let mut places: Vec<String> = printed
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .filter(|event| event["event"] == "problem" && event["code"] == "WL-P028" && event["severity"] == "warning")
            .inspect(|event| assert!(event["help"].is_string(), "{event}"))
            .map(|event| format!("{}:{}", event["file"].as_str().unwrap(), event["line"]))
            .collect();
        places.sort();
        let expected = [
            "dbt_project.yml:4",
            "dbt_project.yml:6",
            "models/in_file.sql:1",
            "models/stays.yml:10",
            "models/stays.yml:11",
            "models/stays.yml:4",
            "models/stays.yml:5",
        ];
        assert_eq!(places, expected, "{command}:\n{printed}");
    }
}
