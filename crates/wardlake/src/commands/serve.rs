//! `serve`: listen, ingest, keep the models fresh.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use clap::Args;
use wardlake_serve::ServeOptions;

use super::Outcome;
use crate::{
    args::GlobalArgs,
    failure::Failure,
    open::{self, Opened},
};

/// Listen for deliveries, load them as they come, keep the models fresh and show what changes
///
/// Sources say in their source file how they are fed: an `http` block takes `POST /ingest/<source>/<table>`, an `mllp` block
/// HL7 v2 messages; files are picked up as they appear. What was acknowledged survives a crash. Ctrl-C or SIGTERM drains and stops.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Where HTTP listens; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDR:PORT")]
    http: SocketAddr,
    /// Where MLLP listens; overrides the source's `listen`
    #[arg(long, value_name = "ADDR:PORT")]
    mllp: Option<SocketAddr>,
    /// Seconds between two rebuilds of the models that take no increments, with all tests
    #[arg(long, default_value_t = 60, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    refresh: u64,
    /// What these rebuilds leave out, by dbt's selectors; `tag:history` in a project whose tests of all history are for the night
    #[arg(long, num_args = 1.., value_name = "SELECTOR")]
    exclude: Vec<String>,
    /// Megabytes of one table that may wait to be loaded before senders are told to come back
    #[arg(long, default_value_t = 256, value_name = "MB", value_parser = clap::value_parser!(u64).range(1..))]
    max_waiting: u64,
    /// The folder of this machine for what is acknowledged and not loaded yet [default: within the lake]
    #[arg(long, value_name = "DIR")]
    intake: Option<PathBuf>,
}

pub(crate) async fn run(global: &GlobalArgs, args: &ServeArgs) -> Result<Outcome, Failure> {
    let project = open::project(global, "serve", false)?;
    let opened = Opened::open(global, Arc::clone(&project)).await?;
    let options = ServeOptions {
        http: args.http,
        mllp: args.mllp,
        threads: opened.threads,
        refresh: Duration::from_secs(args.refresh),
        exclude: args.exclude.clone(),
        max_waiting_bytes: args.max_waiting << 20,
        intake: args.intake.clone(),
        project_dir: project.dir().to_owned(),
    };
    let served = wardlake_serve::serve(Arc::clone(&opened.workspace), options, stop_signal()?).await;
    opened.close().await;
    served?;
    Ok(Outcome::Done)
}

/// Resolves when someone wants the server to stop.
fn stop_signal() -> Result<impl Future<Output = ()> + Send, Failure> {
    #[cfg(unix)]
    let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .map_err(|source| Failure::File { path: "SIGTERM".to_owned(), source })?;
    Ok(async move {
        #[cfg(unix)]
        let asked = terminated.recv();
        #[cfg(not(unix))]
        let asked = std::future::pending::<Option<()>>();
        tokio::select! {
            _ = asked => {}
            // Without a way to hear Ctrl-C, SIGTERM is left.
            Ok(()) = tokio::signal::ctrl_c() => {}
        }
    })
}
