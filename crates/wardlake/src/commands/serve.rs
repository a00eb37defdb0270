//! `serve`: listen, ingest, keep the models fresh.

use std::{future::pending, io, net::SocketAddr, path::PathBuf, process, sync::Arc, thread, time::Duration};

use clap::{Args, builder::RangedU64ValueParser};
use tokio::{
    runtime,
    sync::oneshot,
    time::{sleep, timeout},
};
use wardlake_serve::{Limits, STOP_WITHIN, ServeOptions};

use super::Outcome;
use crate::{
    args::GlobalArgs,
    failure::Failure,
    open::{self, Opened},
};

/// Exit codes of a process that a second signal ended, as shells count them: 128 and the signal's number.
const INTERRUPTED: i32 = 130;
const TERMINATED: i32 = 143;
/// The last events have so long to be told.
const LAST_EVENTS: Duration = Duration::from_secs(2);
/// What `--refresh`, `--max-waiting` and `--drain` are without being said.
pub(crate) const REFRESH_S: u64 = 60;
pub(crate) const MAX_WAITING_MB: u64 = 256;
pub(crate) const DRAIN_S: u64 = 5;
/// A day, beyond which a time-out is none.
const LONGEST_S: u64 = 86_400;
/// A terabyte, beyond which a bound is none.
const MOST_MB: u64 = 1 << 20;

/// Listen for deliveries, load them as they come, keep the models fresh and show what changes
///
/// Sources say in their source file how they are fed: an `http` block takes `POST /ingest/<source>/<table>`, an `mllp` block
/// HL7 v2 messages; files are picked up as they appear. What was acknowledged survives a crash. Ctrl-C or SIGTERM drains and stops,
/// within 24 seconds after --drain; a second one ends the process at once, with exit code 130 or 143.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Where HTTP listens; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDR:PORT")]
    http: SocketAddr,
    /// Where MLLP listens; overrides the source's `listen`
    #[arg(long, value_name = "ADDR:PORT")]
    mllp: Option<SocketAddr>,
    /// Seconds between two rebuilds of the models that take no increments, with all tests
    #[arg(long, default_value_t = REFRESH_S, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    refresh: u64,
    /// What these rebuilds leave out, by dbt's selectors; `tag:history` in a project whose tests of all history are for the night
    #[arg(long, num_args = 1.., value_name = "SELECTOR")]
    exclude: Vec<String>,
    /// Megabytes of one table that may wait to be loaded before senders are told to come back
    #[arg(long, default_value_t = MAX_WAITING_MB, value_name = "MB", value_parser = clap::value_parser!(u64).range(1..))]
    max_waiting: u64,
    /// The folder of this machine for what is acknowledged and not loaded yet; a lake in an object store needs one [default: within the lake]
    #[arg(long, value_name = "DIR")]
    journal: Option<PathBuf>,
    /// Wait while another server has the lake, and serve when it ends; meanwhile every request is answered with 503
    #[arg(long)]
    standby: bool,
    /// Seconds for which a stop leaves the ports open, while `GET /ready` already answers 503
    #[arg(
        long,
        default_value_t = DRAIN_S,
        value_name = "SECONDS",
        value_parser = clap::value_parser!(u64).range(..=LONGEST_S),
    )]
    drain: u64,
    #[command(flatten)]
    sockets: SocketArgs,
}

/// What clients may take up, and for how long.
#[derive(Debug, Args)]
struct SocketArgs {
    /// Seconds for the head of a request, and for a TLS handshake
    #[arg(
        long,
        default_value_t = Limits::default().head_timeout.as_secs(),
        value_name = "SECONDS",
        value_parser = clap::value_parser!(u64).range(1..=LONGEST_S),
    )]
    head_timeout: u64,
    /// Seconds for a body or an MLLP message; each 64 KiB of it that came are worth a second more
    #[arg(
        long,
        default_value_t = Limits::default().body_timeout.as_secs(),
        value_name = "SECONDS",
        value_parser = clap::value_parser!(u64).range(1..=LONGEST_S),
    )]
    body_timeout: u64,
    /// Seconds for which an HTTP connection may be quiet between two requests
    #[arg(
        long,
        default_value_t = Limits::default().idle_timeout.as_secs(),
        value_name = "SECONDS",
        value_parser = clap::value_parser!(u64).range(1..=LONGEST_S),
    )]
    idle_timeout: u64,
    /// Seconds for which a client may take nothing of its answer
    #[arg(
        long,
        default_value_t = Limits::default().write_timeout.as_secs(),
        value_name = "SECONDS",
        value_parser = clap::value_parser!(u64).range(1..=LONGEST_S),
    )]
    write_timeout: u64,
    /// Connections of one address; the one that is quiet for longest makes place for the next
    #[arg(
        long,
        default_value_t = Limits::default().connections_per_peer,
        value_name = "N",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..),
    )]
    connections_per_peer: usize,
    /// Megabytes in memory of bodies and MLLP messages that are not complete yet; one address may have half of them
    #[arg(
        long,
        default_value_t = Limits::default().unfinished_bytes >> 20,
        value_name = "MB",
        value_parser = clap::value_parser!(u64).range(1..=MOST_MB),
    )]
    max_unfinished: u64,
}

