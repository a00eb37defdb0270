use serde_json::json;
use tokio::{sync::watch, task::JoinHandle};
use wardlake_connect::kafka::KafkaFeed;

use super::{Ledger, World, eventually, numbers, until};

/// A feed that reads and commits by itself until it is told to end; says how many records it was given.
struct Member {
    task: JoinHandle<usize>,
    end: watch::Sender<bool>,
}

impl Member {
    fn start(mut feed: KafkaFeed, ledger: &Ledger) -> Self {
        let (end, mut ended) = watch::channel(false);
        let ledger = ledger.clone();
        let task = tokio::spawn(async move {
            let mut records = 0;
            loop {
                tokio::select! {
                    batch = feed.next() => {
                        let batch = batch.unwrap();
                        records += batch.len();
                        ledger.take(&mut feed, batch);
                    }
                    _ = ended.changed() => break,
                }
            }
            feed.close().await.unwrap();
            records
        });
        Self { task, end }
    }

    async fn end(self) -> usize {
        self.end.send(true).unwrap();
        self.task.await.unwrap()
    }
}

pub(super) async fn two_members_share_and_take_over(world: &World) {
    let topic = "shared";
    let partitions = 6;
    world.client.create_topic(topic, partitions).await.unwrap();
    let produce = async |range: std::ops::Range<i64>| {
        for partition in 0..partitions {
            world.client.produce(topic, partition, numbers(range.clone())).await.unwrap();
        }
    };
    let ledger = Ledger::default();
    let rows = async |rows: usize| eventually("all rows are there", async || ledger.len() == rows).await;

    produce(0..300).await;
    let first = world.feed(topic, &ledger, json!({"max_batch_records": 50}));
    let first = Member::start(first, &ledger);
    rows(6 * 300).await;

    let second = world.feed(topic, &ledger, json!({"max_batch_records": 50}));
    let monitor = second.monitor();
    let second = Member::start(second, &ledger);
    // In the middle of the rebalance.
    produce(300..600).await;
    until("the second member has its half", &monitor, |status| status.partitions.len() == 3).await;
    produce(600..900).await;
    rows(6 * 900).await;
    let by_first = first.end().await;
    produce(900..1_200).await;
    rows(6 * 1_200).await;
    let by_second = second.end().await;

    assert!(by_first >= 6 * 300 && by_second >= 6 * 300, "{by_first} and {by_second}");
    for partition in 0..partitions {
        assert_eq!(ledger.values(topic, partition), numbers(0..1_200).collect::<Vec<_>>(), "{partition}");
    }
}

/// A process holds a batch that it has not committed while its partitions move to another, which reads the same records.
pub(super) async fn a_batch_committed_late_is_counted_once(world: &World) {
    let topic = "late";
    world.client.create_topic(topic, 2).await.unwrap();
    for partition in 0..2 {
        world.client.produce(topic, partition, numbers(0..100)).await.unwrap();
    }
    let ledger = Ledger::default();
    let mut first = world.feed(topic, &ledger, json!({}));
    let mut held = Vec::new();
    while held.iter().map(wardlake_connect::KafkaBatch::len).sum::<usize>() < 200 {
        held.push(first.next().await.unwrap());
    }
    let second = world.feed(topic, &ledger, json!({}));
    let monitor = second.monitor();
    let second = Member::start(second, &ledger);
    // The first gives a partition away and reads nothing more of the other: all of it is in its hands.
    tokio::select! {
        batch = first.next() => panic!("nothing was left to read: {batch:?}"),
        () = eventually("the second member has read its partition", async || ledger.len() == 100) => {}
    }
    assert_eq!(monitor.status().partitions.len(), 1);
    for batch in held {
        ledger.take(&mut first, batch);
    }
    assert_eq!(ledger.len(), 200);
    for partition in 0..2 {
        world.client.produce(topic, partition, numbers(100..110)).await.unwrap();
    }
    ledger.fill(&mut first, 220).await;
    for partition in 0..2 {
        assert_eq!(ledger.values(topic, partition), numbers(0..110).collect::<Vec<_>>());
    }
    first.close().await.unwrap();
    second.end().await;
}

pub(super) async fn new_partitions_and_new_topics_are_read(world: &World) {
    let (old, new) = ("grows", "comes-later");
    world.client.create_topic(old, 1).await.unwrap();
    let ledger = Ledger::default();
    let feed = world.feed(&format!("{old},{new}"), &ledger, json!({"group": "growing"}));
    let monitor = feed.monitor();
    let member = Member::start(feed, &ledger);
    until("the missing topic is told", &monitor, |status| {
        status.last_error.as_ref().is_some_and(|error| error.message.contains("`comes-later` does not exist"))
    })
    .await;
    world.client.produce(old, 0, numbers(0..3)).await.unwrap();
    eventually("the topic that exists is read", async || ledger.len() == 3).await;
    world.client.create_topic(new, 1).await.unwrap();
    world.client.produce(new, 0, numbers(0..3)).await.unwrap();
    world.client.grow_topic(old, 2).await.unwrap();
    until("every partition is read", &monitor, |status| status.partitions.len() == 3).await;
    // A producer that knew the topic before knows its new partition only after a while.
    world.broker.client().await.unwrap().produce(old, 1, numbers(0..3)).await.unwrap();
    eventually("all are read", async || ledger.len() == 9).await;
    until("nothing is left", &monitor, |status| status.lag() == Some(0)).await;
    member.end().await;
}
