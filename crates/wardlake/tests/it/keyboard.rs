//! At the keyboard: terminals that can little, pipes that nobody reads any more, folders that are somebody's, words that are slips.

use std::{
    fs::{File, OpenOptions},
    io::{BufRead, BufReader},
    os::unix::ffi::OsStrExt,
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    serve,
    served::{POLL, request},
    world::{World, acceptance_data},
};

/// No condition of a test takes longer on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs its arguments on a terminal of the width that stands first, and prints what the terminal was sent.
const ON_A_TERMINAL: &str = r#"
import fcntl, os, pty, struct, sys, termios
pid, terminal = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, int(sys.argv[1]), 0, 0))
    os.execv(sys.argv[2], sys.argv[2:])
while True:
    try:
        sent = os.read(terminal, 65536)
    except OSError:
        break
    if not sent:
        break
    sys.stdout.buffer.write(sent)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;

/// A project with a seed, a model on it and a test.
fn beds() -> World {
    let world = World::empty();
    world.write("dbt_project.yml", "name: ward\nversion: '1.0'\nmodel-paths: [models]\nseed-paths: [seeds]\n");
    world.write("seeds/bed_list.csv", "bed,ward\n01,A\n02,A\n03,B\n");
    world.write("models/beds.sql", "{{ config(materialized='table') }} select * from {{ ref('bed_list') }}");
    world.write(
        "models/beds.yml",
        "models:\n  - name: beds\n    columns:\n      - name: bed\n        tests: [unique]\n",
    );
    world
}

/// What a terminal shows of a command, and how the command ended.
fn on_terminal(world: &World, term: Option<&str>, columns: u16, arguments: &[&str]) -> (String, Option<i32>) {
    let mut command = Command::new("python3");
    command.args(["-c", ON_A_TERMINAL, &columns.to_string(), env!("CARGO_BIN_EXE_wardlake")]).args(arguments);
    command.current_dir(world.path()).stdin(Stdio::null()).env_remove("TERM").env_remove("NO_COLOR");
    if let Some(term) = term {
        command.env("TERM", term);
    }
    let output = command.output().expect("python3 makes the terminals of this test");
    (String::from_utf8_lossy(&output.stdout).replace("\r\n", "\n"), output.status.code())
}

/// A process that a test which fails does not leave behind.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Standard output, or standard error, that nobody reads any more.
fn unread() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

