//! A build beside a server is the server's: it is handed over, told as it goes, and cancelled with its command.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Child, ChildStdout, Stdio},
};

use serde_json::{Value, json};

use crate::{
    beside::ward_of_events,
    served::{Served, signal},
    world::World,
};

const TOKEN: (&str, &str) = ("Authorization", "Bearer secret");

fn post(served: &Served, id: u64) {
    let event = format!("{}\n", json!({"id": id.to_string(), "ward": "a", "beds": "1"}));
    let answer = served.post("/ingest/feed/events", &[TOKEN], event.as_bytes());
    assert_eq!(answer.status, 200, "{answer:?}");
}

fn started() -> (World, Served) {
    let world = ward_of_events();
    let served = Served::start(&world, &[], &["http"]);
    post(&served, 1);
    served.wait_until_shown("feed.events", 1);
    (world, served)
}

fn events(text: &str) -> Vec<Value> {
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// A build that runs, and the lines it prints.
fn building(world: &World, arguments: &[&str]) -> (Child, impl Iterator<Item = String> + use<>) {
    let mut child = world.command(arguments).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
    let lines = BufReader::<ChildStdout>::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    (child, lines)
}

#[test]
fn a17_a_build_beside_a_server_is_run_by_the_server_and_told_as_one_of_its_own() {
    let (world, served) = started();
    let told = events(&world.ok(&["build", "--full-refresh", "--log-format", "json"]));
    let of = |kind: &str| told.iter().filter(|event| event["event"] == kind).cloned().collect::<Vec<_>>();
    assert_eq!((of("run_started").len(), of("run_finished").len()), (1, 1), "{told:?}");
    assert_eq!(of("run_started")[0]["command"], "build");
    let nodes = of("node_finished");
    assert!(nodes.iter().any(|event| event["result"]["unique_id"] == "model.ward.events"), "{nodes:?}");
    // Only the server knows of what it published before there is another wave.
    let epoch = of("epoch_published")[0]["epoch"].as_u64().unwrap();
    assert!(served.get("/v1/status").json()["epoch"].as_u64() >= Some(epoch));
    let results = fs::read(world.path().join("target/run_results.json")).unwrap();
    let results: Value = serde_json::from_slice(&results).unwrap();
    assert_eq!(results["results"].as_array().unwrap().len(), nodes.len());
    assert_eq!(results["metadata"]["invocation_id"], of("run_started")[0]["run_id"]);
    let text = world.ok(&["run", "--select", "events"]);
    assert!(text.contains("1 of 1") && text.contains("Completed successfully"), "{text}");
    post(&served, 2);
    served.wait_until_shown("feed.events", 2);
    served.stop();
    assert_eq!(world.count("main.events"), 2);
}

#[test]
fn a17_the_server_builds_what_the_project_is_now_and_says_that_it_is_another() {
    let (world, served) = started();
    assert!(!world.ok(&["build"]).contains("not what the server read"));
    world.write(
        "models/wards.sql",
        "{{ config(materialized='table') }}\nselect distinct ward, '{{ var('mark') }}' as mark, '{{ env_var('MARK') }}' as env \
         from {{ ref('events') }}",
    );
    let world = world.env("MARK", "here");
    let told = world.ok(&["build", "--vars", "{mark: set}"]);
    assert!(told.contains("not what the server read"), "{told}");
    let wards = world.sql("select mark, env from main.wards");
    assert_eq!(
        (wards[0]["mark"].as_str(), wards[0]["env"].as_str()),
        ("set", "here"),
        "the command's own, not the server's"
    );
    // What fails there fails here.
    world.write(
        "models/wards.sql",
        "{{ config(materialized='table') }}\nselect cast(ward as integer) as n from {{ ref('events') }}",
    );
    let told = world.fails(1, &["build"]);
    assert!(told.contains("Failure in table model main.wards"), "{told}");
    let told = world.fails(2, &["build", "--select", "colour:red"]);
    assert!(told.contains("colour"), "{told}");
    served.stop();
}

#[test]
fn a17_a_build_waits_for_a_server_that_does_not_answer_and_says_who_it_is() {
    let (world, served) = started();
    served.freeze(true);
    let told = world.fails(2, &["build", "--wait", "1s"]);
    let holder = format!("process {}", served.process());
    assert!(told.contains(&holder) && told.contains("--wait"), "{told}");
    // The end of the server is the beginning of the build.
    let (mut child, mut lines) = building(&world, &["build", "--wait", "10m"]);
    assert!(
        lines.any(|line| line.contains("does not answer") && line.contains(&holder)),
        "it does not say that it waits"
    );
    served.kill();
    assert!(lines.any(|line| line.contains("Completed successfully")), "the build was not run");
    assert!(child.wait().unwrap().success());
    assert!(world.fails(2, &["build", "--wait", "long"]).contains("10m"));
}

#[test]
fn a17_a_build_is_cancelled_with_its_command() {
    let (world, served) = started();
    world.write(
        "models/slow.sql",
        "{{ config(materialized='table') }}\nselect id, (select count(*) from generate_series(1, 200000) as a(x) \
         cross join generate_series(1, 400000) as b(y) where x % 7 = y % 5) as n from {{ ref('events') }}",
    );
    let (mut child, mut lines) = building(&world, &["build", "--select", "slow", "--log-format", "json"]);
    assert!(lines.any(|line| line.contains("node_started") && line.contains("slow")), "the build did not begin");
    signal(child.id(), "INT");
    assert_eq!(child.wait().unwrap().code(), Some(2));
    // Builds come one after the other: this one would have waited for that.
    world.ok(&["build", "--select", "events"]);
    let made = world.value("select count(*) as n from information_schema.tables where table_name = 'slow'");
    assert_eq!(made, "0");
    served.stop();
}

#[test]
fn a17_work_is_taken_from_the_servers_own_user_alone() {
    let (world, served) = started();
    let contact = find(world.path()).expect("the server says where it is");
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&contact).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
    }
    let written: Value = serde_json::from_slice(&fs::read(&contact).unwrap()).unwrap();
    let shown = |secret: &str| format!("Bearer {secret}");
    let errand = json!({"replay": {"feed": null, "numbers": []}}).to_string();
    for secret in ["", "secret", written["server"].as_str().unwrap()] {
        let answer = served.post("/v1/handover", &[("Authorization", shown(secret).as_str())], errand.as_bytes());
        assert_eq!(answer.status, 403, "{answer:?}");
    }
    assert_eq!(served.post("/v1/handover", &[], errand.as_bytes()).status, 403);
    assert_eq!(served.get("/v1/handover").status, 403);
    let own = shown(written["command"].as_str().unwrap());
    let own = ("Authorization", own.as_str());
    // Not even with the secret may a web page ask.
    let page = served.post("/v1/handover", &[own, ("Origin", "http://evil.example")], errand.as_bytes());
    assert_eq!(page.status, 403, "{page:?}");
    assert_eq!(served.post("/v1/handover", &[own], b"{}").status, 400);
    let done = served.post("/v1/handover", &[own], errand.as_bytes());
    assert!(done.status == 200 && done.body.contains("{\"done\":true}"), "{done:?}");
    served.stop();
    assert!(!contact.exists(), "nothing leads to a server that has ended");
}

fn find(folder: &std::path::Path) -> Option<std::path::PathBuf> {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let found = if path.is_dir() { find(&path) } else { path.ends_with("_state/handover.json").then_some(path) };
        if found.is_some() {
            return found;
        }
    }
    None
}
