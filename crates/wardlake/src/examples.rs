//! What people type: the examples in each command's help. They run as written, one after the other, in the folder of a demo
//! (`wardlake demo && cd wardlake-demo`), and are no wider than a narrow terminal.

use clap::Command;

/// A command, and of each of its examples what it does and how it is written.
type Examples = (&'static str, &'static [(&'static str, &'static str)]);

const EXAMPLES: &[Examples] = &[
    (
        "",
        &[
            ("A hospital network that does not exist, start to end", "wardlake demo"),
            ("Load what is new; build, test and publish", "wardlake ingest && wardlake build"),
            ("Read what is published", "wardlake sql \"select * from gold.kpi_key_figures\""),
        ],
    ),
    (
        "init",
        &[
            ("The hospital project in a new folder", "wardlake init ward"),
            ("A project with nothing in it", "wardlake init --empty clinic"),
            ("What reads a folder of files, as a new project", "wardlake init --from landing my-ward"),
        ],
    ),
    (
        "demo",
        &[
            ("A week of seven hospitals, in ./wardlake-demo", "wardlake demo"),
            ("Two days, in a folder of your choice", "wardlake demo --days 2 small-demo"),
        ],
    ),
    (
        "ingest",
        &[
            ("Every source", "wardlake ingest"),
            ("One table", "wardlake ingest source:hospital.departments"),
            ("Its kept files again, by changed settings", "wardlake ingest --reload -s hospital.departments"),
        ],
    ),
    (
        "build",
        &[
            ("Everything that has changed, and its tests", "wardlake build"),
            ("A model and all that reads it", "wardlake build dim_department+"),
            ("All but the tests of all history", "wardlake build --exclude tag:history"),
        ],
    ),
    (
        "run",
        &[
            ("One model, without its tests", "wardlake run dim_department"),
            ("A model from nothing", "wardlake run dim_department --full-refresh"),
        ],
    ),
    (
        "test",
        &[
            ("All tests", "wardlake test"),
            ("Those of a model, with tables of what they find", "wardlake test dim_department --store-failures"),
        ],
    ),
    ("seed", &[("The project's CSV files", "wardlake seed")]),
    ("snapshot", &[("All snapshots", "wardlake snapshot")]),
    (
        "compile",
        &[
            ("The SQL of a model", "wardlake compile dim_department"),
            (
                "Of a query with Jinja",
                "wardlake compile --inline \\\n    \"select * from {{ ref('dim_department') }}\"",
            ),
        ],
    ),
    ("parse", &[("Every problem of the project, with its place", "wardlake parse")]),
    (
        "ls",
        &[
            ("What a model is made from", "wardlake ls +dim_department"),
            ("The files of all staging models", "wardlake ls tag:staging --output path"),
        ],
    ),
    (
        "show",
        &[
            ("Five rows of a model", "wardlake show dim_department"),
            ("More of them, as CSV", "wardlake show dim_department --limit 20 --format csv"),
            ("Of a query with Jinja", "wardlake show --inline \\\n    \"select * from {{ ref('dim_department') }}\""),
        ],
    ),
    (
        "sql",
        &[
            ("What is published", "wardlake sql \"select * from gold.kpi_key_figures\""),
            ("For another program", "wardlake sql \"select 1 as one\" --format csv -o one.csv"),
            ("As it stood after an earlier build", "wardlake sql \"select 1 as one\" --epoch 1"),
            ("Of a lake, wherever it is", "wardlake sql \"select 1 as one\" --lake lake"),
        ],
    ),
    ("epochs", &[("What was published, and when", "wardlake epochs list")]),
    ("epochs list", &[("For another program", "wardlake epochs list --json")]),
    ("epochs show", &[("What readers see", "wardlake epochs show")]),
    ("epochs diff", &[("What the second brought", "wardlake epochs diff 1 2")]),
    ("epochs pin", &[("Keep what was reported", "wardlake epochs pin 2 --note \"annual report\"")]),
    ("epochs unpin", &[("Keep it no longer than others", "wardlake epochs unpin 2")]),
    ("epochs rollback", &[("Show readers the second again", "wardlake epochs rollback 2")]),
    (
        "quality",
        &[("As text", "wardlake quality"), ("As one page for a browser", "wardlake quality --html quality.html")],
    ),
    ("quarantine", &[("What is withheld, per model and rule", "wardlake quarantine list")]),
    (
        "quarantine list",
        &[
            ("Per model and rule", "wardlake quarantine list"),
            ("The rows of a model", "wardlake quarantine list stg_hospital__encounters"),
        ],
    ),
    (
        "quarantine show",
        &[(
            "The first row of a model, by its id",
            "id=$(wardlake sql --format csv \"select quarantine_id \\\n    from quarantine.stg_hospital__encounters \\\n    \
         order by 1 limit 1\" | tail -n 1)\n  wardlake quarantine show \"$id\"",
        )],
    ),
    (
        "quarantine fix",
        &[(
            "Put a column of some rows right",
            "wardlake quarantine fix stg_hospital__encounters \\\n    --set \"triage_level = '3'\" \\\n    \
         --where \"row_key like 'H01-%'\" --reason \"a typo\"",
        )],
    ),
    (
        "quarantine dismiss",
        &[(
            "Leave a row out for good",
            "wardlake quarantine dismiss stg_hospital__encounters \\\n    --where \"row_key like 'H02-%'\" --reason \"test\"",
        )],
    ),
    (
        "quarantine reopen",
        &[(
            "Take that back",
            "wardlake quarantine reopen stg_hospital__encounters \\\n    --where \"row_key like 'H02-%'\" --reason \"real\"",
        )],
    ),
    ("quarantine replay", &[("Let corrected rows flow on", "wardlake quarantine replay")]),
    ("feed", &[("What could not be loaded, and why", "wardlake feed list")]),
    ("feed list", &[("For another program", "wardlake feed list --output json")]),
    ("feed show", &[("What was delivered, as it came", "wardlake feed show 12 --raw > delivery")]),
    (
        "feed replay",
        &[
            ("All, after the table or its settings were put right", "wardlake feed replay --all"),
            ("Some of one feed", "wardlake feed replay 12 15 --feed hl7.messages"),
        ],
    ),
    (
        "explain",
        &[(
            "A department, back to the line it came from",
            "wardlake explain dim_department H01-D01 \\\n    --column department_id",
        )],
    ),
    ("identity", &[("Records that may be one person", "wardlake identity list")]),
    ("identity list", &[("Only the probable ones", "wardlake identity list --min-score 0.9")]),
    (
        "identity merge",
        &[(
            "Two records are one person",
            "wardlake identity merge H01-PT0000001 H01-PT0000002 \\\n    --by weber --reason \"same passport\"",
        )],
    ),
    (
        "identity unmerge",
        &[(
            "They were not",
            "wardlake identity unmerge H01-PT0000001 H01-PT0000002 \\\n    --by weber --reason \"another passport\"",
        )],
    ),
    (
        "identity distinct",
        &[("Twins", "wardlake identity distinct H01-PT0000001 H01-PT0000002 \\\n    --by weber --reason \"twins\"")],
    ),
    ("identity history", &[("Every decision", "wardlake identity history")]),
    (
        "maintain",
        &[
            ("What would be deleted", "wardlake maintain --dry-run"),
            ("Keep the lake in shape now", "wardlake maintain"),
        ],
    ),
    ("clean", &[("Remove target/ and the like", "wardlake clean")]),
    (
        "debug",
        &[
            ("Does everything work here?", "wardlake debug"),
            ("Every time-out, bound and retention", "wardlake debug --limits"),
        ],
    ),
    (
        "functions",
        &[
            ("The SQL functions that Wardlake adds", "wardlake functions"),
            ("One function, Wardlake's or DataFusion's", "wardlake functions age_years"),
        ],
    ),
    (
        "reference",
        &[
            ("Every setting of a source table", "wardlake reference sources"),
            ("One of them", "wardlake reference sources | grep settle_seconds"),
        ],
    ),
    (
        "serve",
        &[
            ("For this machine alone", "wardlake serve"),
            ("With HL7 v2, and a log for programs", "wardlake serve --mllp 127.0.0.1:2575 --log-format json"),
        ],
    ),
    (
        "simulate",
        &[
            ("Three days of extracts", "wardlake simulate --out simulated --days 3"),
            ("One kind of damage", "wardlake simulate --out late --days 2 --dirt late_row=0.02"),
        ],
    ),
    ("score", &[("Against the truth beside the extracts", "wardlake score --truth landing")]),
    ("completions", &[("For bash", "wardlake completions bash > wardlake.bash")]),
    ("man", &[("As a file that `man ./wardlake.1` shows", "wardlake man > wardlake.1")]),
];