fn printed(output: &Output) -> (String, String) {
    (String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn events(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no event: {line}"))).collect()
}

#[test]
fn e02_a_terminal_that_can_little_gets_plain_lines() {
    for term in [Some("dumb"), Some(""), None] {
        let world = beds();
        let (shown, code) = on_terminal(&world, term, 100, &["build"]);
        assert_eq!(code, Some(0), "{term:?}: {shown}");
        assert!(shown.contains("Completed successfully") && shown.contains("Published epoch 1."), "{term:?}: {shown}");
        assert!(!shown.contains('\x1b'), "{term:?}: {shown:?}");
        world.write("models/beds.sql", "select * from {{ ref('bedz_list') }}");
        let (shown, code) = on_terminal(&world, term, 100, &["build"]);
        assert_eq!(code, Some(2), "{term:?}: {shown}");
        assert!(shown.contains("bedz_list") && !shown.contains('\x1b'), "{term:?}: {shown:?}");
    }
}

#[test]
fn e03_a_result_that_nobody_reads_ends_its_command_quietly() {
    let world = beds();
    world.ok(&["build"]);
    let rows = "select a.bed, b.value from main.beds a cross join generate_series(1, 20000) b";
    for arguments in [
        &["completions", "bash"][..],
        &["man"],
        &["--help"],
        &["ls"],
        &["sql", rows],
        &["sql", rows, "--format", "csv"],
        &["sql", rows, "--format", "json"],
        &["sql", rows, "--format", "parquet"],
        &["show", "beds"],
        &["compile", "beds"],
        &["epochs", "list"],
        &["functions"],
    ] {
        let output = world.command(arguments).stdout(unread()).output().unwrap();
        let (_, complaints) = printed(&output);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {complaints}");
        assert_eq!(complaints, "", "{arguments:?}");
    }
}

#[test]
fn e03_a_build_that_nobody_reads_goes_on_to_its_end() {
    for format in ["text", "json"] {
        let world = beds();
        let build = |world: &World| {
            let mut command = world.command(&["build", "--log-format", format]);
            command.stdout(unread()).stderr(unread()).status().unwrap().code()
        };
        assert_eq!(build(&world), Some(0), "{format}");
        assert_eq!(world.count("main.beds"), 3, "{format}");
        world.write("seeds/bed_list.csv", "bed,ward\n01,A\n01,B\n");
        assert_eq!(build(&world), Some(1), "{format}: a failed test is the build's result");
        assert_eq!(world.count("main.beds"), 3, "{format}");
    }
}

/// The log of a server goes through a named pipe, as supervisors have it: its reader ends, and another comes.
#[test]
fn e03_a_server_outlives_the_reader_of_its_log_and_tells_the_next() {
    let world = serve::ward();
    let pipe = world.path().join("log");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let lines = |pipe: &Path| {
        let (send, receive) = mpsc::channel();
        let pipe = pipe.to_owned();
        std::thread::spawn(move || {
            let pipe = File::open(pipe).unwrap();
            // Says that somebody reads.
            let _ = send.send(Value::Null);
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                let event: Value = serde_json::from_str(&line).unwrap();
                let is_last = event["event"] == "listening" || event["event"] == "wave_finished";
                if send.send(event).is_err() || is_last {
                    return;
                }
            }
        });
        receive
    };
    let first = lines(&pipe);
    let log = OpenOptions::new().write(true).open(&pipe).unwrap();
    let server = world
        .command(&["serve", "--log-format", "json", "--http", "127.0.0.1:0", "--drain", "0"])
        .stdout(log)
        .stderr(unread())
        .spawn();
    let mut server = Ended(server.unwrap());
    let listening = |event: &Value| event["event"] == "listening";
    let address = std::iter::from_fn(|| first.recv_timeout(PATIENCE).ok()).find(listening).expect("it listens");
    let http = address["address"].as_str().unwrap().parse().unwrap();
    let deliver = |id: u64| {
        let body = format!("{}\n", json!({"id": id.to_string(), "ward": "a", "beds": "1"}));
        let headers = [("Authorization", "Bearer secret")];
        assert_eq!(request(http, "POST", "/ingest/feed/events", &headers, body.as_bytes()).unwrap().status, 200);
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "event {id} is not shown");
            let status = request(http, "GET", "/v1/status", &[], b"").unwrap().json();
            let feeds = status["feeds"].as_array().unwrap();
            if feeds.iter().any(|feed| feed["table"] == "feed.events" && feed["rows_shown"].as_u64() >= Some(id)) {
                return;
            }
            std::thread::sleep(POLL);
        }
    };
    // Nobody reads this wave's event: the first reader ended when it knew the address.
    deliver(1);
    let second = lines(&pipe);
    assert_eq!(second.recv_timeout(PATIENCE).ok(), Some(Value::Null));
    deliver(2);
    let is_wave = |event: &Value| event["event"] == "wave_finished";
    let told = std::iter::from_fn(|| second.recv_timeout(PATIENCE).ok()).find(is_wave);
    assert!(told.is_some(), "the next reader is told of waves");
    assert!(Command::new("kill").args(["-TERM", &server.0.id().to_string()]).status().unwrap().success());
    assert!(server.0.wait().unwrap().success());
}

