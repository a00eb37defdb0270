//! Memory for what is not complete yet: bodies and frames that clients send, however slowly, bounded for each address and in all. What is
//! small needs no room: a few clients with large deliveries do not keep out the many with small ones.

use std::{
    collections::HashMap,
    fmt,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// What a body or connection may hold without room.
const SMALL_BYTES: u64 = 16 << 10;

/// How many bytes there may be.
#[derive(Debug)]
pub(crate) struct Room {
    small_bytes: u64,
    bytes: u64,
    bytes_per_peer: u64,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    bytes: u64,
    peers: HashMap<IpAddr, u64>,
}

/// What one body or connection holds of it, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Claim {
    room: Arc<Room>,
    peer: IpAddr,
    bytes: u64,
}

/// There is no room for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// The address has its part.
    OfPeer {
        /// The bound in bytes.
        bytes: u64,
    },
    /// All have it together.
    InAll {
        /// The bound in bytes.
        bytes: u64,
    },
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bytes, whose) = match self {
            Self::OfPeer { bytes } => (bytes, " from this address"),
            Self::InAll { bytes } => (bytes, ""),
        };
        write!(f, "no more than {bytes} bytes of unfinished deliveries{whose} are held in memory")
    }
}

impl Room {
    /// `bytes` in all and half of them for one address, or more if the largest delivery needs it.
    pub(crate) fn new(bytes: u64, largest_delivery: u64) -> Arc<Self> {
        let bytes = bytes.max(largest_delivery);
        let bytes_per_peer = (bytes / 2).max(largest_delivery);
        Arc::new(Self { small_bytes: SMALL_BYTES, bytes, bytes_per_peer, taken: Mutex::default() })
    }

    pub(crate) fn claim(self: &Arc<Self>, peer: IpAddr) -> Claim {
        Claim { room: Arc::clone(self), peer, bytes: 0 }
    }

    /// Bytes that are taken.
    pub(crate) fn taken(&self) -> u64 {
        self.lock().bytes
    }

    /// What of so many bytes needs room.
    fn needed(&self, bytes: u64) -> u64 {
        bytes.saturating_sub(self.small_bytes)
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claim {
    /// Takes `bytes` more, or nothing.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), Full> {
        let grown = self.bytes + bytes as u64;
        let more = self.room.needed(grown) - self.room.needed(self.bytes);
        if more == 0 {
            self.bytes = grown;
            return Ok(());
        }
        let mut taken = self.room.lock();
        let of_peer = taken.peers.get(&self.peer).copied().unwrap_or(0);
        if of_peer + more > self.room.bytes_per_peer {
            return Err(Full::OfPeer { bytes: self.room.bytes_per_peer });
        }
        if taken.bytes + more > self.room.bytes {
            return Err(Full::InAll { bytes: self.room.bytes });
        }
        taken.bytes += more;
        taken.peers.insert(self.peer, of_peer + more);
        self.bytes = grown;
        Ok(())
    }

    /// Gives back all but `bytes`.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        let left = self.bytes.min(bytes as u64);
        let free = self.room.needed(self.bytes) - self.room.needed(left);
        self.bytes = left;
        if free == 0 {
            return;
        }
        let mut taken = self.room.lock();
        taken.bytes -= free;
        if let Some(of_peer) = taken.peers.get_mut(&self.peer) {
            *of_peer -= free;
            if *of_peer == 0 {
                taken.peers.remove(&self.peer);
            }
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(small_bytes: u64, bytes: u64, bytes_per_peer: u64) -> Arc<Room> {
        Arc::new(Room { small_bytes, bytes, bytes_per_peer, taken: Mutex::default() })
    }

    #[test]
    fn an_address_has_its_part_and_what_is_given_back_is_there_for_others() {
        let room = room(0, 100, 50);
        let [first, second, third] = [1, 2, 3].map(|last| IpAddr::from([10, 0, 0, last]));
        let mut one = room.claim(first);
        let mut other = room.claim(first);
        assert_eq!(one.grow(30), Ok(()));
        assert_eq!(other.grow(21), Err(Full::OfPeer { bytes: 50 }));
        assert_eq!(other.grow(20), Ok(()));
        let mut theirs = room.claim(second);
        assert_eq!(theirs.grow(50), Ok(()));
        let mut late = room.claim(third);
        assert_eq!(late.grow(1), Err(Full::InAll { bytes: 100 }));
        one.shrink_to(25);
        assert_eq!(late.grow(5), Ok(()));
        drop((one, other, theirs));
        assert_eq!(room.taken(), 5);
        drop(late);
        assert_eq!(room.taken(), 0);
        assert!(room.lock().peers.is_empty());
    }

    #[test]
    fn what_is_small_needs_no_room() {
        let room = room(10, 20, 20);
        let peer = IpAddr::from([10, 0, 0, 1]);
        let (mut large, mut small) = (room.claim(peer), room.claim(peer));
        assert_eq!((large.grow(4), room.taken()), (Ok(()), 0));
        assert_eq!((large.grow(26), room.taken()), (Ok(()), 20));
        assert_eq!(small.grow(10), Ok(()));
        assert_eq!(small.grow(1), Err(Full::OfPeer { bytes: 20 }));
        large.shrink_to(12);
        assert_eq!(room.taken(), 2);
        large.shrink_to(3);
        assert_eq!(room.taken(), 0);
    }

    #[test]
    fn the_largest_delivery_has_room() {
        let room = Room::new(100, 1 << 20);
        let mut claim = room.claim(IpAddr::from([10, 0, 0, 1]));
        assert_eq!(claim.grow(1 << 20), Ok(()));
        assert_eq!(claim.grow(1 << 20), Err(Full::OfPeer { bytes: 1 << 20 }));
    }
}
