//! One membership of a consumer group: the client, what its rebalances said, and the offsets it shows to the broker.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, OnceLock, PoisonError, Weak},
    time::Duration,
};

use krafka::{
    CloseOptions, Kafka, KrafkaError,
    auth::{AuthConfig, TlsConfig},
    consumer::{
        AutoOffsetReset, Consumer, ConsumerRebalanceListener, ConsumerRecord, IsolationLevel, OffsetAndMetadata,
        PartitionAssignmentStrategy, TopicPartition,
    },
};
use tokio::{sync::watch, task::JoinHandle, time::Instant};

use super::{
    pending::PartitionKey,
    settings::{KafkaSettings, SaslMechanism},
};

/// How often topics are looked at for partitions that were added.
const WATCH_INTERVAL: Duration = Duration::from_secs(10);
/// A question to a broker that takes longer has failed.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Leaving a group takes no longer than that; a member that could not leave is forgotten after its session timeout.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// The pause after offsets could not be committed.
const COMMIT_PAUSE: Duration = Duration::from_secs(1);

/// What a rebalance did to this member, in order.
pub(super) enum Change {
    Assigned(Vec<PartitionKey>),
    Gone(Vec<PartitionKey>),
}

/// Notes rebalances. Its methods never wait for anything, so that a `poll` that is dropped has either applied a change and
/// noted it, or neither.
struct Listener {
    consumer: OnceLock<Weak<Consumer>>,
    changes: Mutex<Vec<Change>>,
}

impl Listener {
    fn note(&self, change: Change) {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).push(change);
    }
}

impl ConsumerRebalanceListener for Listener {
    /// A new partition is paused before the client can read a record of it, and given a place, so that the client does not
    /// ask the broker for the committed one.
    async fn on_partitions_assigned(&self, partitions: &[TopicPartition]) {
        let consumer = self.consumer.get().and_then(Weak::upgrade);
        for assigned in partitions {
            if let Some(consumer) = &consumer {
                // It fails only for a partition that is not assigned; there is then nothing to hold back.
                let _ = consumer.seek(&assigned.topic, assigned.partition, 0).await;
                consumer.pause(&assigned.topic, &[assigned.partition]).await;
            }
        }
        self.note(Change::Assigned(keys(partitions)));
    }

    async fn on_partitions_revoked(&self, partitions: &[TopicPartition]) {
        self.note(Change::Gone(keys(partitions)));
    }

    async fn on_partitions_lost(&self, partitions: &[TopicPartition]) {
        self.note(Change::Gone(keys(partitions)));
    }
}

fn keys(partitions: &[TopicPartition]) -> Vec<PartitionKey> {
    partitions.iter().map(|partition| (Arc::from(partition.topic()), partition.partition())).collect()
}

/// The member. Dropping it leaves the group in the background.
pub(super) struct Session {
    consumer: Arc<Consumer>,
    listener: Arc<Listener>,
    committed: watch::Sender<BTreeMap<PartitionKey, i64>>,
    committer: JoinHandle<()>,
    /// How many partitions each topic had; 0 for one that does not exist.
    topics: BTreeMap<String, usize>,
    watched_at: Instant,
    /// Failed fetches that were heard of.
    failures: u64,
}

