//! How a feed is doing, for people and for alerts.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use serde::Serialize;

/// Something that went wrong, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KafkaTrouble {
    /// When.
    pub at: DateTime<Utc>,
    /// What, without a secret or a record's value.
    pub message: String,
}

/// One assigned partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PartitionStatus {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset after the last record that was delivered; `None` before the caller's position is known.
    pub position: Option<i64>,
    /// The offset after the last record the broker had when it was last heard; `None` before.
    pub high_watermark: Option<i64>,
    /// How many offsets lie between the two. Those of transaction markers count until the next record comes.
    pub lag: Option<u64>,
}

/// The state of a feed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct KafkaStatus {
    /// Whether the brokers answered when they were last asked.
    pub connected: bool,
    /// The partitions the group gave to this feed, by topic and number.
    pub partitions: Vec<PartitionStatus>,
    /// The last thing that went wrong. It stays after it was mended.
    pub last_error: Option<KafkaTrouble>,
    /// When the last record came.
    pub last_record_at: Option<DateTime<Utc>>,
}

impl KafkaStatus {
    /// The lag of all partitions together; `None` while one of them is not known.
    pub fn lag(&self) -> Option<u64> {
        self.partitions.iter().map(|partition| partition.lag).sum()
    }
}

/// Reads the status of a feed from anywhere, also while the feed waits for records or is gone.
#[derive(Clone, Debug, Default)]
pub struct KafkaMonitor {
    shared: Arc<Mutex<KafkaStatus>>,
}

impl KafkaMonitor {
    /// The status now.
    pub fn status(&self) -> KafkaStatus {
        self.lock().clone()
    }

    pub(super) fn trouble(&self, message: String) {
        self.lock().last_error = Some(KafkaTrouble { at: Utc::now(), message });
    }

    pub(super) fn connected(&self, connected: bool) {
        self.lock().connected = connected;
    }

    pub(super) fn partitions(&self, partitions: Vec<PartitionStatus>) {
        self.lock().partitions = partitions;
    }

    pub(super) fn record_came(&self) {
        self.lock().last_record_at = Some(Utc::now());
    }

    /// The values are replaced whole, so what a panicking holder left is still a status.
    fn lock(&self) -> MutexGuard<'_, KafkaStatus> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
