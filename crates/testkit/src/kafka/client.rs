//! What a test does to a broker: topics, records, and a look at what a group has committed.

use std::time::Duration;

use krafka::{
    Kafka, KrafkaError, Record,
    admin::{
        CreatePartitionsOptions, CreateTopicsOptions, DeleteRecordsOptions, ListConsumerGroupOffsetsOptions, NewTopic,
    },
    consumer::TopicPartition,
    producer::Producer,
};

use super::KafkaBrokerError;

/// A producer and administrator. It rides out restarts of the broker.
pub struct KafkaClient {
    kafka: Kafka,
    producer: Producer,
}

impl KafkaClient {
    /// Connects without security.
    ///
    /// # Errors
    ///
    /// The broker does not answer.
    pub async fn connect(address: &str) -> Result<Self, KafkaBrokerError> {
        let kafka = Kafka::builder(address).connect().await?;
        let producer = kafka.producer().linger(Duration::from_millis(2)).metrics_push(false).build().await?;
        Ok(Self { kafka, producer })
    }

    /// Creates a topic.
    ///
    /// # Errors
    ///
    /// The broker refuses, for example because there is one of that name.
    pub async fn create_topic(&self, topic: &str, partitions: i32) -> Result<(), KafkaBrokerError> {
        let topic = NewTopic::new(topic, partitions, 1)?;
        all(self.kafka.admin().create_topics([topic], CreateTopicsOptions::default()).await?)
    }

    /// Gives a topic more partitions: `total` in all.
    ///
    /// # Errors
    ///
    /// The broker refuses.
    pub async fn grow_topic(&self, topic: &str, total: i32) -> Result<(), KafkaBrokerError> {
        all(self.kafka.admin().create_partitions([(topic, total)], CreatePartitionsOptions::default()).await?)
    }

    /// Deletes the records before `offset`, as retention would.
    ///
    /// # Errors
    ///
    /// The broker refuses.
    pub async fn delete_before(&self, topic: &str, partition: i32, offset: i64) -> Result<(), KafkaBrokerError> {
        let before = [(TopicPartition::new(topic, partition), offset)];
        all(self.kafka.admin().delete_records(before, DeleteRecordsOptions::default()).await?)
    }

    /// Writes records to a partition, in order, and returns once the broker has them all.
    ///
    /// # Errors
    ///
    /// The broker refuses one, or is away for longer than the producer waits.
    pub async fn produce<V: Into<Vec<u8>>>(
        &self,
        topic: &str,
        partition: i32,
        values: impl IntoIterator<Item = V>,
    ) -> Result<(), KafkaBrokerError> {
        let mut acknowledgements = Vec::new();
        for value in values {
            let value: Vec<u8> = value.into();
            acknowledgements.push(self.producer.enqueue(Record::new(topic, value).partition(partition)).await?);
        }
        for acknowledgement in acknowledgements {
            // Where it was written is not asked for.
            let _ = acknowledgement.await?;
        }
        Ok(())
    }

    /// What a group has committed of a partition.
    ///
    /// # Errors
    ///
    /// The broker does not answer.
    pub async fn committed(&self, group: &str, topic: &str, partition: i32) -> Result<Option<i64>, KafkaBrokerError> {
        let admin = self.kafka.admin();
        let mut offsets = admin.list_consumer_group_offsets(group, ListConsumerGroupOffsetsOptions::default()).await?;
        Ok(offsets.remove(&TopicPartition::new(topic, partition)).transpose()?.and_then(|committed| committed.offset))
    }
}

/// The first error among the answers.
fn all<K, V>(answers: impl IntoIterator<Item = (K, Result<V, KrafkaError>)>) -> Result<(), KafkaBrokerError> {
    answers.into_iter().try_for_each(|(_, answer)| answer.map(|_| ())).map_err(KafkaBrokerError::from)
}