impl Session {
    /// Connects and joins the group. Nothing is read before [`Session::poll`].
    pub(super) async fn open(settings: &KafkaSettings, group: &str, label: &str) -> Result<Self, KrafkaError> {
        let security = security(settings).await?;
        let kafka = Kafka::builder(settings.brokers.join(","))
            .client_id(format!("wardlake-{label}"))
            .security(security)
            .metadata_max_age(WATCH_INTERVAL)
            .connect()
            .await?;
        // In range: the settings were checked.
        let records = i32::try_from(settings.max_batch_records).unwrap_or(i32::MAX);
        let bytes = i32::try_from(settings.max_batch_bytes).unwrap_or(i32::MAX);
        let listener = Arc::new(Listener { consumer: OnceLock::new(), changes: Mutex::new(Vec::new()) });
        let consumer = kafka
            .consumer(group)
            .enable_auto_commit(false)
            // Positions come from the caller; where one is out of range the feed decides, not the client.
            .auto_offset_reset(AutoOffsetReset::None)
            .isolation_level(IsolationLevel::ReadCommitted)
            // Partitions that stay with their member are read on while others move.
            .partition_assignment_strategy(PartitionAssignmentStrategy::CooperativeSticky)
            .session_timeout(settings.session_timeout)
            .heartbeat_interval(settings.session_timeout / 3)
            .max_poll_records(records)
            .max_buffered_records(records)
            .fetch_max_bytes(bytes)
            .max_partition_fetch_bytes(bytes)
            // One broker without news must not keep the records of another waiting for longer than a batch may gather.
            .fetch_max_wait(settings.max_wait.max(Duration::from_millis(1)))
            .metrics_push(false)
            .rebalance_listener(Arc::clone(&listener))
            .build()
            .await?;
        let consumer = Arc::new(consumer);
        // Empty until here, so it is set.
        let _ = listener.consumer.set(Arc::downgrade(&consumer));
        let mut topics = BTreeMap::new();
        for topic in &settings.topics {
            topics.insert(topic.clone(), partition_count(&consumer, topic).await?);
        }
        consumer.subscribe(&settings.topics).await?;
        let (committed, wanted) = watch::channel(BTreeMap::new());
        let committer = tokio::spawn(commit_offsets(Arc::clone(&consumer), wanted));
        Ok(Self { consumer, listener, committed, committer, topics, watched_at: Instant::now(), failures: 0 })
    }

    /// Topics that do not exist (yet).
    pub(super) fn missing_topics(&self) -> impl Iterator<Item = &str> {
        self.topics.iter().filter(|(_, partitions)| **partitions == 0).map(|(topic, _)| topic.as_str())
    }

    /// Whether a topic got partitions the group does not know of. Asked seldom; in between the answer is no.
    pub(super) async fn topics_changed(&mut self) -> Result<bool, KrafkaError> {
        if self.watched_at.elapsed() < WATCH_INTERVAL {
            return Ok(false);
        }
        for (topic, known) in &self.topics {
            if partition_count(&self.consumer, topic).await? != *known {
                return Ok(true);
            }
        }
        self.watched_at = Instant::now();
        Ok(false)
    }

    /// Takes what rebalances did since the last call.
    pub(super) fn changes(&self) -> Vec<Change> {
        std::mem::take(&mut self.listener.changes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Records of the partitions that were placed; empty after `timeout`.
    pub(super) async fn poll(&self, timeout: Duration) -> Result<Vec<ConsumerRecord>, KrafkaError> {
        self.consumer.poll(timeout).await
    }

    /// Whether a fetch has failed since the last call. The client keeps its reason to itself.
    pub(super) fn fetch_failed(&mut self) -> bool {
        let failures = self.consumer.metrics().consumer.errors;
        std::mem::replace(&mut self.failures, failures) != failures
    }

    /// Asks a broker something that needs an answer.
    pub(super) async fn probe(&self) -> Result<(), KrafkaError> {
        let existing = self.topics.iter().find(|(_, partitions)| **partitions > 0).map(|(topic, _)| topic);
        match (existing, self.topics.keys().next()) {
            (Some(topic), _) => self.offsets(topic, 0).await.map(|_| ()),
            // What does not exist is never remembered, so this is a question too.
            (None, Some(topic)) => partition_count(&self.consumer, topic).await.map(|_| ()),
            (None, None) => Ok(()),
        }
    }

    /// The earliest offset a partition has and the one behind its last.
    pub(super) async fn offsets(&self, topic: &str, partition: i32) -> Result<(i64, i64), KrafkaError> {
        tokio::time::timeout(ANSWER_TIMEOUT, self.consumer.fetch_watermarks(topic, partition)).await?
    }

    /// Reads a partition from `offset` on.
    pub(super) async fn read_from(&self, (topic, partition): &PartitionKey, offset: i64) -> Result<(), KrafkaError> {
        self.consumer.seek(topic, *partition, offset).await?;
        self.consumer.resume(topic, &[*partition]).await;
        Ok(())
    }

    /// Reads nothing more of a partition.
    pub(super) async fn hold(&self, (topic, partition): &PartitionKey) {
        self.consumer.pause(topic, &[*partition]).await;
    }

    /// Per partition the offset behind its last record, as the last fetch said.
    pub(super) async fn high_watermarks(&self) -> BTreeMap<PartitionKey, i64> {
        let lags = self.consumer.lag().await;
        let known = |(partition, lag): (TopicPartition, krafka::consumer::PartitionLag)| {
            Some(((Arc::from(partition.topic()), partition.partition()), lag.high_watermark?))
        };
        lags.into_iter().filter_map(known).collect()
    }

    /// Shows an offset to the broker, in the background.
    pub(super) fn commit(&self, positions: impl Iterator<Item = (PartitionKey, i64)>) {
        self.committed.send_modify(|offsets| offsets.extend(positions));
    }

    /// No longer shows offsets of a partition that went: they are another member's.
    pub(super) fn forget_commit(&self, key: &PartitionKey) {
        self.committed.send_if_modified(|offsets| {
            offsets.remove(key);
            false
        });
    }

    /// Shows the last offsets and leaves the group.
    pub(super) async fn close(&self) -> Result<(), KrafkaError> {
        self.committer.abort();
        let offsets = self.committed.borrow().clone();
        // For lag tools alone: a failure loses nothing.
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, send_offsets(&self.consumer, &offsets)).await;
        self.consumer.close_with(CloseOptions::new().timeout(CLOSE_TIMEOUT)).await
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.committer.abort();
        let consumer = Arc::clone(&self.consumer);
        if !consumer.is_closed()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            // A member that cannot leave is forgotten by the broker after its session timeout.
            runtime.spawn(async move { consumer.close_with(CloseOptions::new().timeout(CLOSE_TIMEOUT)).await });
        }
    }
}

