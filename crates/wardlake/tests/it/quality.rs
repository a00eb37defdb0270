//! The quality report over a lake whose faults are known: its numbers, its schema, and its page in a real browser.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;
use wardlake_testkit::skip::skipped;

use crate::world::{World, repository};

const PROJECT: &str = "name: ward\nversion: '1.0'\nmodel-paths: [models, sources]\n\
                       models:\n  ward:\n    staging:\n      +schema: silver\n      +materialized: table\n    marts:\n      +schema: gold\n      +materialized: table\n";
const SCHEMA_NAMES: &str = "{% macro generate_schema_name(name, node) %}{{ name or target.schema }}{% endmacro %}\n";
const SOURCE: &str = "version: 2\nsources:\n  - name: feed\n    schema: bronze\n    tables:\n      - name: stays\n        config:\n          meta:\n            wardlake:\n              path: 'landing/stays_{date}.csv'\n";
const STAGING: &str = "select stay_id, patient_name, ward, try_cast(admitted_on as date) as admitted_on,\n\
    try_cast(discharged_on as date) as discharged_on, try_cast(cost as double) as cost,\n\
    _file as _raw__file, _position as _raw__position, _source as _raw__source, _batch_id as _raw__batch_id\n\
    from {{ source('feed', 'stays') }}\n";
const RULES: &str = "version: 2\nmodels:\n  - name: stg_stays\n    config:\n      meta:\n        wardlake:\n          input: source('feed', 'stays')\n          row_key: [stay_id]\n          expectations:\n            - {name: leaves_after_arrival, that: \"admitted_on <= discharged_on\", severity: high, reason: The stay ends before it begins.}\n            - {in: {column: ward, values: [A, B, C]}, action: warn, severity: low}\n            - {not_null: stay_id}\n";
const MART: &str = "select ward, count(*) as stays, sum(cost) as cost from {{ ref('stg_stays') }} group by ward\n";

/// A ward's project without extracts.
fn ward() -> World {
    let world = World::empty();
    world.write("dbt_project.yml", PROJECT);
    world.write("macros/names.sql", SCHEMA_NAMES);
    world.write("sources/feed.yml", SOURCE);
    world.write("models/staging/stg_stays.sql", STAGING);
    world.write("models/staging/stg_stays.yml", RULES);
    world.write("models/marts/mart_stays.sql", MART);
    world
}

/// One day's extract: `rows` stays, the last `impossible` of which end before they begin, one in ward Z.
fn extract(world: &World, day: u32, rows: u32, impossible: u32) {
    let mut text = "stay_id,patient_name,ward,admitted_on,discharged_on,cost\n".to_owned();
    for row in 0..rows {
        let ward = if row == 0 { "Z" } else { ["A", "B", "C"][row as usize % 3] };
        let discharged = if row >= rows - impossible { "2025-01-01" } else { "2025-03-20" };
        let cost = 100 + row % 7;
        text.push_str(&format!("{day:02}-{row:04},Zelda Fitz{row},{ward},2025-03-01,{discharged},{cost}\n"));
    }
    world.write(&format!("landing/stays_2025-03-{day:02}.csv"), text);
}

fn report(world: &World, arguments: &[&str]) -> Value {
    let text = world.ok(&[&["quality", "--json"], arguments].concat());
    let report: Value = serde_json::from_str(&text).unwrap();
    let schema = fs::read_to_string(repository().join("schemas/quality-report.schema.json")).unwrap();
    let validator = jsonschema::validator_for(&serde_json::from_str(&schema).unwrap()).unwrap();
    let problems: Vec<String> = validator.iter_errors(&report).map(|error| error.to_string()).collect();
    assert!(problems.is_empty(), "{problems:?}");
    report
}

