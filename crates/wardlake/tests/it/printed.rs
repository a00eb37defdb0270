//! What every command prints: its help, what it says when it did its work, and each error that a user can make. The list of commands is the
//! help's own, so that a new one cannot be forgotten. `INSTA_UPDATE=always cargo test -p wardlake --test it printed` writes the snapshots
//! anew; without it a difference fails.

mod cases;
mod project;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader},
    process::{Command, Output, Stdio},
};

use insta::{Settings, assert_snapshot};

use self::{
    cases::{DONE, MISTAKES, WITHOUT_PROJECT},
    project::{Place, Places},
};
use crate::{
    crash::free_port,
    mllp::{Sender, admission, clinic},
    served::{Served, signal},
    world::World,
};

/// What differs from run to run and from machine to machine, and what stands for it.
const FILTERS: [(&str, &str); 17] = [
    (r"(?m)^\d\d:\d\d:\d\d  ", "[time]  "),
    (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d)?(\.\d+)?( UTC|\+00:00|Z)?", "[instant]"),
    (r"\b\d{1,2} [A-Z][a-z]+ 20\d\d\b", "[date]"),
    (r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "[id]"),
    (r"\b[0-9a-f]{32}\b", "[hash]"),
    (r"\bin \d+\.\d+ ?s\b", "in [duration]"),
    (r"Took \d+\.\d s", "Took [duration]"),
    (r"process \d+ on \S+ since", "process [number] on [host] since"),
    (r"127\.0\.0\.1:\d{5}\b", "127.0.0.1:[port]"),
    (r"\d+ macros", "[some] macros"),
    (r"\((x86_64|aarch64)\)", "([processor])"),
    (r"\d+ threads?, \d+ functions", "[some] threads, [some] functions"),
    // What a lake's files come to is the writer's affair.
    (r"\(\d+\.\d MB\)", "([size])"),
    (r"\(os error \d+\)", "(os error)"),
    // Columns are as wide as what was just replaced.
    (r" +\|", " |"),
    (r"-{4,}", "---"),
    (r"(?m)[ \t]+$", ""),
];

/// Every command that is not a group of others, and every group: `quarantine`, `quarantine list`, …
fn commands(world: &World) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut open: Vec<Vec<String>> = vec![Vec::new()];
    while let Some(path) = open.pop() {
        let help = help(world, &path);
        for name in subcommands(&help) {
            let mut below = path.clone();
            below.push(name);
            open.push(below);
        }
        found.push(path);
    }
    found.sort();
    found
}

