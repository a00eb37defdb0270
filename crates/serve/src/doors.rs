//! Who is let in: the connections of every listener, counted by the address they come from and in all, and how each of them goes.
//!
//! An address that has all its connections gets its next one in the place of the one that was quiet for longest: a client that lost its
//! network comes back before its old connections are known to be dead, and many slow ones do not keep out one that has something to say.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde::Serialize;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, watch},
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout},
};
use wardlake_records::EventSink;

use crate::{
    Server,
    limits::{CLOSE_WITHIN, Limits},
    room::{Claim, Room},
};

/// After a failed accept. Out of file handles, most often: some are given back in a moment.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// The same warning about the same address is told at most so often: a flood of strangers is not to be a flood of lines.
const TELL_EVERY: Duration = Duration::from_secs(10);
/// Where nobody in particular comes from.
const NOBODY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
/// Warnings that are remembered for that before old ones are forgotten.
const REMEMBERED: usize = 1024;

/// All connections.
pub(crate) struct Doors {
    limits: Limits,
    room: Arc<Room>,
    open: Mutex<Open>,
    told: Mutex<HashMap<(&'static str, IpAddr), Told>>,
}

#[derive(Default)]
struct Open {
    next: u64,
    guests: BTreeMap<u64, (IpAddr, Arc<Pulse>)>,
    per_peer: HashMap<IpAddr, usize>,
}

struct Told {
    next: Instant,
    left_out: u64,
}

/// What the sockets hold, for the status page.
#[derive(Debug, Serialize)]
pub(crate) struct Sockets {
    /// Open connections.
    connections: usize,
    /// Bytes in memory of deliveries that are not complete or not read yet; what is small is not counted.
    unfinished_bytes: u64,
}

/// Why a connection is not let in.
#[derive(Clone, Copy, Debug)]
struct Crowd(usize);

impl fmt::Display for Crowd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} connections are open, and none of this address could make place", self.0)
    }
}

