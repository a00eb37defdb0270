//! Every time-out and bound of a socket, in one place. A client that is slow, silent or many costs what stands here and no more.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// A stop is over so long after the drain, whatever clients do.
pub const STOP_WITHIN: Duration = Duration::from_secs(24);
/// What of it is kept for the way out, after the last part of the server was waited for.
pub(crate) const WAY_OUT: Duration = Duration::from_secs(4);
/// When no more is taken, requests and messages under way have so long to be answered.
pub const CLOSE_WITHIN: Duration = Duration::from_secs(8);

/// Time-outs and bounds of the server's sockets.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Limits {
    /// For a TLS handshake, and for the head of a request from its first byte.
    pub head_timeout: Duration,
    /// For an HTTP connection without a request under way. MLLP connections may be quiet between messages.
    pub idle_timeout: Duration,
    /// For a body or an MLLP frame as a whole; each [`Limits::body_bytes_per_s`] that came are worth a second more.
    pub body_timeout: Duration,
    /// For the next part of a body or frame.
    pub body_pause: Duration,
    /// How fast a body or frame that takes longer than [`Limits::body_timeout`] has to come.
    pub body_bytes_per_s: u64,
    /// For a client to take some of its answer.
    pub write_timeout: Duration,
    /// Connections from one address. The one that was quiet for longest makes place for the next.
    pub connections_per_peer: usize,
    /// Connections in all. Half of the files that the process may open are less, on many machines: then that is the bound.
    pub connections: usize,
    /// Bytes in memory of bodies and frames that are not complete or not read yet. One address may have half of them, and both bounds
    /// let the largest delivery through that a table takes.
    pub unfinished_bytes: u64,
    /// A request's line and headers.
    pub head_bytes: usize,
    /// Bodies that are read and stored at once.
    pub bodies_at_once: usize,
    /// For a complete body to be one of them.
    pub turn_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            body_timeout: Duration::from_secs(60),
            body_pause: Duration::from_secs(20),
            body_bytes_per_s: 64 << 10,
            write_timeout: Duration::from_secs(30),
            connections_per_peer: 256,
            connections: 4096,
            unfinished_bytes: 256 << 20,
            head_bytes: 64 << 10,
            bodies_at_once: 64,
            turn_timeout: Duration::from_secs(10),
        }
    }
}

/// What a running server goes by that its arguments can change, for whoever asks from outside.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InForce {
    /// Of its sockets.
    pub sockets: Limits,
    /// Between two refreshes of the models that do not live with waves.
    pub refresh: Duration,
    /// From a stop to the moment at which the ports are closed.
    pub drain: Duration,
    /// Bytes of one table that may wait to be loaded.
    pub max_waiting_bytes: u64,
}

/// How a body or frame comes in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Coming {
    began: Instant,
    last: Instant,
    bytes: u64,
}

impl Coming {
    /// Its first `bytes` are here.
    pub(crate) fn begin(bytes: usize) -> Self {
        let now = Instant::now();
        Self { began: now, last: now, bytes: bytes as u64 }
    }

    /// So many more came.
    pub(crate) fn came(&mut self, bytes: usize) {
        self.last = Instant::now();
        self.bytes += bytes as u64;
    }

    /// When it is too slow unless more comes.
    pub(crate) fn due(&self, limits: &Limits) -> Instant {
        let earned = Duration::from_secs(self.bytes / limits.body_bytes_per_s.max(1));
        (self.last + limits.body_pause).min(self.began + limits.body_timeout + earned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_steadily_may_take_long_and_what_trickles_may_not() {
        let limits = Limits::default();
        let (minute, pause) = (Duration::from_secs(60), Duration::from_secs(20));
        let began = Instant::now();
        let due = |after: u64, bytes: u64| {
            let coming = Coming { began, last: began + Duration::from_secs(after), bytes };
            coming.due(&limits) - began
        };
        assert_eq!(due(0, 0), pause);
        assert_eq!(due(30, 100), Duration::from_secs(50));
        assert_eq!(due(55, 100), minute);
        assert_eq!(due(110, 60 * (64 << 10)), minute * 2);
        assert_eq!(due(110, 3600 * (64 << 10)), Duration::from_secs(130));
    }
}
