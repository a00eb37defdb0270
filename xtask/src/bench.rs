//! `cargo xtask bench`: builds the release binary and hands over to `benches/run.py`, which measures.

use std::{env, path::PathBuf, process::Command};

use crate::{
    process::{TaskResult, cache, cargo, root, run as run_command},
    python,
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Events of the main job.
    #[arg(long, default_value_t = 1_000_000)]
    rows: u64,
    /// Days over which the extracts are spread.
    #[arg(long, default_value_t = 30)]
    days: u32,
    /// Only these measurements, by commas: job, ingest, rerun, parse, start.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Peers of the main job, by commas: polars, duckdb, spark; `none` for none.
    #[arg(long, value_delimiter = ',', default_value = "polars,duckdb,spark")]
    peers: Vec<String>,
    /// Repetitions of each measurement; the fastest is printed.
    #[arg(long, default_value_t = 1)]
    repeat: u32,
    /// Memory that Wardlake is given, in MiB.
    #[arg(long, default_value_t = 4096)]
    memory: u32,
    /// Where the generated files and results go; kept, so that the next run need not generate them again.
    #[arg(long)]
    work: Option<PathBuf>,
    /// Write the table into docs/PERFORMANCE.md.
    #[arg(long)]
    write: bool,
}

pub(crate) fn run(args: &Args) -> TaskResult {
    let python = python::BENCHES.python()?;
    run_command(cargo().args(["build", "--locked", "--release", "--package", "wardlake"]))?;
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let work = match &args.work {
        Some(work) => work.clone(),
        None => cache()?.join("bench"),
    };
    let mut command = Command::new(python);
    command.arg(root().join("benches").join("run.py")).current_dir(root());
    command.arg("--wardlake").arg(root().join(target).join("release").join("wardlake")).arg("--work").arg(work);
    let numbers = [("--rows", args.rows), ("--days", args.days.into()), ("--repeat", args.repeat.into())];
    for (flag, value) in numbers.into_iter().chain([("--memory", args.memory.into())]) {
        command.args([flag, &value.to_string()]);
    }
    command.args(["--peers", &args.peers.join(",")]);
    if !args.only.is_empty() {
        command.args(["--only", &args.only.join(",")]);
    }
    if args.write {
        command.arg("--write");
    }
    run_command(&mut command)
}
