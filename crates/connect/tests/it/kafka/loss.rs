//! What the broker no longer has, or has anew, is told and never passed over.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use serde_json::json;
use wardlake_connect::kafka::KafkaFeed;

use super::{Ledger, World, numbers, settings, until};

pub(super) async fn deleted_records_are_a_gap(world: &World) {
    let topic = "gap";
    world.client.create_topic(topic, 1).await.unwrap();
    world.client.produce(topic, 0, numbers(0..10)).await.unwrap();
    world.client.delete_before(topic, 0, 6).await.unwrap();
    let ledger = Ledger::at(topic, 2);
    let mut feed = world.feed(topic, &ledger, json!({}));
    let batch = feed.next().await.unwrap();
    let part = &batch.partitions[0];
    assert_eq!((part.from, part.gaps[0].from, part.gaps[0].to), (Some(2), 2, 6));
    let told = part.gaps[0].to_string();
    assert!(told.contains("topic `gap`, partition 0: offset 2 ") && told.contains(" has is 6;"), "{told}");
    assert_eq!(feed.status().last_error.unwrap().message, told);
    ledger.take(&mut feed, batch);
    ledger.fill(&mut feed, 4).await;
    assert_eq!(ledger.values(topic, 0), ["6", "7", "8", "9"]);
    assert_eq!(ledger.position(topic, 0), Some(10));
    feed.close().await.unwrap();
}

pub(super) async fn records_deleted_while_reading_are_a_gap(world: &World) {
    let topic = "gap-later";
    world.client.create_topic(topic, 1).await.unwrap();
    world.client.produce(topic, 0, numbers(0..10)).await.unwrap();
    let ledger = Ledger::default();
    let mut feed = world.feed(topic, &ledger, json!({}));
    ledger.fill(&mut feed, 10).await;
    world.client.produce(topic, 0, numbers(10..20)).await.unwrap();
    world.client.delete_before(topic, 0, 15).await.unwrap();
    let batch = feed.next().await.unwrap();
    let part = &batch.partitions[0];
    assert_eq!((part.from, part.gaps[0].from, part.gaps[0].to), (Some(10), 10, 15));
    ledger.take(&mut feed, batch);
    ledger.fill(&mut feed, 15).await;
    assert_eq!(ledger.values(topic, 0), numbers(0..10).chain(numbers(15..20)).collect::<Vec<_>>());
    feed.close().await.unwrap();
}

/// The offsets of a topic that was deleted and created begin anew; read under the old position they would be lost.
pub(super) async fn a_topic_created_anew_is_not_read_silently(world: &World) {
    let topic = "anew";
    world.client.create_topic(topic, 2).await.unwrap();
    for partition in 0..2 {
        world.client.produce(topic, partition, numbers(0..4)).await.unwrap();
    }
    let ledger = Ledger::at(topic, 90);
    let mut feed = world.feed(topic, &ledger, json!({}));
    ledger.fill(&mut feed, 4).await;
    assert_eq!((ledger.values(topic, 0).len(), ledger.values(topic, 1).len()), (0, 4));
    let told = feed.status().last_error.unwrap().message;
    assert!(told.contains("topic `anew`, partition 0: offset 90 ") && told.contains("only at 4"), "{told}");
    // Once the log has passed the position, reading goes on there.
    world.client.produce(topic, 0, numbers(4..92)).await.unwrap();
    ledger.fill(&mut feed, 6).await;
    assert_eq!(ledger.values(topic, 0), ["90", "91"]);
    feed.close().await.unwrap();
}

pub(super) async fn a_ledger_that_cannot_be_read_holds_its_partition(world: &World) {
    let topic = "unreadable";
    world.client.create_topic(topic, 1).await.unwrap();
    world.client.produce(topic, 0, numbers(0..3)).await.unwrap();
    let ledger = Ledger::default();
    let block = json!({"brokers": world.broker.plaintext(), "topics": topic, "max_wait_ms": 10});
    let is_readable = Arc::new(AtomicBool::new(false));
    let readable = Arc::clone(&is_readable);
    let mut feed = KafkaFeed::new(settings(block).unwrap(), "test.unreadable", move |_, _| {
        let answer = match readable.load(Ordering::SeqCst) {
            true => Ok(None),
            false => Err("the lake is away".into()),
        };
        async move { answer }
    });
    let monitor = feed.monitor();
    tokio::select! {
        batch = feed.next() => panic!("delivered without a position: {batch:?}"),
        () = until("the reason is told", &monitor, |status| {
            status.last_error.as_ref().is_some_and(|error| error.message.ends_with("the lake is away"))
        }) => {}
    }
    is_readable.store(true, Ordering::SeqCst);
    ledger.fill(&mut feed, 3).await;
    feed.close().await.unwrap();
    assert!(!monitor.status().connected);
}