#[test]
fn a_lake_without_records_says_so() {
    let world = ward();
    let report = report(&world, &[]);
    assert_eq!(report["verdict"]["level"], "unknown");
    assert_eq!(report["figures"]["score"], Value::Null);
    let missing: Vec<&str> =
        report["missing"].as_array().unwrap().iter().map(|entry| entry["table"].as_str().unwrap()).collect();
    for table in ["system.runs", "system.rule_results", "system.accounting", "quarantine.*", "system.profiles"] {
        assert!(missing.contains(&table), "{table} is not in {missing:?}");
    }
    let printed = world.ok(&["quality"]);
    assert!(printed.contains("Nothing was measured yet") && printed.contains("score no data"), "{printed}");
    world.ok(&["quality", "--html", "report.html"]);
    assert!(fs::read_to_string(world.path().join("report.html")).unwrap().contains("Nothing was measured yet"));
}

#[test]
fn the_report_counts_what_is_wrong_and_shows_nobody() {
    let world = ward();
    extract(&world, 1, 100, 4);
    world.ok(&["ingest"]);
    world.ok(&["build"]);
    let first = report(&world, &[]);
    let figures = &first["figures"];
    assert_eq!((figures["checks"].as_u64(), figures["broken"].as_u64()), (Some(300), Some(5)), "{figures}");
    assert_eq!(figures["score"].as_f64(), Some(1.0 - 5.0 / 300.0));
    assert_eq!((figures["rows_in"].as_u64(), figures["rows_quarantined"].as_u64()), (Some(100), Some(4)));
    assert_eq!((figures["open_rows"].as_u64(), figures["unbalanced"].as_u64()), (Some(4), Some(0)));
    assert_eq!(first["verdict"]["level"], "attention");
    assert_eq!(first["worst"][0]["rule"], "leaves_after_arrival");
    assert_eq!(first["worst"][0]["share"].as_f64(), Some(0.04));
    let table = &first["tables"][0];
    assert_eq!((table["relation"].as_str(), table["rules"].as_array().unwrap().len()), (Some("silver.stg_stays"), 3));
    // Only the columns of the predicate, and only their shape.
    let example = first["examples"].as_array().unwrap().iter().find(|e| e["rule"] == "leaves_after_arrival").unwrap();
    let shown: Vec<&str> =
        example["values"].as_array().unwrap().iter().map(|value| value["column"].as_str().unwrap()).collect();
    assert_eq!(shown, ["admitted_on", "discharged_on"]);
    assert_eq!(example["values"][0]["shape"], "999… (10 characters)");
    assert_eq!(example["source_file"], "landing/stays_2025-03-01.csv");
    world.ok(&["quality", "--html", "report.html"]);
    let page = fs::read_to_string(world.path().join("report.html")).unwrap();
    for text in [page.as_str(), &first.to_string(), &world.ok(&["quality"])] {
        for secret in ["Zelda", "Fitz", "01-0099", "2025-01-01"] {
            assert!(!text.contains(secret), "{secret} is in the report");
        }
    }
    // A second day, without faults: the past stays readable.
    extract(&world, 2, 100, 0);
    world.ok(&["ingest"]);
    world.ok(&["build"]);
    let second = report(&world, &[]);
    assert_eq!(second["trend"].as_array().unwrap().len(), 2);
    assert_eq!(second["figures"]["checks"].as_u64(), Some(600));
    // A third day, with a column nobody knew.
    let known = fs::read_to_string(world.path().join("landing/stays_2025-03-02.csv")).unwrap();
    let wider: String =
        known.lines().enumerate().map(|(i, line)| format!("{line},{}\n", if i == 0 { "bed" } else { "7" })).collect();
    world.write("landing/stays_2025-03-03.csv", wider);
    world.ok(&["ingest"]);
    let third = report(&world, &[]);
    let drift = &third["drift"][0];
    assert_eq!((drift["source"].as_str(), drift["column"].as_str()), (Some("feed.stays"), Some("bed")));
    assert_eq!((drift["change"].as_str(), drift["is_new"].as_bool()), (Some("added"), Some(true)));
    assert_eq!(third["figures"]["drifted"].as_u64(), Some(1));
    let run = first["run"]["run_id"].as_str().unwrap();
    assert_eq!(report(&world, &["--run", run])["figures"]["checks"].as_u64(), Some(300));
    assert!(world.fails(2, &["quality", "--run", "nonsense"]).contains("there is no run `nonsense`"));
}

