use std::time::Duration;

use krafka::{Kafka, Record};
use serde_json::json;
use wardlake_connect::kafka::KafkaRecord;

use super::{Ledger, World, eventually, numbers};

/// The ledger decides where reading begins, whatever the group has committed to the broker.
pub(super) async fn from_every_position(world: &World) {
    let topic = "resume";
    world.client.create_topic(topic, 1).await.unwrap();
    world.client.produce(topic, 0, numbers(0..12)).await.unwrap();
    for position in 0..=12 {
        let ledger = Ledger::at(topic, position);
        let mut feed = world.feed(topic, &ledger, json!({}));
        // Behind the last record the next one is news.
        let end = if position == 12 { 13 } else { 12 };
        world.client.produce(topic, 0, numbers(12..end)).await.unwrap();
        ledger.fill(&mut feed, usize::try_from(end - position).unwrap()).await;
        assert_eq!(ledger.values(topic, 0), numbers(position..end).collect::<Vec<_>>(), "from {position}");
        let status = feed.status();
        assert_eq!((status.connected, status.partitions.len()), (true, 1), "{status:?}");
        assert!(status.last_record_at.is_some());
        feed.close().await.unwrap();
        let committed = async || world.client.committed("wardlake-test-resume", topic, 0).await.unwrap() == Some(end);
        eventually("the broker sees the position", committed).await;
    }
}

pub(super) async fn a_start_at_the_end_is_remembered(world: &World) {
    let topic = "latest";
    world.client.create_topic(topic, 1).await.unwrap();
    world.client.produce(topic, 0, numbers(0..5)).await.unwrap();
    let ledger = Ledger::default();
    let mut feed = world.feed(topic, &ledger, json!({"start": "latest"}));
    let batch = feed.next().await.unwrap();
    assert!(batch.is_empty());
    assert_eq!((batch.partitions[0].from, batch.partitions[0].next), (None, 5));
    ledger.take(&mut feed, batch);
    feed.close().await.unwrap();
    // Written while nobody read: the place that was remembered is what makes it news.
    world.client.produce(topic, 0, numbers(5..7)).await.unwrap();
    let mut feed = world.feed(topic, &ledger, json!({"start": "latest"}));
    ledger.fill(&mut feed, 2).await;
    assert_eq!(ledger.values(topic, 0), ["5", "6"]);
    feed.close().await.unwrap();
}

pub(super) async fn a_dropped_call_loses_nothing(world: &World) {
    let topic = "dropped";
    world.client.create_topic(topic, 2).await.unwrap();
    let ledger = Ledger::default();
    let mut feed = world.feed(topic, &ledger, json!({"max_batch_records": 100}));
    let mut dropped = 0_u32;
    for half in 0..2_i64 {
        // Nothing is there yet that a call could bring: each is dropped, whatever it was at.
        for turn in 0..10 {
            let patience = Duration::from_micros(200_u64 << turn);
            match tokio::time::timeout(patience, feed.next()).await {
                Ok(batch) => ledger.take(&mut feed, batch.unwrap()),
                Err(_) => dropped += 1,
            }
        }
        for partition in 0..2 {
            world.client.produce(topic, partition, numbers(half * 1_000..(half + 1) * 1_000)).await.unwrap();
        }
        let filled = tokio::time::timeout(super::PATIENCE, async {
            while ledger.len() < 2_000 * (half as usize + 1) {
                // From so short that it never gets anywhere to long enough for any step.
                let patience = Duration::from_micros(200_u64 << (dropped % 10));
                match tokio::time::timeout(patience, feed.next()).await {
                    Ok(batch) => {
                        let batch = batch.unwrap();
                        assert!(batch.len() <= 100);
                        ledger.take(&mut feed, batch);
                    }
                    Err(_) => dropped += 1,
                }
            }
        });
        filled.await.unwrap_or_else(|_| panic!("{} rows, {dropped} calls dropped", ledger.len()));
    }
    assert!(dropped >= 10, "{dropped}");
    for partition in 0..2 {
        assert_eq!(ledger.values(topic, partition), numbers(0..2_000).collect::<Vec<_>>());
    }
    feed.close().await.unwrap();
}

/// What cannot be decoded has to be kept as it is, with its place; and it must not get into a log.
pub(super) async fn bytes_come_as_they_were_sent(world: &World) {
    let topic = "poison";
    world.client.create_topic(topic, 1).await.unwrap();
    let poison: [&[u8]; 4] = [b"", b"{\"name\": \"Zebra\"", b"\xff\xfe\x00\x80 not text", &[7; 700_000]];
    world.client.produce(topic, 0, poison).await.unwrap();
    let kafka = Kafka::builder(world.broker.plaintext()).connect().await.unwrap();
    let producer = kafka.producer().build().await.unwrap();
    let tombstone = Record::tombstone(topic, "patient-Zebra").partition(0).timestamp(1_700_000_000_123);
    let _ = producer.send(tombstone).await.unwrap();
    let mut feed = world.feed(topic, &Ledger::default(), json!({"max_batch_bytes": 500_000}));
    let mut read: Vec<KafkaRecord> = Vec::new();
    while read.len() < 5 {
        read.extend(feed.next().await.unwrap().records().cloned());
    }
    for (offset, (record, sent)) in read.iter().zip(poison).enumerate() {
        assert_eq!((&*record.topic, record.partition, record.offset), (topic, 0, offset as i64));
        assert!(record.key.is_none() && record.value.as_deref() == Some(sent), "{record:?}");
        assert!(record.timestamp_ms > 1_700_000_000_000);
    }
    assert_eq!((read[4].key.as_deref(), &read[4].value), (Some(b"patient-Zebra".as_slice()), &None));
    assert_eq!(read[4].timestamp_ms, 1_700_000_000_123);
    assert!(!format!("{read:?}").contains("Zebra"), "{read:?}");
    feed.close().await.unwrap();
}

pub(super) async fn transactions_that_were_aborted_are_not_read(world: &World) {
    let topic = "transactions";
    world.client.create_topic(topic, 1).await.unwrap();
    let kafka = Kafka::builder(world.broker.plaintext()).connect().await.unwrap();
    let producer = kafka.producer().build_transactional("transactions").await.unwrap();
    for (value, is_committed) in [("a", true), ("b", false), ("c", true)] {
        producer.begin().unwrap();
        let _ = producer.send(Record::new(topic, value).partition(0)).await.unwrap();
        match is_committed {
            true => producer.commit().await.unwrap(),
            false => producer.abort().await.unwrap(),
        }
    }
    producer.close().await.unwrap();
    let ledger = Ledger::default();
    let mut feed = world.feed(topic, &ledger, json!({}));
    ledger.fill(&mut feed, 2).await;
    assert_eq!(ledger.values(topic, 0), ["a", "c"]);
    feed.close().await.unwrap();
}
