//! The Kafka source against a real broker: one for everything that leaves it alone, one that is stopped and killed.

mod ledger;
mod loss;
mod outage;
mod rebalance;
mod resume;
mod security;

use std::{path::PathBuf, time::Duration};

use serde_json::{Value, json};
use wardlake_connect::kafka::{KafkaFeed, KafkaMonitor, KafkaStatus};
use wardlake_testkit::{
    kafka::{KafkaBroker, KafkaClient},
    skip::skipped,
};

use crate::kafka_settings::settings;
use ledger::Ledger;

/// Nothing here takes so long; a test that waits longer has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// The broker's jars, or a message that says why the test is skipped.
fn jars() -> Option<PathBuf> {
    KafkaBroker::jars().inspect_err(|reason| skipped(*reason)).ok()
}

/// A broker and a client of the test's own.
struct World {
    broker: KafkaBroker,
    client: KafkaClient,
}

impl World {
    async fn start(jars: PathBuf) -> Self {
        let broker = KafkaBroker::start(&jars).await.unwrap();
        let client = broker.client().await.unwrap();
        Self { broker, client }
    }

    /// A feed of `topic` in a group of its name, with further settings, that starts where `ledger` stands.
    fn feed(&self, topic: &str, ledger: &Ledger, more: Value) -> KafkaFeed {
        let mut block = json!({"brokers": self.broker.plaintext(), "topics": topic, "max_wait_ms": 10});
        block.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
        let positions = ledger.clone();
        KafkaFeed::new(settings(block).unwrap(), &format!("test.{topic}"), move |topic, partition| {
            let position = positions.position(&topic, partition);
            async move { Ok(position) }
        })
    }
}

/// Waits for a state that a feed, which is being driven elsewhere, comes to.
async fn until(what: &str, monitor: &KafkaMonitor, is_so: impl Fn(&KafkaStatus) -> bool) {
    eventually(what, async || is_so(&monitor.status())).await;
}

/// Asks again and again until the answer is yes.
async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    let waited = tokio::time::timeout(PATIENCE, async {
        while !is_so().await {
            ticks.tick().await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"));
}

/// `from`, `from + 1`, … as texts.
fn numbers(range: std::ops::Range<i64>) -> impl Iterator<Item = String> {
    range.map(|number| number.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_stays() {
    let Some(jars) = jars() else { return };
    let world = World::start(jars).await;
    // Boxed: together they are too large for a test's stack.
    tokio::join!(
        Box::pin(resume::from_every_position(&world)),
        Box::pin(resume::a_start_at_the_end_is_remembered(&world)),
        Box::pin(resume::a_dropped_call_loses_nothing(&world)),
        Box::pin(resume::bytes_come_as_they_were_sent(&world)),
        Box::pin(resume::transactions_that_were_aborted_are_not_read(&world)),
        Box::pin(rebalance::two_members_share_and_take_over(&world)),
        Box::pin(rebalance::a_batch_committed_late_is_counted_once(&world)),
        Box::pin(rebalance::new_partitions_and_new_topics_are_read(&world)),
        Box::pin(loss::deleted_records_are_a_gap(&world)),
        Box::pin(loss::records_deleted_while_reading_are_a_gap(&world)),
        Box::pin(loss::a_topic_created_anew_is_not_read_silently(&world)),
        Box::pin(loss::a_ledger_that_cannot_be_read_holds_its_partition(&world)),
        Box::pin(security::every_mechanism_logs_in(&world)),
        Box::pin(security::a_wrong_password_is_told_and_tried_again(&world)),
        Box::pin(security::an_unknown_authority_is_told(&world)),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_goes_and_comes_back() {
    let Some(jars) = jars() else { return };
    outage::nothing_is_lost(World::start(jars).await).await;
}