/// The command with its examples, and all below it with theirs.
pub(crate) fn added(command: Command) -> Command {
    with_examples(command, "")
}

fn with_examples(command: Command, path: &str) -> Command {
    let examples = EXAMPLES.iter().filter(|(of, _)| *of == path).flat_map(|(_, examples)| examples.iter());
    let text: String = examples.map(|(what, example)| format!("\n  # {what}\n  {example}")).collect();
    let command = if text.is_empty() { command } else { command.after_help(format!("Examples:{text}")) };
    command.mut_subcommands(|below| {
        let path = format!("{path} {}", below.get_name());
        with_examples(below, path.trim_start())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args;

    /// The words of an example's last command, as a shell parts them, up to what stands behind it.
    fn words(example: &str) -> Vec<String> {
        let example = example.replace("\\\n", "");
        let example = example.lines().last().unwrap();
        let mut words = vec![String::new()];
        let mut is_quoted = false;
        for c in example.chars() {
            match c {
                '"' => is_quoted = !is_quoted,
                '|' | '&' | '>' if !is_quoted => break,
                c if c.is_whitespace() && !is_quoted => words.push(String::new()),
                c => words.last_mut().unwrap().push(c),
            }
        }
        words.retain(|word| !word.is_empty());
        words
    }

    fn each(command: &Command, path: &str, seen: &mut Vec<String>) {
        seen.push(path.to_owned());
        for below in command.get_subcommands() {
            each(below, format!("{path} {}", below.get_name()).trim_start(), seen);
        }
    }

    #[test]
    fn e08_every_command_has_examples_that_it_takes() {
        let mut paths = Vec::new();
        each(&args::command(), "", &mut paths);
        for path in &paths {
            assert!(EXAMPLES.iter().any(|(of, _)| of == path), "`wardlake {path} --help` has no example");
        }
        for (path, examples) in EXAMPLES {
            assert!(paths.iter().any(|known| known == path), "there is no command `{path}`");
            for (_, example) in examples.iter() {
                let words = words(example);
                assert!(words.join(" ").starts_with(&format!("wardlake {path}")) || path.is_empty(), "{example}");
                let matches = args::command().try_get_matches_from(&words);
                assert!(matches.is_ok(), "{example}: {}", matches.unwrap_err());
            }
        }
    }

    #[test]
    fn e08_no_line_of_an_example_is_broken_at_sixty_columns() {
        for (_, examples) in EXAMPLES {
            for (what, example) in examples.iter() {
                assert!(format!("  # {what}").chars().count() <= 60, "{what}");
                assert!(format!("  {example}").lines().all(|line| line.chars().count() <= 60), "{example}");
            }
        }
    }
}