fn help(world: &World, path: &[String]) -> String {
    let arguments: Vec<&str> = path.iter().map(String::as_str).chain(["--help"]).collect();
    let output = quiet(world, &arguments).output().unwrap();
    assert!(output.status.success(), "{path:?} --help ended with {}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// The names under `Commands:`, of which each begins a line that is indented by two.
fn subcommands(help: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = lines.filter(|line| !line.starts_with("   ")).filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

/// The command, with nothing set that changes what it prints.
fn quiet(world: &World, arguments: &[&str]) -> Command {
    let mut command = world.command(arguments);
    for name in ["WARDLAKE_TARGET", "WARDLAKE_LOG_FORMAT", "WARDLAKE_LOG", "RUST_LOG", "COLUMNS"] {
        command.env_remove(name);
    }
    command.env("USER", "weber");
    command
}

/// Checks a text against the snapshot of that name.
fn check(name: &str, text: &str) {
    let mut settings = Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_filters(FILTERS);
    settings.bind(|| assert_snapshot!(format!("printed__{name}"), text));
}

/// A command and what it printed, with all that names the machine left out.
fn told(world: &World, arguments: &[&str]) -> (String, Output) {
    let output = quiet(world, arguments).output().unwrap();
    let shown: Vec<String> = arguments
        .iter()
        .map(|word| match word.is_empty() || word.contains([' ', '{', '\'', '*', '(']) {
            true => format!("\"{word}\""),
            false => (*word).to_owned(),
        })
        .collect();
    let mut text = format!("$ wardlake {}\n", shown.join(" "));
    text += &String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    if !said.is_empty() {
        text += &format!("-- standard error\n{said}");
    }
    (of_no_machine(world, &text), output)
}

fn of_no_machine(world: &World, text: &str) -> String {
    let here = world.path().canonicalize().unwrap();
    let text = text.replace(&*here.to_string_lossy(), "[world]").replace(&*world.path().to_string_lossy(), "[world]");
    text.replace(concat!("wardlake ", env!("CARGO_PKG_VERSION")), "wardlake [version]")
}

/// The command that a path belongs to: snapshots are one per command, not per subcommand.
fn command_of(path: &[String]) -> String {
    path.first().map_or("wardlake", String::as_str).to_owned()
}

fn names(commands: &[Vec<String>]) -> BTreeSet<String> {
    commands.iter().filter_map(|path| path.first().cloned()).collect()
}

#[test]
fn printed_help_of_every_command() {
    let world = World::empty();
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    for path in commands(&world) {
        let text = of_no_machine(&world, &help(&world, &path));
        assert!(text.contains("\nExamples:\n"), "`wardlake {} --help` has no example", path.join(" "));
        let called = [&["wardlake".to_owned()][..], &path, &["--help".to_owned()]].concat().join(" ");
        *texts.entry(command_of(&path)).or_default() += &format!("$ {called}\n{text}\n");
    }
    for (command, text) in &texts {
        check(&format!("help__{command}"), text);
    }
}

/// The commands are run one after the other in one small world; what one leaves is what the next one finds.
#[test]
fn printed_success_of_every_command() {
    let mut places = Places::default();
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    for (place, arguments) in DONE {
        let (text, output) = told(places.of(*place), arguments);
        assert!(output.status.success(), "{text}");
        *texts.entry(arguments[0].to_owned()).or_default() += &format!("{text}\n");
    }
    for (command, text) in &texts {
        check(&format!("done__{command}"), text);
    }
    // The first four have a test of their own below; pages made from what is known elsewhere are held by the tests of that.
    let elsewhere = ["demo", "feed", "score", "serve", "completions", "man", "reference"];
    let names = names(&commands(places.of(Place::Elsewhere)));
    let missing: Vec<&String> =
        names.iter().filter(|name| !texts.contains_key(*name) && !elsewhere.contains(&name.as_str())).collect();
    assert!(missing.is_empty(), "what these print is nowhere: {missing:?}");
}

#[test]
fn printed_errors_of_every_command() {
    let mut places = Places::default();
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    let all = commands(places.of(Place::Elsewhere));
    for path in &all {
        let arguments: Vec<&str> = path.iter().map(String::as_str).chain(["--no-such-flag"]).collect();
        let (text, output) = told(places.of(Place::Elsewhere), &arguments);
        assert_eq!(output.status.code(), Some(2), "{text}");
        *texts.entry(command_of(path)).or_default() += &format!("{text}\n");
    }
    for (place, code, arguments) in MISTAKES {
        let (text, output) = told(places.of(*place), arguments);
        assert_eq!(output.status.code(), Some(*code), "{text}");
        *texts.entry(arguments[0].to_owned()).or_default() += &format!("# {}\n{text}\n", place.described());
    }
    for (command, text) in &texts {
        check(&format!("mistakes__{command}"), text);
    }
    let is_tried = |name: &str, wanted: Place| {
        MISTAKES.iter().any(|(place, _, arguments)| *place == wanted && arguments[0] == name)
    };
    for name in names(&all).iter().filter(|name| !WITHOUT_PROJECT.contains(&name.as_str())) {
        assert!(is_tried(name, Place::Elsewhere), "nothing shows what `{name}` says where there is no project");
    }
}

/// A lake that a server has, and a port.
#[test]
fn printed_errors_beside_a_server() {
    let (mut places, mut others) = (Places::default(), Places::default());
    let served = Served::start(places.of(Place::Ward), &[], &["http"]);
    let port = served.http.to_string();
    let mut text = String::new();
    let serve_there = ["serve", "--http", port.as_str()];
    for (is_beside, arguments) in
        [(true, &["serve", "--http", "127.0.0.1:0"][..]), (true, &["maintain"]), (false, &serve_there)]
    {
        let world = if is_beside { places.of(Place::Ward) } else { others.of(Place::Ward) };
        let (told, output) = told(world, arguments);
        assert_eq!(output.status.code(), Some(2), "{told}");
        text += &format!("{told}\n");
    }
    served.stop();
    check("mistakes__beside_a_server", &text);
}

/// What a server says from its start until it listens.
#[test]
fn printed_by_a_server_that_starts() {
    let mut places = Places::default();
    let (world, address) = (places.of(Place::Ward), free_port().to_string());
    let mut command = quiet(world, &["serve", "--http", address.as_str(), "--drain", "0"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    while !text.contains(address.as_str()) {
        assert_ne!(reader.read_line(&mut text).unwrap(), 0, "the server ended: {text}");
    }
    signal(child.id(), "TERM");
    assert!(child.wait().unwrap().success());
    check("done__serve", &of_no_machine(world, &text));
}

#[test]
fn printed_of_deliveries_that_were_set_aside() {
    let world = clinic("true");
    let required = "version: 2\nsources:\n  - name: hl7\n    schema: bronze\n    tables:\n      - name: messages\n        \
                    config:\n          meta:\n            wardlake:\n              mllp: true\n              format: \
                    {type: hl7, mapping: {columns: {movement: {from: ZBE-1, required: REQUIRED}}}}\n        columns: \
                    [{name: message}, {name: message_control_id}, {name: trigger_event}, {name: patient_id}]\n";
    world.write("sources/hl7.yml", required.replace("REQUIRED", "true"));
    let served = Served::start(&world, &["--mllp", "127.0.0.1:0"], &["http", "mllp"]);
    let mut sender = Sender::connect(served.mllp.unwrap()).unwrap();
    sender.send(&admission(1)).unwrap();
    drop(sender);
    served.stop();
    let mut text = String::new();
    for (arguments, code) in [
        (&["feed", "list"][..], 0),
        (&["feed", "show", "1"], 0),
        (&["feed", "show", "2"], 2),
        (&["feed", "replay", "1", "--feed", "hl7.message"], 2),
        (&["feed", "replay", "1"], 1),
    ] {
        let (told, output) = told(&world, arguments);
        assert_eq!(output.status.code(), Some(code), "{told}");
        text += &format!("{told}\n");
    }
    world.write("sources/hl7.yml", required.replace("REQUIRED", "false"));
    let (last, output) = told(&world, &["feed", "replay", "--all"]);
    assert!(output.status.success(), "{last}");
    // How many epochs a server published before it stopped is its own affair.
    let last: Vec<&str> = last.lines().filter(|line| !line.contains("Published epoch")).collect();
    check("done__feed", &(text + &last.join("\n")));
}

/// Figures belong to the simulation and the hospital project, whose tests know them: here they are left out.
#[test]
fn printed_by_the_demo_and_its_score() {
    let world = World::empty();
    let without_figures = |text: &str| {
        let signs: String = text.chars().map(|sign| if sign.is_ascii_digit() { '0' } else { sign }).collect();
        let words = |line: &str| -> String {
            let words = line.split_whitespace().map(|word| match word.contains('0') {
                true => "#",
                false => word,
            });
            words.collect::<Vec<_>>().join(" ")
        };
        signs.lines().map(words).collect::<Vec<_>>().join("\n")
    };
    let (demo, output) = told(&world, &["demo", "--days", "1", "--dirt", "0"]);
    assert!(output.status.success(), "{demo}");
    // What comes before is told of each of some hundred nodes, as `build` tells of them.
    let (_, told_last) = demo.split_once("\nWhat was built\n").unwrap();
    let of_the_demo = ["score", "--truth", "wardlake-demo/landing", "--project-dir", "wardlake-demo"];
    let (score, output) = told(&world, &of_the_demo);
    assert!(output.status.success(), "{score}");
    check("done__demo", &without_figures(told_last));
    check("done__score", &without_figures(&score));
}