#[test]
fn e04_problems_and_failures_are_events() {
    let world = beds();
    world.write("models/broken.sql", "select *\nfrom {{ ref('bedz') }}");
    let output = world.run(&["build", "--log-format", "json"]);
    let (told, complaints) = printed(&output);
    assert_eq!((output.status.code(), complaints.as_str()), (Some(2), ""), "{told}");
    let told = events(&told);
    let problem = told.iter().find(|event| event["event"] == "problem").expect("the problem is told");
    assert_eq!(problem["severity"], "error");
    assert_eq!(
        (&problem["file"], &problem["line"], &problem["column"]),
        (&json!("models/broken.sql"), &json!(2), &json!(14))
    );
    assert!(problem["code"].as_str().unwrap().starts_with("WL-"), "{problem}");
    assert!(problem["message"].as_str().unwrap().contains("bedz"), "{problem}");
    assert!(problem["help"].as_str().unwrap().contains("`beds`"), "{problem}");
    let last = told.last().unwrap();
    assert_eq!(
        (&last["event"], &last["exit_code"], &last["kind"]),
        (&json!("command_failed"), &json!(2), &json!("invalid"))
    );
    // Standard output of a query is its rows', so what went wrong is told beside it; arguments are no exception.
    for arguments in [&["sql", "select nowhere"][..], &["sql", "--nonsense"]] {
        let output = world.run(&[arguments, &["--log-format", "json"]].concat());
        let (rows, told) = printed(&output);
        assert_eq!((output.status.code(), rows.as_str()), (Some(2), ""), "{arguments:?}: {told}");
        assert_eq!(events(&told).last().unwrap()["event"], "command_failed", "{arguments:?}");
    }
}

#[test]
fn e05_a_target_that_is_not_there_is_refused() {
    let world = beds();
    let refused = world.fails(2, &["build", "-t", "prod"]);
    assert!(refused.contains("no target `prod`") && refused.contains("wardlake.yml"), "{refused}");
    assert!(!world.path().join("lake").exists(), "nothing is built into another target's lake");
    world.write("wardlake.yml", "target: dev\ntargets:\n  dev: {lake: lake}\n  test: {lake: other}\n");
    let refused = world.fails(2, &["build", "-t", "prod"]);
    assert!(refused.contains("the targets are: dev, test"), "{refused}");
    assert!(!world.path().join("lake").exists());
    world.ok(&["build", "-t", "test"]);
    assert!(world.path().join("other").exists() && !world.path().join("lake").exists());
}

#[test]
fn e06_nobodys_folder_is_filled_with_a_project() {
    let world = World::empty();
    world.write("thesis.txt", "mine");
    for arguments in [&["demo", "."][..], &["init"], &["init", "."]] {
        let refused = world.fails(2, arguments);
        assert!(refused.contains("is not empty (it holds thesis.txt)"), "{arguments:?}: {refused}");
        assert_eq!(std::fs::read_dir(world.path()).unwrap().count(), 1, "{arguments:?}");
    }
    world.ok(&["init", "ward"]);
    assert!(world.path().join("ward/dbt_project.yml").exists());
}

#[test]
fn e08_what_to_show_needs_no_flag() {
    let world = beds();
    world.ok(&["build", "beds+", "bed_list"]);
    let shown = world.ok(&["show", "beds", "--format", "csv"]);
    assert_eq!(shown, world.ok(&["show", "-s", "beds", "--format", "csv"]));
    assert!(shown.starts_with("bed,ward\n"), "{shown}");
    assert_eq!(world.ok(&["ls", "beds", "--output", "name"]), "beds\nunique_beds_bed\n");
    assert_eq!(world.ok(&["compile", "beds"]), world.ok(&["compile", "-s", "beds"]));
}