/// How many partitions a topic has; 0 where it does not exist.
async fn partition_count(consumer: &Consumer, topic: &str) -> Result<usize, KrafkaError> {
    match tokio::time::timeout(ANSWER_TIMEOUT, consumer.fetch_metadata(Some(topic))).await? {
        Ok(metadata) => Ok(metadata.topics.first().map_or(0, krafka::TopicInfo::partition_count)),
        Err(KrafkaError::UnknownTopic { .. }) => Ok(0),
        Err(error) => Err(error),
    }
}

/// Commits the newest offsets whenever there are newer ones.
async fn commit_offsets(consumer: Arc<Consumer>, mut wanted: watch::Receiver<BTreeMap<PartitionKey, i64>>) {
    while wanted.changed().await.is_ok() {
        loop {
            let offsets = wanted.borrow_and_update().clone();
            match send_offsets(&consumer, &offsets).await {
                Ok(()) => break,
                Err(_) => tokio::time::sleep(COMMIT_PAUSE).await,
            }
        }
    }
}

async fn send_offsets(consumer: &Consumer, offsets: &BTreeMap<PartitionKey, i64>) -> Result<(), KrafkaError> {
    let offset = |((topic, partition), next): (&PartitionKey, &i64)| {
        (TopicPartition::new(&**topic, *partition), OffsetAndMetadata::new(*next))
    };
    let offsets: Vec<_> = offsets.iter().map(offset).collect();
    consumer.commit_offsets(offsets).await
}

/// The certificates are read anew for each session, so that a file that was replaced is taken.
async fn security(settings: &KafkaSettings) -> Result<AuthConfig, KrafkaError> {
    let auth = match &settings.sasl {
        None => AuthConfig::plaintext(),
        Some(sasl) => {
            let (username, password) = (sasl.username.as_str(), sasl.password.reveal());
            match sasl.mechanism {
                SaslMechanism::Plain => AuthConfig::sasl_plain(username, password),
                SaslMechanism::ScramSha256 => AuthConfig::sasl_scram_sha256(username, password),
                SaslMechanism::ScramSha512 => AuthConfig::sasl_scram_sha512(username, password),
            }
        }
    };
    if !settings.security.is_encrypted() {
        return Ok(auth);
    }
    let tls = match &settings.ca_file {
        None => TlsConfig::new().with_native_roots(),
        Some(file) => match tokio::fs::read(file).await {
            Ok(pem) => TlsConfig::new().with_ca_cert_pem(pem),
            Err(error) => {
                let message = format!("`kafka.tls.ca_file` {} cannot be read: {error}", file.display());
                return Err(KrafkaError::config(message));
            }
        },
    };
    Ok(auth.with_tls(tls))
}