impl Doors {
    /// `largest_delivery` in bytes has room, whatever the limits say.
    pub(crate) fn new(mut limits: Limits, largest_delivery: u64) -> Arc<Self> {
        let room = Room::new(limits.unfinished_bytes, largest_delivery);
        if let Some(files) = files_allowed() {
            // Tables and journals need the other half.
            limits.connections = limits.connections.min((files / 2).max(1));
        }
        Arc::new(Self { limits, room, open: Mutex::default(), told: Mutex::default() })
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn sockets(&self) -> Sockets {
        Sockets { connections: self.lock().guests.len(), unfinished_bytes: self.room.taken() }
    }

    /// Room for a delivery from that address.
    pub(crate) fn claim(&self, peer: IpAddr) -> Claim {
        self.room.claim(peer)
    }

    /// Warns of what a client did. `kind` and its address say what is the same.
    pub(crate) fn warn(&self, events: &EventSink, kind: &'static str, from: SocketAddr, text: impl fmt::Display) {
        let now = Instant::now();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() > REMEMBERED {
            told.retain(|_, told| told.next > now);
        }
        let entry = told.entry((kind, peer_of(from))).or_insert(Told { next: now, left_out: 0 });
        if now < entry.next {
            entry.left_out += 1;
            return;
        }
        entry.next = now + TELL_EVERY;
        let left_out = std::mem::take(&mut entry.left_out);
        drop(told);
        events.warn(match left_out {
            0 => text.to_string(),
            count => format!("{text}; and {count} times before that were not told"),
        });
    }

    fn admit(self: &Arc<Self>, from: SocketAddr) -> Result<Guest, Crowd> {
        let peer = peer_of(from);
        let mut open = self.lock();
        let of_peer = open.per_peer.get(&peer).copied().unwrap_or(0);
        if of_peer >= self.limits.connections_per_peer || open.guests.len() >= self.limits.connections {
            let quiet = open.guests.values().filter(|(other, pulse)| *other == peer && pulse.may_go());
            match quiet.min_by_key(|(_, pulse)| pulse.since()) {
                Some((_, pulse)) => pulse.dismiss(),
                None => return Err(Crowd(open.guests.len())),
            }
        }
        let number = open.next;
        open.next += 1;
        let pulse = Arc::new(Pulse::new());
        open.guests.insert(number, (peer, Arc::clone(&pulse)));
        open.per_peer.insert(peer, of_peer + 1);
        drop(open);
        Ok(Guest { from, pulse, doors: Arc::clone(self), number })
    }

    fn leave(&self, number: u64) {
        let mut open = self.lock();
        let Some((peer, _)) = open.guests.remove(&number) else { return };
        if let Some(count) = open.per_peer.get_mut(&peer) {
            *count -= 1;
            if *count == 0 {
                open.per_peer.remove(&peer);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn peer_of(from: SocketAddr) -> IpAddr {
    from.ip().to_canonical()
}

/// How many files the process may open, where the system says so.
fn files_allowed() -> Option<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let files = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    files.split_whitespace().next()?.parse().ok()
}

/// A connection that was let in; it counts until this is dropped.
pub(crate) struct Guest {
    pub(crate) from: SocketAddr,
    pub(crate) pulse: Arc<Pulse>,
    doors: Arc<Doors>,
    number: u64,
}

impl Guest {
    pub(crate) fn limits(&self) -> &Limits {
        &self.doors.limits
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.doors.leave(self.number);
    }
}

/// How a connection goes: quiet, in the head of a request, or with something under way that waits for the server.
pub(crate) struct Pulse {
    opened: Instant,
    /// When that last changed, in milliseconds since it was opened.
    since_ms: AtomicU64,
    /// Requests or messages without an answer.
    under_way: AtomicUsize,
    /// Bytes of the next request are here.
    has_begun: AtomicBool,
    changed: Notify,
    is_dismissed: AtomicBool,
    dismissal: Notify,
}

impl Pulse {
    fn new() -> Self {
        Self {
            opened: Instant::now(),
            since_ms: AtomicU64::new(0),
            under_way: AtomicUsize::new(0),
            has_begun: AtomicBool::new(false),
            changed: Notify::new(),
            is_dismissed: AtomicBool::new(false),
            dismissal: Notify::new(),
        }
    }

    /// It gave a sign of life.
    pub(crate) fn touch(&self) {
        let since = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.since_ms.store(since, Ordering::Relaxed);
    }

    /// Bytes came; the first of a request begin its head.
    pub(crate) fn came(&self) {
        if !self.is_busy() && !self.has_begun.swap(true, Ordering::Relaxed) {
            self.change();
        }
    }

    /// A request or message is complete as far as it has to be for somebody to work at it.
    pub(crate) fn asked(&self) {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        self.has_begun.store(false, Ordering::Relaxed);
        self.change();
    }

    /// It was answered.
    pub(crate) fn answered(&self) {
        self.under_way.fetch_sub(1, Ordering::Relaxed);
        self.change();
    }

    /// Waits until it is quiet, or in the head of a request, for longer than it may.
    pub(crate) async fn until_overdue(&self, limits: &Limits) {
        loop {
            let changed = self.changed.notified();
            if self.is_busy() {
                changed.await;
                continue;
            }
            let has_begun = self.has_begun.load(Ordering::Relaxed);
            let due = self.since() + if has_begun { limits.head_timeout } else { limits.idle_timeout };
            if due <= Instant::now() {
                return;
            }
            tokio::select! {
                () = sleep_until(due) => {}
                () = changed => {}
            }
        }
    }

    /// Waits until it has to make place for another.
    async fn until_dismissed(&self) {
        while !self.is_dismissed.load(Ordering::Relaxed) {
            self.dismissal.notified().await;
        }
    }

    fn dismiss(&self) {
        self.is_dismissed.store(true, Ordering::Relaxed);
        self.dismissal.notify_one();
    }

    fn may_go(&self) -> bool {
        !self.is_busy() && !self.is_dismissed.load(Ordering::Relaxed)
    }

    fn is_busy(&self) -> bool {
        self.under_way.load(Ordering::Relaxed) > 0
    }

    fn since(&self) -> Instant {
        self.opened + Duration::from_millis(self.since_ms.load(Ordering::Relaxed))
    }

    fn change(&self) {
        self.touch();
        self.changed.notify_one();
    }
}

/// Lets connections in and has a conversation with each, until the server closes its doors. Those that are open then have
/// [`CLOSE_WITHIN`] to end by themselves. `name` is the listener's, for people.
pub(crate) async fn accept<F: Future<Output = ()> + Send + 'static>(
    server: &Arc<Server>,
    name: &str,
    listener: TcpListener,
    mut closing: watch::Receiver<bool>,
    converse: impl Fn(TcpStream, Arc<Guest>) -> F,
) {
    let (doors, events) = (&server.doors, &server.workspace.events);
    let mut connections = JoinSet::new();
    while !*closing.borrow() {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            changed = closing.changed() => match changed {
                Ok(()) => continue,
                Err(_) => break,
            },
        };
        let (socket, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                doors.warn(events, "accept", NOBODY, format!("{name}: a connection could not be accepted: {error}"));
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let guest = match doors.admit(from) {
            Ok(guest) => Arc::new(guest),
            Err(crowd) => {
                doors.warn(events, "crowd", from, format!("{name}: a connection from {from} was refused: {crowd}"));
                continue;
            }
        };
        let conversation = converse(socket, Arc::clone(&guest));
        connections.spawn(async move {
            tokio::select! {
                () = conversation => {}
                () = guest.pulse.until_dismissed() => {}
            }
        });
    }
    drop(listener);
    let ended = async { while connections.join_next().await.is_some() {} };
    if timeout(CLOSE_WITHIN, ended).await.is_err() {
        let (left, waited_s) = (connections.len(), CLOSE_WITHIN.as_secs());
        events.warn(format!("{name}: {left} connections did not end in {waited_s} s and were cut by the stop"));
        connections.shutdown().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(last: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, last], 1000))
    }

    fn doors(per_peer: usize, in_all: usize) -> Arc<Doors> {
        Doors::new(Limits { connections_per_peer: per_peer, connections: in_all, ..Limits::default() }, 0)
    }

    #[test]
    fn the_quietest_makes_place_and_a_busy_one_does_not() {
        let doors = doors(2, 3);
        let (first, second) = (doors.admit(from(1)).unwrap(), doors.admit(from(1)).unwrap());
        first.pulse.asked();
        let third = doors.admit(from(1)).unwrap();
        assert!(!first.pulse.is_dismissed.load(Ordering::Relaxed));
        assert!(second.pulse.is_dismissed.load(Ordering::Relaxed));
        third.pulse.asked();
        assert!(doors.admit(from(1)).is_err(), "all of this address are busy");
        drop(second);
        let other = doors.admit(from(2)).unwrap();
        assert!(doors.admit(from(3)).is_err(), "there are three in all");
        drop((first, third, other));
        assert_eq!(doors.sockets().connections, 0);
        assert!(doors.lock().per_peer.is_empty());
    }

    #[test]
    fn a_warning_is_told_once_in_a_while() {
        let doors = doors(2, 3);
        let (events, mut told) = EventSink::channel();
        for peer in [1, 1, 2] {
            doors.warn(&events, "slow", from(peer), "slow");
        }
        doors.warn(&events, "tls", from(1), "tls");
        let told: Vec<_> = std::iter::from_fn(|| told.try_recv().ok()).collect();
        assert_eq!(told.len(), 3);
    }
}
