//! A lake in a bucket: a real server of the S3 protocol on this machine, `moto` from PyPI.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use crate::{
    peers::python,
    world::{World, repository},
};

/// A server with an empty bucket; it ends with the test.
pub(crate) struct Server {
    process: Child,
    endpoint: String,
}

impl Server {
    /// Starts it on a free port; says why not where the peers are not installed.
    pub(crate) fn start() -> Option<Self> {
        let mut process = Command::new(python()?)
            .arg(repository().join("peers/s3_server.py"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut endpoint = String::new();
        // It prints its address once it serves.
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut endpoint).unwrap();
        let server = Self { process, endpoint: endpoint.trim().to_owned() };
        assert!(server.endpoint.starts_with("http://127.0.0.1:"), "s3_server.py: {endpoint}");
        Some(server)
    }

    /// `world` with its lake in the bucket.
    pub(crate) fn holds(&self, world: World, lake: &str) -> World {
        world
            .env("WARDLAKE_LAKE", &format!("s3://bucket/{lake}"))
            .env("AWS_ENDPOINT", &self.endpoint)
            .env("AWS_ALLOW_HTTP", "true")
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_REGION", "us-east-1")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_lake_in_a_bucket_holds_the_same_tables() {
    let Some(local) = World::example("hms") else { return };
    let Some(server) = Server::start() else { return };
    let remote = server.holds(World::example("hms").unwrap(), "some/lake");
    for world in [&local, &remote] {
        world.ok(&["ingest"]);
        world.ok(&["build"]);
    }
    assert_eq!(remote.contents(), local.contents());
    let printed = remote.ok(&["ingest"]);
    assert_eq!(printed.matches("OK no news").count(), 13, "{printed}");
    assert_eq!(remote.count("system.load_log"), 13);
    assert!(remote.ok(&["build"]).contains("unchanged"));
    assert!(!remote.path().join("lake").exists(), "nothing of the lake is on this machine");

    let elsewhere = server.holds(World::empty(), "some/lake");
    assert_eq!(elsewhere.count("bronze.raw_patients"), 52, "a query needs no project");
    let absent = server.holds(World::empty(), "").env("WARDLAKE_LAKE", "s3://absent/lake");
    let printed = absent.fails(2, &["sql", "select 1"]);
    for part in ["s3://absent/lake", "NoSuchBucket", "create the bucket"] {
        assert!(printed.contains(part), "`{part}` is missing in:\n{printed}");
    }
}

#[test]
fn two_processes_that_build_at_once_lose_nothing() {
    const ROUNDS: usize = 4;
    let Some(server) = Server::start() else { return };
    let world = World::empty();
    world.write("dbt_project.yml", "name: two\nversion: '1.0'\nmodel-paths: [models]\n");
    world.write(
        "models/calls.sql",
        "{{ config(materialized='incremental') }} select '{{ var('who', '') }}' as who, {{ var('round', 0) }} as round",
    );
    let world = server.holds(world, "two");
    // The first run of an incremental model replaces whatever is there.
    world.ok(&["run"]);
    for round in 0..ROUNDS {
        let build = |who: &str| {
            let vars = format!("{{who: {who}, round: {round}}}");
            // Each has its own folder for artifacts; they share only the lake.
            let mut command = world.command(&["run", "--vars", &vars, "--quiet"]);
            command.env("DBT_TARGET_PATH", world.path().join(who));
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        };
        let processes = ["first", "second"].map(build);
        for process in processes {
            let output = process.wait_with_output().unwrap();
            let printed = [output.stdout, output.stderr].concat();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&printed));
        }
    }
    let rows =
        world.sql("select who, count(distinct round) as rounds, count(*) as n from main.calls where who <> '' group by who order by 1");
    let rows: Vec<String> = rows.iter().map(|row| format!("{} {} {}", row["who"], row["rounds"], row["n"])).collect();
    assert_eq!(rows, [format!("first {ROUNDS} {ROUNDS}"), format!("second {ROUNDS} {ROUNDS}")]);
}
