//! `cargo xtask soak`: a server over a day, by the test's clock: the long forms of two tests, with the release build.

use crate::{
    process::{TaskResult, cargo, run as run_command},
    python,
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Events of a day of 24 hours, as fast as they are taken: 200 a second; 0 leaves that part out.
    #[arg(long, default_value_t = 17_000_000)]
    events: u64,
    /// Small deliveries in 24 hours, a wave each; 0 leaves that part out.
    #[arg(long, default_value_t = 20_000)]
    waves: u64,
}

pub(crate) fn run(args: &Args) -> TaskResult {
    let parts = [
        (args.events, "c01_each_hour_of_a_day_adds_the_same", "WARDLAKE_SOAK_EVENTS"),
        (args.waves, "c01_a_day_of_small_deliveries_leaves_disk_and_files_flat", "WARDLAKE_SOAK_WAVES"),
    ];
    for (count, test, setting) in parts.into_iter().filter(|(count, ..)| *count > 0) {
        let mut command = cargo();
        command.args(["test", "--locked", "--release", "-p", "wardlake", "--test", "it", test, "--", "--nocapture"]);
        command.env("WARDLAKE_PEERS_PYTHON", python::TESTS.python()?).env("WARDLAKE_SOAK_HOURS", "24");
        run_command(command.env(setting, count.to_string()))?;
    }
    Ok(())
}
