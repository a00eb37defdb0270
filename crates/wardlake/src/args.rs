//! The arguments all commands share, and how they are read. Each command's own stand in its file, its examples in `examples.rs`.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::{
    Args, CommandFactory, FromArgMatches, Parser, Subcommand,
    error::{ContextKind, ContextValue},
};
use wardlake_core::{ErrorKind, did_you_mean};
use wardlake_project::parse_duration;

use crate::{
    commands,
    environment::Asked,
    examples,
    json_log::CommandEvent,
    printing::{Stream, err, painted},
    teller::{LogFormat, Teller},
};

/// Lines of help are no longer than this, however wide the terminal.
const WIDEST_HELP: usize = 100;

/// A hospital's data platform in one binary: lands extracts, builds and tests a Delta warehouse from SQL models, and
/// publishes what passed.
#[derive(Debug, Parser)]
#[command(name = "wardlake", version, propagate_version = true, max_term_width = WIDEST_HELP)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct GlobalArgs {
    /// The project folder, which holds dbt_project.yml
    #[arg(long, global = true, default_value = ".", value_name = "DIR")]
    pub(crate) project_dir: PathBuf,
    /// The target of wardlake.yml
    #[arg(short, long, global = true, env = "WARDLAKE_TARGET", value_name = "NAME")]
    pub(crate) target: Option<String>,
    /// Variables for the project, as a YAML or JSON map
    #[arg(long, global = true, value_name = "YAML")]
    pub(crate) vars: Option<String>,
    /// The lake: a folder, file://, s3://, abfss:// or gs:// URL; overrides wardlake.yml
    #[arg(long, global = true, env = "WARDLAKE_LAKE", value_name = "URL")]
    pub(crate) lake: Option<String>,
    /// Nodes at once; overrides wardlake.yml
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) threads: Option<u16>,
    /// How a run is told
    #[arg(long, global = true, value_enum, default_value_t, env = "WARDLAKE_LOG_FORMAT")]
    pub(crate) log_format: LogFormat,
    /// Say only what went wrong
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// How all of this is told; settled once the command is known.
    #[arg(skip)]
    pub(crate) teller: Teller,
    /// The environment variables that the project asked for.
    #[arg(skip)]
    pub(crate) asked: Asked,
}

/// dbt's selection flags.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct SelectArgs {
    /// What to take, as with --select
    #[arg(value_name = "SELECTOR")]
    pub(crate) names: Vec<String>,
    /// What to take: names, +n, @n, wildcards, tag:, path:, source:, config:, resource_type:
    #[arg(short, long, num_args = 1.., value_name = "SELECTOR", visible_alias = "models", short_alias = 'm')]
    pub(crate) select: Vec<String>,
    /// What to leave out
    #[arg(long, num_args = 1.., value_name = "SELECTOR")]
    pub(crate) exclude: Vec<String>,
}

impl SelectArgs {
    /// What to take, wherever it was written.
    pub(crate) fn taken(&self) -> Vec<String> {
        self.names.iter().chain(&self.select).cloned().collect()
    }
}

/// For how long a command that is handed to the lake's server waits if that does not answer.
#[derive(Clone, Debug, Args)]
pub(crate) struct WaitArgs {
    /// If a server has the lake and does not answer: how long to wait for its answer or its end (90s, 10m, 1h)
    #[arg(long, default_value = "10m", value_name = "TIME", value_parser = parse_wait)]
    pub(crate) wait: Duration,
}

fn parse_wait(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "write a number and its unit: 90s, 10m, 1h".to_owned())
}

/// Ten minutes, as without the flag.
impl Default for WaitArgs {
    fn default() -> Self {
        Self { wait: Duration::from_secs(600) }
    }
}

/// Flags of the commands that run nodes.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    /// Rebuild incremental models, seeds and unchanged tables from nothing
    #[arg(short, long)]
    pub(crate) full_refresh: bool,
    /// Stop at the first failure
    #[arg(short = 'x', long)]
    pub(crate) fail_fast: bool,
    /// Keep the rows that tests find in tables
    #[arg(long)]
    pub(crate) store_failures: bool,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(commands::init::InitArgs),
    Demo(commands::demo::DemoArgs),
    Ingest(commands::ingest::IngestArgs),
    Build(commands::build::BuildArgs),
    Run(commands::build::ModelsArgs),
    Test(commands::build::TestArgs),
    Seed(commands::build::SeedArgs),
    Snapshot(commands::build::SnapshotArgs),
    Compile(commands::compile::CompileArgs),
    Parse(commands::parse::ParseArgs),
    #[command(visible_alias = "list")]
    Ls(commands::ls::LsArgs),
    Show(commands::show::ShowArgs),
    Sql(commands::sql::SqlArgs),
    Epochs(commands::epochs::EpochsArgs),
    Quality(commands::quality::QualityArgs),
    Quarantine(commands::quarantine::QuarantineArgs),
    Explain(commands::explain::ExplainArgs),
    Identity(commands::identity::IdentityArgs),
    Feed(commands::feed::FeedArgs),
    Maintain(commands::maintain::MaintainArgs),
    Clean(commands::clean::CleanArgs),
    Debug(commands::debug::DebugArgs),
    Functions(commands::functions::FunctionsArgs),
    Reference(commands::reference::ReferenceArgs),
    Serve(commands::serve::ServeArgs),
    Simulate(commands::simulate::SimulateArgs),
    Score(commands::score::ScoreArgs),
    Completions(commands::completions::CompletionsArgs),
    Man(commands::man::ManArgs),
}

