//! A part of the memory for work that can wait: what cannot, such as a server's waves, finds the rest free.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use datafusion::{
    common::resources_datafusion_err,
    error::{DataFusionError, Result},
    execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation},
};

/// Takes its memory from another pool, and of that no more than `bytes`.
#[derive(Debug)]
pub(crate) struct Share {
    of: Arc<dyn MemoryPool>,
    bytes: usize,
    used: AtomicUsize,
}

impl Share {
    pub(crate) fn new(of: Arc<dyn MemoryPool>, bytes: usize) -> Self {
        Self { of, bytes, used: AtomicUsize::new(0) }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(used: {}, most: {})", self.name(), self.reserved(), self.bytes)
    }
}

impl MemoryPool for Share {
    fn name(&self) -> &str {
        "share"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.of.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.of.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.used.fetch_add(additional, Ordering::Relaxed);
        self.of.grow(reservation, additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.used.fetch_sub(shrink, Ordering::Relaxed);
        self.of.shrink(reservation, shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let fits = |used: usize| used.checked_add(additional).filter(|used| *used <= self.bytes);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).map_err(|used| -> DataFusionError {
            let free = self.bytes.saturating_sub(used);
            let consumer = reservation.consumer().name();
            resources_datafusion_err!("{consumer} asked for {additional} bytes; {free} are free of its share")
        })?;
        self.of.try_grow(reservation, additional).inspect_err(|_| {
            self.used.fetch_sub(additional, Ordering::Relaxed);
        })
    }

    fn reserved(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use datafusion::execution::memory_pool::GreedyMemoryPool;

    use super::*;

    #[test]
    fn a_share_ends_before_the_whole_and_with_it() {
        let whole: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(100));
        let share: Arc<dyn MemoryPool> = Arc::new(Share::new(Arc::clone(&whole), 50));
        let waits = MemoryConsumer::new("waits").register(&share);
        let urgent = MemoryConsumer::new("urgent").register(&whole);
        waits.try_grow(40).unwrap();
        assert!(waits.try_grow(11).is_err());
        urgent.try_grow(55).unwrap();
        // There are 10 left of the share, but 5 of the whole; what was refused is not counted.
        assert!(waits.try_grow(10).is_err());
        waits.try_grow(5).unwrap();
        assert_eq!((share.reserved(), whole.reserved()), (45, 100));
        drop(waits);
        assert_eq!((share.reserved(), whole.reserved()), (0, 55));
    }
}