#[test]
fn nothing_checked_is_not_passed_and_a_closed_gate_is_an_alarm() {
    let world = ward();
    extract(&world, 1, 100, 0);
    world.ok(&["ingest"]);
    world.write("models/staging/stg_stays.sql", STAGING.to_owned() + "where stay_id is null\n");
    world.write("models/staging/stg_stays.yml", RULES.replace("          input: source('feed', 'stays')\n", ""));
    world.ok(&["build"]);
    let empty = report(&world, &[]);
    assert_eq!((empty["figures"]["rules"].as_u64(), empty["figures"]["rules_passed"].as_u64()), (Some(3), Some(0)));
    assert_eq!(empty["figures"]["rules_without_data"].as_u64(), Some(3));
    assert_eq!((&empty["figures"]["score"], &empty["tables"][0]["score"]), (&Value::Null, &Value::Null));
    assert_eq!(empty["tables"][0]["status"], "no_data");
    assert!(empty["verdict"]["reasons"].to_string().contains("3 rules had no row to check"));
    world.write("models/staging/stg_stays.sql", STAGING);
    world.write("models/staging/stg_stays.yml", RULES.replace("action: warn", "action: fail"));
    world.fails(1, &["build"]);
    let closed = report(&world, &[]);
    assert_eq!((closed["verdict"]["level"].as_str(), closed["run"]["status"].as_str()), (Some("bad"), Some("error")));
    assert_eq!(closed["figures"]["rules_failed"].as_u64(), Some(1));
    assert!(world.ok(&["quality"]).starts_with("Do not rely on this data"));
}

#[test]
fn what_is_out_of_the_ordinary_is_told_with_its_past() {
    let world = ward();
    // The staging table holds one day at a time, so that its history is level.
    world.write(
        "models/staging/stg_stays.sql",
        STAGING.replace(
            "{{ source('feed', 'stays') }}",
            "{{ source('feed', 'stays') }} where _file = (select max(_file) from {{ source('feed', 'stays') }})",
        ),
    );
    world.write("models/staging/stg_stays.yml", RULES.replace("          input: source('feed', 'stays')\n", ""));
    for day in 1..=6 {
        extract(&world, day, 200 + day, 0);
        world.ok(&["ingest"]);
        let printed = world.ok(&["build"]);
        assert!(!printed.contains("are ordinary"), "day {day} is ordinary:\n{printed}");
    }
    assert_eq!(report(&world, &[])["anomalies"].as_array().unwrap().len(), 0);
    extract(&world, 7, 40, 0);
    world.ok(&["ingest"]);
    let printed = world.ok(&["build"]);
    assert!(printed.contains("silver.stg_stays has 40 rows;"), "{printed}");
    let report = report(&world, &[]);
    let alarm = report["anomalies"].as_array().unwrap().iter().find(|alarm| alarm["metric"] == "row_count").unwrap();
    assert_eq!((alarm["relation"].as_str(), alarm["value"].as_f64()), (Some("silver.stg_stays"), Some(40.0)));
    assert_eq!(alarm["history"].as_array().unwrap().len(), 7);
    assert!(report["verdict"]["reasons"].to_string().contains("out of the ordinary"));
    // No name, identifier or text has bounds.
    let bounds = world.sql("select distinct column_name from system.profiles where min_number is not null order by 1");
    let bounds: Vec<&str> = bounds.iter().map(|row| row["column_name"].as_str()).collect();
    assert_eq!(bounds, ["admitted_on", "cost", "discharged_on", "stays"]);
    // Nothing new: nothing is profiled again.
    let before = world.count("system.profiles");
    world.ok(&["build"]);
    assert_eq!(world.count("system.profiles"), before);
}

