//! `cargo xtask test`: sets up what the tests need, then lets `cargo test` speak.

use crate::{
    kafka,
    process::{self, TaskResult, cargo},
    python,
};

#[derive(clap::Args, Default)]
pub(crate) struct Args {
    /// Leave out the comparisons with other engines and the Kafka broker (they then say that they were skipped).
    #[arg(long)]
    quick: bool,
    /// Only tests whose name holds this text.
    filter: Option<String>,
    /// For cargo test, after `--`: `-- --nocapture`, `-- --test-threads 1`.
    #[arg(last = true)]
    harness: Vec<String>,
}

pub(crate) fn run(args: &Args) -> TaskResult {
    let mut command = cargo();
    command.args(["test", "--locked", "--workspace"]).args(&args.filter);
    if !args.harness.is_empty() {
        command.arg("--").args(&args.harness);
    }
    command.env_remove("WARDLAKE_PEERS_PYTHON").env_remove("WARDLAKE_KAFKA_JARS");
    if args.quick {
        // Who leaves tests out on purpose does not want them to fail.
        command.env_remove("WARDLAKE_REQUIRE_ALL");
    } else {
        command.env("WARDLAKE_PEERS_PYTHON", python::TESTS.python()?);
        if let Some(jars) = kafka::jars()? {
            command.env("WARDLAKE_KAFKA_JARS", jars);
        }
    }
    process::run(&mut command)
}
