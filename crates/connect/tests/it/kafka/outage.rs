use serde_json::json;

use super::{Ledger, World, numbers, until};

/// A broker that is stopped in order, and then one that is killed, each in the middle of reading.
pub(super) async fn nothing_is_lost(mut world: World) {
    let topic = "restarted";
    world.client.create_topic(topic, 2).await.unwrap();
    let ledger = Ledger::default();
    let mut feed = world.feed(topic, &ledger, json!({"max_batch_records": 100}));
    let monitor = feed.monitor();
    let mut produced = 0;
    for is_crash in [false, true] {
        for partition in 0..2 {
            world.client.produce(topic, partition, numbers(produced..produced + 500)).await.unwrap();
        }
        produced += 500;
        // Some of it is read, some is not.
        let read = ledger.len() + 300;
        ledger.fill(&mut feed, read).await;
        match is_crash {
            false => world.broker.stop().await.unwrap(),
            true => world.broker.kill().await.unwrap(),
        }
        // What was read before the outage may still come; the feed itself goes on trying.
        let outage = until("the outage is told", &monitor, |status| !status.connected && status.last_error.is_some());
        tokio::pin!(outage);
        loop {
            tokio::select! {
                batch = feed.next() => {
                    let batch = batch.unwrap();
                    ledger.take(&mut feed, batch);
                }
                () = &mut outage => break,
            }
        }
        world.broker.restart().await.unwrap();
        ledger.fill(&mut feed, usize::try_from(produced * 2).unwrap()).await;
        assert!(monitor.status().connected);
    }
    for partition in 0..2 {
        assert_eq!(ledger.values(topic, partition), numbers(0..produced).collect::<Vec<_>>());
    }
    feed.close().await.unwrap();
}