impl Command {
    /// Where what happens is told: beside the result where the command prints one.
    fn stream_of_events(&self) -> Stream {
        match self {
            Self::Init(_)
            | Self::Demo(_)
            | Self::Ingest(_)
            | Self::Build(_)
            | Self::Run(_)
            | Self::Test(_)
            | Self::Seed(_)
            | Self::Snapshot(_)
            | Self::Parse(_)
            | Self::Clean(_)
            | Self::Serve(_)
            | Self::Simulate(_) => Stream::Out,
            _ => Stream::Err,
        }
    }

    /// Whether the command is a server, which must stand still for nobody.
    pub(crate) fn stays_up(&self) -> bool {
        matches!(self, Self::Serve(_))
    }
}

/// All commands, with examples in their help.
pub(crate) fn command() -> clap::Command {
    examples::added(Cli::command())
}

/// Reads the arguments. Help, the version and what is wrong with the arguments are told here; the code is what to end with then.
pub(crate) fn parse() -> Result<Cli, ExitCode> {
    let parsed = command()
        .try_get_matches()
        .and_then(|matches| Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command())));
    let mut cli = parsed.map_err(tell)?;
    let GlobalArgs { log_format, quiet, .. } = cli.global;
    let teller = Teller::new(log_format, quiet, cli.command.stream_of_events());
    let teller = if cli.command.stays_up() { teller.for_server() } else { Ok(teller) };
    cli.global.teller = teller.map_err(|error| {
        err(format_args!("error: cannot start a thread for the log: {error}"));
        ExitCode::from(2)
    })?;
    Ok(cli)
}

fn tell(mut error: clap::Error) -> ExitCode {
    keep_near_suggestions(&mut error);
    let stream = if error.use_stderr() { Stream::Err } else { Stream::Out };
    let text = error.render();
    if stream == Stream::Err && wants_json() {
        let teller = Teller::new(LogFormat::Json, false, stream);
        let message = text.to_string().trim_end().to_owned();
        teller.event(&CommandEvent::CommandFailed { kind: ErrorKind::Invalid, message, exit_code: 2 });
    } else {
        let text = if stream.is_colored() { text.ansi().to_string() } else { text.to_string() };
        painted(stream, stream.fitted(text.trim_end()).as_str());
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

/// Whether events are wanted, before the arguments are understood.
fn wants_json() -> bool {
    let arguments: Vec<_> = std::env::args_os().collect();
    arguments.windows(2).any(|pair| pair[0] == "--log-format" && pair[1] == "json")
        || arguments.iter().any(|argument| argument == "--log-format=json")
        || std::env::var("WARDLAKE_LOG_FORMAT").is_ok_and(|value| value == "json")
}

/// Takes back what clap suggests although no slip of the keyboard leads there.
fn keep_near_suggestions(error: &mut clap::Error) {
    for (written, suggested) in [
        (ContextKind::InvalidSubcommand, ContextKind::SuggestedSubcommand),
        (ContextKind::InvalidArg, ContextKind::SuggestedArg),
        (ContextKind::InvalidValue, ContextKind::SuggestedValue),
    ] {
        let Some(ContextValue::String(name)) = error.get(written).cloned() else { continue };
        let is_near =
            |candidate: &str| did_you_mean(name.trim_start_matches('-'), [candidate.trim_start_matches('-')]).is_some();
        let kept = match error.remove(suggested) {
            Some(ContextValue::String(text)) => is_near(&text).then_some(ContextValue::String(text)),
            Some(ContextValue::Strings(texts)) => {
                let texts: Vec<String> = texts.into_iter().filter(|text| is_near(text)).collect();
                (!texts.is_empty()).then_some(ContextValue::Strings(texts))
            }
            other => other,
        };
        if let Some(kept) = kept {
            error.insert(suggested, kept);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e12_a_command_that_is_far_off_is_not_suggested() {
        for (arguments, suggested) in [
            (&["wardlake", "deps"][..], None),
            (&["wardlake", "docs"], None),
            (&["wardlake", "bild"], Some("'build'")),
            (&["wardlake", "build", "--ful-refresh"], Some("'--full-refresh'")),
            (&["wardlake", "completions", "bsh"], Some("'bash'")),
        ] {
            let mut error = command().try_get_matches_from(arguments).unwrap_err();
            keep_near_suggestions(&mut error);
            let text = error.render().to_string();
            match suggested {
                None => assert!(!text.contains("similar"), "{text}"),
                Some(near) => assert!(text.contains("similar") && text.contains(near), "{text}"),
            }
        }
    }

    #[test]
    fn e08_what_to_take_needs_no_flag() {
        for arguments in [&["show", "stg"][..], &["show", "-s", "stg"], &["show", "--select", "stg"]] {
            let matches = command().try_get_matches_from([&["wardlake"][..], arguments].concat()).unwrap();
            let Command::Show(args) = Cli::from_arg_matches(&matches).unwrap().command else {
                panic!("{arguments:?} is `show`")
            };
            assert_eq!(args.select.taken(), ["stg"]);
        }
    }
}
