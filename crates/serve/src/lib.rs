//! `wardlake serve`: the one process that listens, ingests and keeps the models fresh. The only room that knows status codes.
//!
//! ```text
//! http/, mllp ──▶ Feed (load::intake) ──▶ waves ──▶ epochs ──▶ http/stream, alerts
//! folders (files) ──▶ ingest ─────────────────▲
//! ```
//!
//! Everything here is wiring: what is accepted, how it is stored and what is built from it is decided below. A stop drains: readiness ends,
//! then no new delivery is taken, then what was acknowledged goes through a last wave. A killed process finds it in the journal.

mod alarms;
mod alerts;
mod background;
mod doors;
mod errands;
mod error;
mod folders;
mod handover;
mod http;
mod limits;
mod mllp;
mod outbox;
mod readiness;
mod room;
mod sources;
mod standby;
mod stop;
mod topics;
mod waves;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::PathBuf,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    net::{TcpListener, TcpSocket},
    sync::{Notify, mpsc, watch},
    task::JoinSet,
};
use wardlake_build::{Live, LiveOptions, Pictures};
use wardlake_connect::source::Monitor;
use wardlake_core::TableName;
use wardlake_load::{LoadError, Workspace, source_tables};
use wardlake_records::RunEvent;

use self::{
    background::Background, doors::Doors, folders::Files, handover::Contact, readiness::Readiness, sources::Sources,
    standby::Owner, stop::Parts, topics::Topics, waves::Waves,
};

pub use self::{
    alarms::{GIVEN_UP as WEBHOOK_GIVEN_UP, TIMEOUT as WEBHOOK_TIMEOUT},
    error::ServeError,
    folders::SETTLED as FILE_SETTLED,
    handover::{BuildErrand, Errand, HandOverError, SILENT as HANDOVER_SILENT, hand_over},
    http::{ERRAND_BYTES, HEARTBEAT as STREAM_HEARTBEAT, status::KEPT_STATUS},
    limits::{CLOSE_WITHIN, InForce, Limits, STOP_WITHIN},
    mllp::{BUSY_LONGEST as MLLP_BUSY_LONGEST, UNANSWERED as MLLP_UNANSWERED},
    sources::KEY_WINDOW,
    waves::{DRAIN as LAST_WAVE_WITHIN, TIDY_EVERY},
};

/// Connections that the system holds for a listener until they are accepted.
const BACKLOG: u32 = 1024;

/// Where to listen and how to keep house.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// `address:port` of the HTTP listener; port 0 takes a free one.
    pub http: SocketAddr,
    /// `address:port` of the MLLP listener; none takes what the source says.
    pub mllp: Option<SocketAddr>,
    /// Nodes at once.
    pub threads: usize,
    /// Between two refreshes of the models that do not live with waves.
    pub refresh: Duration,
    /// dbt selectors of what refreshes leave out.
    pub exclude: Vec<String>,
    /// Bytes of one table that may wait to be loaded before senders are told to come back.
    pub max_waiting_bytes: u64,
    /// The folder of the journals, if not within the lake.
    pub journal: Option<PathBuf>,
    /// The project's folder: roots of sources start there.
    pub project_dir: PathBuf,
    /// Hosts that the server is known by, beside loopback, the address it listens on and the machine's name.
    pub hosts: Vec<String>,
    /// Waits until no other server has the lake, instead of ending at once.
    pub standby: bool,
    /// From the stop to the moment at which the ports are closed.
    pub drain: Duration,
    /// Time-outs and bounds of the sockets.
    pub limits: Limits,
}

/// What every part of the server shares.
pub(crate) struct Server {
    pub(crate) workspace: Arc<Workspace>,
    /// The project's folder: files that settings name are relative to it.
    pub(crate) project_dir: PathBuf,
    pub(crate) sources: Sources,
    /// How each log that is followed stands, by `<source>.<table>`.
    pub(crate) logs: BTreeMap<String, Box<dyn Monitor>>,
    /// The number of the newest epoch.
    pub(crate) epoch: watch::Sender<u64>,
    /// What followed views show.
    pub(crate) pictures: Arc<Pictures>,
    /// How the waves go.
    pub(crate) progress: waves::Progress,
    pub(crate) background: Background,
    pub(crate) doors: Arc<Doors>,
    pub(crate) readiness: Readiness,
    /// Told when another server has loaded what comes behind what this one loaded.
    pub(crate) overtaken: Notify,
    /// Whoever builds beside the waves: refreshes and builds that commands handed over come one after the other.
    pub(crate) building: tokio::sync::Mutex<()>,
    /// Whoever sends set-aside deliveries through again, one at a time.
    pub(crate) replaying: tokio::sync::Mutex<()>,
    /// Tables that others than the journals loaded, on their way to a wave.
    pub(crate) moved: mpsc::UnboundedSender<(TableName, u64)>,
    /// What its arguments made of its limits.
    pub(crate) in_force: InForce,
}

impl Server {
    /// Tells followers of an epoch, unless they were told of a newer one.
    pub(crate) fn show(&self, epoch: u64) {
        self.epoch.send_if_modified(|newest| {
            let is_newer = epoch > *newest;
            *newest = epoch.max(*newest);
            is_newer
        });
    }
}

/// Serves until `stop` says so, then drains. An error if another server may own the lake meanwhile: then nothing is written any more.
pub async fn serve(
    workspace: Arc<Workspace>,
    options: ServeOptions,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    sources::require_journal(&workspace, &options)?;
    let mut stop = pin!(stop);
    let Some(mut owner) = standby::own(&workspace, &options, &mut stop).await? else { return Ok(()) };
    let served = run(workspace, options, &mut owner, &mut stop).await;
    owner.leave().await;
    served
}