/// Every command's help has examples, and no line of anything that is read is cut within a word.
#[test]
fn e08_help_and_messages_break_between_words() {
    let world = beds();
    world.write(
        "models/broken.sql",
        "select * from {{ ref('a_model_that_nobody_has_written_yet') }} join {{ source('nowhere', 'at_all') }} using (id)",
    );
    for columns in [60, 100] {
        let too_wide = |shown: &str| {
            let words = |line: &str| line.split_whitespace().count();
            shown.lines().find(|line| line.chars().count() > usize::from(columns) && words(line) > 1).map(str::to_owned)
        };
        let mut commands = vec![vec![]];
        let (help, _) = on_terminal(&world, Some("dumb"), columns, &["--help"]);
        let listed = help.split("Commands:").nth(1).unwrap().split("Options:").next().unwrap();
        let names = listed.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
        commands.extend(names.filter_map(|line| line.split_whitespace().next()).map(|name| vec![name]));
        commands.extend([vec!["quarantine", "fix"], vec!["identity", "merge"], vec!["epochs", "rollback"]]);
        assert!(commands.len() > 25, "{help}");
        for command in commands.iter().filter(|command| !command.contains(&"help")) {
            let (help, code) = on_terminal(&world, Some("dumb"), columns, &[&command[..], &["--help"]].concat());
            assert_eq!(code, Some(0), "{command:?}: {help}");
            assert!(help.contains("Examples:\n"), "{command:?}: {help}");
            assert_eq!(too_wide(&help), None, "{command:?} at {columns}");
        }
        let (problems, _) = on_terminal(&world, Some("dumb"), columns, &["parse"]);
        let messages: String = problems
            .lines()
            // The code that is shown, and what points at it, stand as they are written.
            .filter(|line| !line.contains("select") && !line.contains("^") && !line.contains("`-- here"))
            .map(|line| format!("{line}\n"))
            .collect();
        assert!(messages.contains("a_model_that_nobody_has_written_yet"), "{problems}");
        assert_eq!(too_wide(&messages), None, "at {columns}");
        let fine = beds();
        let (run, _) = on_terminal(&fine, Some("dumb"), columns, &["build"]);
        assert!(run.contains("Completed successfully"), "{run}");
        assert_eq!(too_wide(&run), None, "at {columns}");
    }
}

/// The examples, in the folder of a demo, one after the other. Left out are those that build everything, of which other tests speak,
/// and those that listen.
#[test]
fn e08_examples_run_as_written() {
    let world = World::empty();
    world.ok(&["demo", "--days", "2", "demo"]);
    let folder = world.path().join("demo");
    let binary = Path::new(env!("CARGO_BIN_EXE_wardlake")).parent().unwrap();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
    let help = |command: &[&str]| world.ok(&[command, &["--help"]].concat());
    let below = |command: &str| match command {
        "epochs" => &["list", "show", "diff", "pin", "unpin", "rollback"][..],
        "quarantine" => &["list", "show", "fix", "dismiss", "reopen"],
        "identity" => &["list", "merge", "unmerge", "distinct", "history"],
        _ => &[],
    };
    let main = help(&[]);
    let names = main.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // Their descriptions go on further in.
    let names = names.filter(|line| !line.starts_with("   "));
    for name in names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help") {
        let texts = std::iter::once(help(&[name])).chain(below(name).iter().map(|part| help(&[name, *part])));
        for text in texts {
            let examples = text.split("Examples:\n").nth(1).unwrap();
            for example in examples.split("  # ").filter(|example| !example.trim().is_empty()) {
                let script = example.split_once('\n').unwrap().1;
                let takes_long = ["demo", "serve", "test\n", "build\n", "build --exclude", "ingest\n"];
                if takes_long.iter().any(|start| script.trim_start().starts_with(&format!("wardlake {start}"))) {
                    continue;
                }
                let mut shell = Command::new("bash");
                shell.args(["-euo", "pipefail", "-c", script]).current_dir(&folder).env("PATH", &path);
                shell.env_remove("WARDLAKE_LAKE").stdin(Stdio::null());
                let output = shell.output().unwrap();
                let (told, complaints) = printed(&output);
                assert!(output.status.success(), "{script}\n{told}\n{complaints}");
            }
        }
    }
}