#[test]
fn what_a_failed_run_wrote_is_profiled_once_it_is_published() {
    let world = ward();
    extract(&world, 1, 100, 0);
    world.ok(&["ingest"]);
    world.write("tests/gate.sql", "select * from {{ ref('mart_stays') }}");
    world.fails(1, &["build"]);
    assert_eq!(report(&world, &[])["volumes"].as_array().unwrap().len(), 0, "nothing is published");
    world.write("tests/gate.sql", "select * from {{ ref('mart_stays') }} where stays < 0");
    world.ok(&["build"]);
    assert_eq!(report(&world, &[])["volumes"].as_array().unwrap().len(), 2);
}

/// Chromium on a page, headless.
struct Browser(PathBuf);

impl Browser {
    fn find() -> Option<Self> {
        let folders = std::env::var_os("PATH").unwrap_or_default();
        let names = ["chromium", "chromium-browser", "google-chrome"];
        let found = std::env::split_paths(&folders)
            .flat_map(|folder| names.map(|name| folder.join(name)))
            .find(|path| path.is_file());
        if found.is_none() {
            skipped("there is no Chromium here to look at the page");
        }
        found.map(Self)
    }

    /// Loads a page; gives back what it wrote to standard output.
    fn load(&self, page: &Path, arguments: &[&str]) -> String {
        let home = tempfile::tempdir().unwrap();
        let output = Command::new(&self.0)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--hide-scrollbars"])
            .arg(format!("--user-data-dir={}", home.path().display()))
            .args(arguments)
            .arg(format!("file://{}", page.display()))
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{told}");
        let complaints: Vec<&str> = told.lines().filter(|line| line.contains("CONSOLE")).collect();
        assert!(complaints.is_empty(), "{complaints:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

#[test]
fn the_page_holds_in_a_browser() {
    let Some(browser) = Browser::find() else { return };
    let world = ward();
    extract(&world, 1, 100, 4);
    world.ok(&["ingest"]);
    world.ok(&["build"]);
    world.ok(&["quality", "--html", "report.html"]);
    let page = world.path().join("report.html");
    let text = fs::read_to_string(&page).unwrap();
    assert!(!text.contains("http://") && !text.contains("https://") && !text.contains("<script"), "it needs nothing");
    for width in [1280, 390] {
        // A frame of the wanted width, whatever the least width of a window is; the frame tells how wide its page became.
        let frame = world.path().join(format!("frame_{width}.html"));
        let probe = "const d = f.contentDocument, e = d.documentElement; \
                     document.title = [e.scrollWidth, e.clientWidth, d.getElementById('score').innerText, \
                     d.getElementById('open-rows').innerText, d.querySelectorAll('svg.flow rect').length].join('|')";
        let html = format!(
            "<!doctype html><title>-</title><iframe id=f style=\"border:0;width:{width}px;height:900px\" src=\"report.html\" onload=\"{probe}\"></iframe>"
        );
        fs::write(&frame, html).unwrap();
        let dumped = browser.load(&frame, &["--allow-file-access-from-files", "--dump-dom"]);
        let title = dumped.split("<title>").nth(1).and_then(|rest| rest.split("</title>").next()).unwrap();
        let told: Vec<&str> = title.split('|').collect();
        assert_eq!(told.len(), 5, "{title}");
        assert_eq!((told[0], told[1]), (width.to_string().as_str(), width.to_string().as_str()), "it overflows");
        assert_eq!((told[2], told[3]), ("98.3 %", "4"), "{title}");
        assert!(told[4].parse::<u32>().unwrap() >= 4, "the picture has its bars: {title}");
    }
    let pdf = world.path().join("report.pdf");
    browser.load(&page, &[&format!("--print-to-pdf={}", pdf.display()), "--no-pdf-header-footer"]);
    let bytes = fs::read(&pdf).unwrap();
    // A page is `/Type /Page`; `/Type /Pages` is the list of them.
    let pages = bytes.windows(12).filter(|window| window.starts_with(b"/Type /Page") && window[11] != b's').count();
    assert!(bytes.starts_with(b"%PDF") && pages > 0, "{pages} pages in {} bytes", bytes.len());
}