/// Serves the lake that `owner` has.
async fn run(
    workspace: Arc<Workspace>,
    options: ServeOptions,
    owner: &mut Owner,
    stop: &mut (impl Future<Output = ()> + Unpin),
) -> Result<(), ServeError> {
    let news = Arc::new(Notify::new());
    let sources = Sources::open(&workspace, &options, &news).await?;
    let newest = workspace.lake.newest_epoch().await?;
    let (epoch, _) = watch::channel(newest.map_or(0, |epoch| epoch.number));
    let topics: Vec<Topics> =
        sources.topics().filter_map(|table| Topics::new(&workspace, table.clone(), &options.project_dir)).collect();
    let (moved, moves) = mpsc::unbounded_channel();
    let doors = Doors::new(options.limits.clone(), sources.largest_delivery());
    let in_force = InForce {
        sockets: doors.limits().clone(),
        refresh: options.refresh,
        drain: options.drain,
        max_waiting_bytes: options.max_waiting_bytes,
    };
    let server = Arc::new(Server {
        workspace: Arc::clone(&workspace),
        project_dir: options.project_dir.clone(),
        sources,
        logs: topics.iter().map(|topics| (topics.label().to_owned(), topics.monitor())).collect(),
        epoch,
        pictures: Arc::default(),
        progress: Default::default(),
        background: Background::start(options.threads)?,
        doors,
        readiness: Readiness::default(),
        overtaken: Notify::default(),
        building: Default::default(),
        replaying: Default::default(),
        moved: moved.clone(),
        in_force,
    });
    readiness::measure(&server).await;
    let listener = owner.listener(options.http).await?;
    let contact = Contact::new(listener.local_addr().map_err(|source| ServeError::Listen { source })?);
    let _published = publish(&workspace, &contact);
    announce(&workspace, "http", None, &listener)?;
    let listeners = mllp::bind_all(&server, options.mllp)?;
    let (closing, closed) = watch::channel(false);
    let (stopping, stopped) = watch::channel(false);
    let live_options =
        LiveOptions { threads: options.threads, refresh: options.refresh, exclude: options.exclude.clone() };
    let live = Live::new(Arc::clone(&workspace), live_options)?;
    let tables = source_tables(&workspace, &options.project_dir)?;
    let files = Files::new(Arc::clone(&server), tables, options.project_dir.clone(), options.threads, moved.clone());
    let mut waves = Waves::new(Arc::clone(&server), live, news, moves);
    let told = stopped.clone();
    let work = tokio::spawn(async move {
        // The first build is to see the files that are there.
        waves.beside(files.load_all()).await;
        tokio::join!(files.run(told.clone()), waves.run(told)).0
    });
    let mut conversations = JoinSet::new();
    conversations.spawn(http::status::keep(Arc::clone(&server), stopped.clone()));
    conversations.spawn(readiness::look_for_room(Arc::clone(&server), stopped.clone()));
    let alarms = server.background.alerts.spawn(alarms::run(Arc::clone(&server), stopped.clone()));
    for followed in topics {
        conversations.spawn(followed.run(Arc::clone(&server), moved.clone(), stopped.clone()));
    }
    let mut doors = JoinSet::new();
    for listener in listeners {
        doors.spawn(listener.run(Arc::clone(&server), closed.clone()));
    }
    doors.spawn(http::serve(Arc::clone(&server), listener, options.hosts.clone(), contact, closed));
    let lost = tokio::select! {
        () = stop => None,
        lost = owner.lost() => Some(lost),
        () = server.overtaken.notified() => Some(LoadError::Lost {
            what: workspace.lake.url().to_string(),
            reason: "another server has loaded deliveries into it".to_owned(),
        }),
    };
    if let Some(lost) = lost {
        // Nobody waits for what runs: its commits fail, and no delivery is acknowledged.
        workspace.lake.write_until(Some(Instant::now()));
        server.readiness.note_stop();
        let _ = closing.send(true);
        let _ = stopping.send(true);
        return Err(lost.into());
    }
    let parts = Parts { closing, doors, stopping, conversations, alarms, work };
    parts.end(&server, options.drain).await
}

/// Leaves word where commands of this machine find the server, for as long as what it gives back is kept. Without it commands work beside.
fn publish(workspace: &Workspace, contact: &Contact) -> Option<handover::Published> {
    let published = contact.publish(workspace.lake.local_path()?);
    let untold = |error: std::io::Error| {
        workspace
            .events
            .warn(format!("commands find no way to this server, for its contact cannot be written: {error}"));
    };
    published.map_err(untold).ok()
}

/// Listens. A peer that vanished without a word is found out by the system, which asks the quiet ones whether they are there.
fn bind(address: SocketAddr, protocol: &'static str) -> Result<TcpListener, ServeError> {
    let listen = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // Connections take this over from their listener.
        socket.set_keepalive(true)?;
        #[cfg(not(windows))]
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    listen().map_err(|source| ServeError::Bind { protocol, address, source })
}

fn announce(
    workspace: &Workspace,
    protocol: &str,
    source: Option<&str>,
    listener: &TcpListener,
) -> Result<(), ServeError> {
    let address = listener.local_addr().map_err(|source| ServeError::Listen { source })?;
    workspace.events.tell(RunEvent::Listening {
        protocol: protocol.to_owned(),
        source: source.map(str::to_owned),
        address: address.to_string(),
    });
    Ok(())
}