impl SocketArgs {
    fn limits(&self) -> Limits {
        let defaults = Limits::default();
        let body_timeout = Duration::from_secs(self.body_timeout);
        Limits {
            head_timeout: Duration::from_secs(self.head_timeout),
            idle_timeout: Duration::from_secs(self.idle_timeout),
            body_timeout,
            body_pause: defaults.body_pause.min(body_timeout),
            write_timeout: Duration::from_secs(self.write_timeout),
            connections_per_peer: self.connections_per_peer,
            unfinished_bytes: self.max_unfinished << 20,
            ..defaults
        }
    }
}

pub(crate) async fn run(global: &GlobalArgs, args: &ServeArgs) -> Result<Outcome, Failure> {
    let project = open::project(global, "serve", false)?;
    // A selector that is none is told before a lake or a port is opened.
    project.select(&[], &args.exclude, None)?;
    let opened = Opened::open(global, Arc::clone(&project)).await?;
    let drain = Duration::from_secs(args.drain);
    let options = ServeOptions {
        http: args.http,
        mllp: args.mllp,
        threads: opened.threads,
        refresh: Duration::from_secs(args.refresh),
        exclude: args.exclude.clone(),
        max_waiting_bytes: args.max_waiting << 20,
        journal: args.journal.clone(),
        project_dir: project.dir().to_owned(),
        hosts: project.target().serve_hosts.clone(),
        standby: args.standby,
        drain,
        limits: args.sockets.limits(),
    };
    let stop = stop_signal(drain + STOP_WITHIN).await?;
    let served = wardlake_serve::serve(Arc::clone(&opened.workspace), options, stop).await;
    // Work that a stop did not wait for holds on to the events.
    let _ = timeout(LAST_EVENTS, opened.close()).await;
    served?;
    Ok(Outcome::Done)
}

/// Resolves when someone wants the server to stop. A second signal, or a stop that is not over in the time it has, ends the process
/// there and then: that is a crash, which loses nothing that was acknowledged. The thread that listens does nothing else, so that it
/// hears of it however busy the server is.
async fn stop_signal(longest: Duration) -> Result<impl Future<Output = ()> + Send, Failure> {
    let (tell, asked) = oneshot::channel();
    let (ready, is_ready) = oneshot::channel();
    let listen = move || {
        let runtime = match runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                let _ = ready.send(Err(error));
                return;
            }
        };
        runtime.block_on(async move {
            let mut signals = match Signals::listen() {
                Ok(signals) => signals,
                Err(error) => {
                    let _ = ready.send(Err(error));
                    return;
                }
            };
            // If nobody is there any more to be told, the process is ending anyway.
            let _ = ready.send(Ok(()));
            signals.next().await;
            let _ = tell.send(());
            let code = tokio::select! {
                code = signals.next() => code,
                () = sleep(longest) => 1,
            };
            // Nothing is printed: that would wait for whoever reads.
            process::exit(code)
        });
    };
    let unheard = |source| Failure::File { path: "SIGTERM".to_owned(), source };
    thread::Builder::new().name("signals".to_owned()).spawn(listen).map_err(unheard)?;
    is_ready
        .await
        .unwrap_or_else(|_| Err(io::Error::other("the thread that listens for it ended")))
        .map_err(unheard)?;
    Ok(async move {
        if asked.await.is_err() {
            // Nobody will tell any more.
            pending::<()>().await;
        }
    })
}

/// What people and systems send to end a process.
struct Signals {
    #[cfg(unix)]
    terminated: tokio::signal::unix::Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            #[cfg(unix)]
            terminated: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?,
        })
    }

    /// The exit code of a process that the next one ends at once.
    async fn next(&mut self) -> i32 {
        #[cfg(unix)]
        let terminated = self.terminated.recv();
        #[cfg(not(unix))]
        let terminated = pending::<Option<()>>();
        tokio::select! {
            _ = terminated => TERMINATED,
            // Without a way to hear Ctrl-C, SIGTERM is left.
            Ok(()) = tokio::signal::ctrl_c() => INTERRUPTED,
        }
    }
}
