//! `cargo xtask owners`: several servers of one lake that are killed and paused over and over, the long form of a test; what senders were
//! told is compared with the lake key by key.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::{
    process::{TaskError, TaskResult, cache, cargo, run as run_command},
    python,
};

/// The test.
const TEST: &str = "a01_owners_come_and_go_and_every_acknowledged_delivery_is_there_once";
/// The Azure Blob server: the newest release that runs with the Node of Debian.
const AZURITE: &str = "3.35.0";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Rounds; in each the owner is paused, and two servers are killed.
    #[arg(long, default_value_t = 100)]
    rounds: u64,
    /// What chance goes by [default: another one each time; it is printed].
    #[arg(long)]
    seed: Option<u64>,
    /// Where the lake is.
    #[arg(long, value_enum, default_value_t = Lake::Folder)]
    lake: Lake,
    /// Each server of a lake that is in no folder has a folder of its own for its journals, as if on a machine of its own.
    #[arg(long)]
    own_journals: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Lake {
    /// A folder of this machine.
    Folder,
    /// An S3 server, `moto` from PyPI.
    S3,
    /// An Azure Blob server, `azurite` from npm.
    Azurite,
}

pub(crate) fn run(args: &Args) -> TaskResult {
    let mut command = cargo();
    command.args(["test", "--locked", "-p", "wardlake", "--test", "it", TEST, "--", "--nocapture"]);
    let lake = match args.lake {
        Lake::Folder => "folder",
        Lake::S3 => {
            command.env("WARDLAKE_PEERS_PYTHON", python::TESTS.python()?);
            "s3"
        }
        Lake::Azurite => {
            command.env("WARDLAKE_AZURITE", azurite()?);
            "azurite"
        }
    };
    let seed = args.seed.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::from(now.subsec_nanos())
    });
    command.env("WARDLAKE_OWNERS_LAKE", lake);
    command.env("WARDLAKE_OWNERS_JOURNALS", if args.own_journals { "own" } else { "shared" });
    command.env("WARDLAKE_OWNERS_ROUNDS", args.rounds.to_string()).env("WARDLAKE_OWNERS_SEED", seed.to_string());
    // A recipe that was left out would look like one that passed.
    command.env("WARDLAKE_REQUIRE_ALL", "1");
    run_command(&mut command)
}

/// The folder that Azurite is installed in.
fn azurite() -> TaskResult<PathBuf> {
    let folder = cache()?.join(format!("azurite-{AZURITE}"));
    let stamp = folder.join("installed");
    if stamp.is_file() {
        return Ok(folder);
    }
    println!("installing Azurite {AZURITE} into {}", folder.display());
    let written = |error: std::io::Error| TaskError::Found(format!("{} cannot be written: {error}", folder.display()));
    fs::create_dir_all(&folder).map_err(written)?;
    let mut npm = Command::new("npm");
    npm.args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"]).arg(&folder);
    run_command(npm.arg(format!("azurite@{AZURITE}")))?;
    // Last, so that an installation that was cut short is done again.
    fs::write(&stamp, AZURITE).map_err(written)?;
    Ok(folder)
}