#[test]
fn e09_a_query_needs_no_sound_project_and_tells_no_warnings() {
    let world = beds();
    world.write("models/odd.yml", "models:\n  - name: nobody\n    description: Not there.\n");
    let (_, told) = printed(&world.run(&["build"]));
    assert!(told.contains("WL-P013"), "{told}");
    for arguments in [&["sql", "select count(*) as n from beds", "--format", "csv"][..], &["ls"], &["show", "beds"]] {
        let (_, told) = printed(&world.run(arguments));
        assert_eq!(told, "", "{arguments:?}");
    }
    world.write("models/broken.sql", "select * from {{ ref('bedz') }}");
    let output = world.run(&["sql", "select count(*) as n from beds", "--format", "csv"]);
    let (rows, told) = printed(&output);
    assert_eq!((output.status.code(), rows.as_str()), (Some(0), "n\n3\n"), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(told.contains("the project has 1 error") && told.contains("wardlake parse"), "{told}");
    assert_eq!(world.ok(&["epochs", "list"]).lines().count(), 1, "the way back is open");
    // What cannot be read as YAML at all hides no lake either.
    world.write("dbt_project.yml", "name: [ward\n");
    assert_eq!(world.ok(&["sql", "select count(*) as n from beds", "--format", "csv"]), "n\n3\n");
}

#[test]
fn e12_words_that_are_far_off_are_not_suggested() {
    let world = beds();
    let told = world.fails(2, &["deps"]);
    assert!(told.contains("unrecognized subcommand 'deps'") && !told.contains("epochs"), "{told}");
    assert!(world.fails(2, &["bild"]).contains("'build'"));
    world.write("models/broken.sql", "select * from {{ ref('payers') }}");
    let told = world.fails(2, &["parse"]);
    assert!(!told.contains("did you mean"), "{told}");
}

#[test]
fn e14_a_project_begins_with_nothing_or_with_files() {
    let world = World::empty();
    let told = world.ok(&["init", "--empty", "clinic"]);
    assert!(told.contains("Wrote clinic/dbt_project.yml"), "{told}");
    world.ok(&["build", "--project-dir", "clinic"]);
    // Files of one table from day to day, one without a header's capitals, one that no reader takes.
    world.write("landing/beds_2025-01-01.csv", "BedId,Ward,use,from_date\n01,A,y,2025-01-01\n02,B,n,2025-01-02\n");
    world.write("landing/beds_2025-01-02.csv", "BedId,Ward,use,from_date\n01,A,y,\n03,B,n,2025-01-02\n");
    world.write(
        "landing/live/events.ndjson",
        "{\"id\": 1, \"at\": \"2025-01-01 10:00:00\"}\n{\"id\": 2, \"at\": null}\n",
    );
    world.write("landing/scan.pdf", "%PDF-1.7");
    let told = world.ok(&["init", "--from", "landing", "ward"]);
    for part in ["Wrote ward/sources/landing.yml", "beds_{date}.csv", "key perhaps BedId", "left out: scan.pdf"] {
        assert!(told.contains(part), "`{part}` is missing in:\n{told}");
    }
    let refused = world.fails(2, &["init", "--from", "landing", "ward"]);
    assert!(refused.contains("is there already"), "{refused}");
    for command in ["ingest", "build"] {
        world.ok(&[command, "--project-dir", "ward"]);
    }
    let csv = |query: &str| world.ok(&["sql", query, "--format", "csv", "--project-dir", "ward"]);
    assert_eq!(csv("select count(*) as n from main.stg_landing__beds"), "n\n4\n");
    assert_eq!(csv("select arrow_typeof(from_date) as t from main.stg_landing__beds limit 1"), "t\nDate32\n");
    assert_eq!(csv("select count(\"at\") as n from main.stg_landing__events"), "n\n1\n");
}

#[test]
fn e14_public_data_is_loaded_by_what_is_written_for_it() {
    let Some(data) = acceptance_data() else { return };
    for (folder, counts) in [
        ("hms", &[("raw_patients", 0), ("physicians", 0), ("lists", 0)][..]),
        (
            "registry",
            &[
                ("doctors", 191),
                ("nurses", 488),
                ("patients", 5500),
                ("pharmaceuticals", 796),
                ("diseases_enriched_filled", 796),
            ],
        ),
        ("patients-tab", &[("patient", 0)]),
        ("synthea-csv", &[("patients", 27), ("encounters", 604)]),
    ] {
        let world = World::empty();
        world.ok(&["init", "--from", &data.join(folder).to_string_lossy()]);
        world.ok(&["ingest"]);
        let built = world.ok(&["build"]);
        assert!(built.contains("ERROR=0"), "{folder}: {built}");
        let source = folder.replace('-', "_");
        for (table, rows) in counts {
            let found = world.count(&format!("main.stg_{source}__{table}"));
            assert!(found > 0 && (*rows == 0 || found == *rows), "{folder}.{table} has {found} rows");
        }
    }
}

#[test]
fn c09_a_terminal_obeys_nothing_of_the_data() {
    let world = beds();
    world.write("seeds/bed_list.csv", "bed,ward\n01,\x1b]0;owned\x07A\n02,\u{9b}31mB\n03,C\u{202e}D\n");
    let is_safe = |text: &str| !text.contains(['\x1b', '\x07', '\u{9b}', '\u{202e}', '\r']);
    let built = world.ok(&["build"]);
    assert!(is_safe(&built), "{built:?}");
    for arguments in [&["sql", "select * from beds"][..], &["show", "beds"], &["explain", "beds", "01"], &["quality"]] {
        let shown = world.ok(arguments);
        assert!(is_safe(&shown), "{arguments:?}: {shown:?}");
    }
    let shown = world.ok(&["sql", "select * from beds order by bed"]);
    for part in ["\\x1b]0;owned\\x07A", "\\x9b31mB", "C\\u{202e}D"] {
        assert!(shown.contains(part), "`{part}` is missing in:\n{shown}");
    }
    let csv = world.ok(&["sql", "select ward from beds order by bed limit 1", "--format", "csv"]);
    assert_eq!(csv, "ward\n\x1b]0;owned\x07A\n", "other programs get what is there");
    let explained: Value = serde_json::from_str(&world.ok(&["explain", "beds", "02", "--json"])).unwrap();
    assert!(explained.to_string().contains("\u{9b}31mB"), "{explained}");
    // Names of files are data as well.
    world.write("sources/feed.yml", "sources:\n  - name: feed\n    schema: bronze\n    config: {meta: {wardlake: {root: in}}}\n    tables: [{name: wards, config: {meta: {wardlake: {path: '*.csv'}}}}]\n");
    world.write("dbt_project.yml", "name: ward\nversion: '1.0'\nmodel-paths: [models, sources]\nseed-paths: [seeds]\n");
    let name = std::ffi::OsStr::from_bytes(b"a\x1b[2Jb.csv");
    std::fs::create_dir(world.path().join("in")).unwrap();
    std::fs::write(world.path().join("in").join(name), "ward\nA\n").unwrap();
    let loaded = world.ok(&["ingest"]);
    assert!(is_safe(&loaded) && loaded.contains("a\\x1b[2Jb.csv"), "{loaded:?}");
}

#[test]
fn c09_what_libraries_log_is_shown_to_who_asks() {
    let world = beds();
    let query = ["sql", "select 1 as one", "--format", "csv"];
    let mut quiet = world.command(&query);
    quiet.env_remove("WARDLAKE_LOG").env_remove("RUST_LOG");
    assert_eq!(printed(&quiet.output().unwrap()).1, "");
    for name in ["WARDLAKE_LOG", "RUST_LOG"] {
        let mut asked = world.command(&query);
        let (rows, log) = printed(&asked.env_remove("WARDLAKE_LOG").env(name, "trace").output().unwrap());
        assert_eq!(rows, "one\n1\n");
        assert!(!log.is_empty(), "{name}");
    }
}
