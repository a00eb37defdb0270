//! Values in memory up to so many bytes, of which the longest unread are given up. Whoever misses one makes it again.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

#[derive(Debug)]
pub(super) struct Bounded<K, V> {
    entries: Mutex<Entries<K, V>>,
    bound: usize,
}

#[derive(Debug)]
struct Entries<K, V> {
    all: HashMap<K, Entry<V>>,
    bytes: usize,
    reads: u64,
}

#[derive(Debug)]
struct Entry<V> {
    value: Arc<V>,
    bytes: usize,
    /// When it was last read, by the count of reads, or kept if that came later.
    used: u64,
    was_read: bool,
}

impl<K: Clone + Eq + Hash, V> Bounded<K, V> {
    /// Values of at most `bound` bytes together.
    pub(super) fn new(bound: usize) -> Self {
        Self { entries: Mutex::new(Entries { all: HashMap::new(), bytes: 0, reads: 0 }), bound }
    }

    pub(super) fn find(&self, key: &K) -> Option<Arc<V>> {
        let mut entries = self.lock();
        entries.reads += 1;
        let used = entries.reads;
        let entry = entries.all.get_mut(key)?;
        (entry.used, entry.was_read) = (used, true);
        Some(Arc::clone(&entry.value))
    }

    /// Keeps a value that was made for a reader, or before there is one.
    pub(super) fn keep(&self, key: K, value: &Arc<V>, bytes: usize, was_read: bool) {
        // What does not fit is not to drive out all others.
        if bytes > self.left() {
            return;
        }
        let mut entries = self.lock();
        entries.reads += 1;
        let entry = Entry { value: Arc::clone(value), bytes, used: entries.reads, was_read };
        entries.bytes += bytes;
        if let Some(before) = entries.all.insert(key, entry) {
            entries.bytes -= before.bytes;
        }
        if entries.bytes <= self.bound {
            return;
        }
        // A quarter goes at once, so that the search for it is seldom.
        let mut ages: Vec<(u64, K)> = entries.all.iter().map(|(key, entry)| (entry.used, key.clone())).collect();
        ages.sort_unstable_by_key(|(age, _)| *age);
        for (_, key) in ages {
            if entries.bytes <= self.left() {
                break;
            }
            let gone = entries.all.remove(&key).map_or(0, |entry| entry.bytes);
            entries.bytes -= gone;
        }
    }

    /// Gives up the others; `is_wanted` is told of each whether it was ever read.
    pub(super) fn retain(&self, is_wanted: impl Fn(&K, bool) -> bool) {
        let mut entries = self.lock();
        let mut gone = 0;
        entries.all.retain(|key, entry| {
            let stays = is_wanted(key, entry.was_read);
            gone += if stays { 0 } else { entry.bytes };
            stays
        });
        entries.bytes -= gone;
    }

    /// Those that are there.
    pub(super) fn keys(&self) -> Vec<K> {
        self.lock().all.keys().cloned().collect()
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Bytes that are left after some were given up.
    fn left(&self) -> usize {
        self.bound / 4 * 3
    }

    fn lock(&self) -> MutexGuard<'_, Entries<K, V>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c04_the_longest_unread_go_first_and_the_bound_holds() {
        let held = Bounded::new(100);
        for key in 0..10 {
            held.keep(key, &Arc::new(key), 10, true);
        }
        assert_eq!(held.keys().len(), 10);
        assert_eq!(held.find(&0).as_deref(), Some(&0));
        held.keep(10, &Arc::new(10), 10, true);
        let mut left = held.keys();
        left.sort_unstable();
        assert_eq!(left, [0, 5, 6, 7, 8, 9, 10]);
        assert_eq!(held.bytes(), 70);
        // In place of another, and too large to be held.
        held.keep(10, &Arc::new(11), 20, true);
        held.keep(12, &Arc::new(12), 76, true);
        assert_eq!((held.keys().len(), held.bytes()), (7, 80));
        held.keep(1, &Arc::new(1), 1, false);
        held.keep(2, &Arc::new(2), 1, false);
        assert_eq!(held.find(&2).as_deref(), Some(&2));
        held.retain(|key, was_read| was_read && *key < 10);
        assert_eq!((held.keys().len(), held.bytes()), (7, 61));
    }
}
