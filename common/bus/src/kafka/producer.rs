//! Publishing: every copy has it before `publish` returns, and nothing is published out of order after a failure.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, PurgeConfig, ThreadedProducer};
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

use super::{Settings, cloudevents, context, unavailable};
use crate::{Error, Outgoing};

pub(super) type Client = ThreadedProducer<Deliveries>;

/// Bytes that wait for the brokers at most, over all who publish.
const ROOM: usize = 32 << 20;

/// What a message costs beside its bytes, so that the number of small ones is bounded too.
const OVERHEAD: usize = 256;

/// The wait for room in librdkafka's own queue, which is larger than ours: for one call that is larger than both.
const QUEUE_FULL: Duration = Duration::from_millis(5);

/// Bytes of one batch, as it goes to a broker; the largest dead letter fits.
pub(super) const MAX_BATCH_BYTES: usize = 2 << 20;

/// How long, and how often, closing a client waits for those who use it.
const LET_GO: Duration = Duration::from_millis(20);
const LET_GO_TRIES: u32 = 500;

pub(super) struct Producer {
    settings: Arc<Settings>,
    client: RwLock<Arc<Client>>,
    room: Semaphore,
}

/// The messages of one call that have no answer yet.
pub(super) struct Batch {
    state: Mutex<BatchState>,
    done: Notify,
}

struct BatchState {
    left: usize,
    failed: Option<KafkaError>,
}

impl Batch {
    fn of(messages: usize) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(BatchState {
                left: messages,
                failed: None,
            }),
            done: Notify::new(),
        })
    }

    fn answered(&self, result: Result<(), KafkaError>) {
        let done = {
            let mut state = self.state.lock();
            state.left = state.left.saturating_sub(1);
            if let Err(error) = result {
                state.failed.get_or_insert(error);
            }
            state.left == 0 || state.failed.is_some()
        };
        if done {
            self.done.notify_one();
        }
    }
}

pub(super) struct Deliveries;

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        context::log(level, facility, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        context::trouble(&error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Arc<Batch>;

    fn delivery(&self, result: &DeliveryResult<'_>, batch: Arc<Batch>) {
        batch.answered(match result {
            Ok(_) => Ok(()),
            Err((error, _)) => Err(error.clone()),
        });
    }
}

impl Producer {
    pub(super) fn new(settings: &Arc<Settings>) -> Result<Self, Error> {
        Ok(Self {
            client: RwLock::new(connect(settings)?),
            settings: settings.clone(),
            room: Semaphore::new(ROOM),
        })
    }

    /// The client of the moment; for questions about the cluster too.
    pub(super) fn client(&self) -> Arc<Client> {
        self.client.read().clone()
    }

    pub(super) async fn publish(&self, messages: Vec<Outgoing>) -> Result<(), Error> {
        let deadline = Instant::now() + self.settings.delivery_timeout;
        let late = || Error::Unavailable("kafka: the brokers do not take messages in time".to_owned());
        let bytes = messages
            .iter()
            .map(|outgoing| outgoing.message.size() + OVERHEAD)
            .sum::<usize>();
        let room = u32::try_from(bytes.min(ROOM)).unwrap_or(u32::MAX);
        // Held until the answer.
        let _room = tokio::time::timeout_at(deadline, self.room.acquire_many(room))
            .await
            .map_err(|_| late())?
            .map_err(|_| Error::Unavailable("closed".to_owned()))?;
        let client = self.client();
        let batch = Batch::of(messages.len());
        // Nobody waits any more: what the client has must not go out behind what others publish meanwhile.
        let unfinished = Unfinished {
            producer: self,
            client: &client,
        };
        let sending = async {
            for outgoing in &messages {
                self.send(&client, outgoing, &batch).await?;
            }
            loop {
                {
                    let state = batch.state.lock();
                    match &state.failed {
                        Some(error) => return Err(error.clone()),
                        None if state.left == 0 => return Ok(()),
                        None => {}
                    }
                }
                batch.done.notified().await;
            }
        };
        let sent = tokio::time::timeout_at(deadline, sending).await;
        std::mem::forget(unfinished);
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge))) => {
                let largest = messages.iter().map(|outgoing| outgoing.message.size()).max();
                Err(Error::TooLarge {
                    size: largest.unwrap_or(0),
                    limit: crate::MAX_MESSAGE_BYTES,
                })
            }
            Ok(Err(error)) => {
                self.abandon(&client);
                Err(unavailable(&error))
            }
            Err(_) => {
                self.abandon(&client);
                Err(late())
            }
        }
    }

    async fn send(&self, client: &Client, outgoing: &Outgoing, batch: &Arc<Batch>) -> Result<(), KafkaError> {
        let message = &outgoing.message;
        let topic = format!("{}{}", self.settings.prefix, outgoing.topic);
        let headers = cloudevents::headers(message);
        let mut native = OwnedHeaders::new_with_capacity(headers.len());
        for (key, value) in &headers {
            native = native.insert(Header {
                key,
                value: Some(value.as_bytes()),
            });
        }
        let mut record = BaseRecord::with_opaque_to(&topic, batch.clone())
            .key(message.key.as_bytes())
            .payload(&*message.value)
            .headers(native);
        loop {
            record = match client.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => back,
                Err((error, _)) => return Err(error),
            };
            tokio::time::sleep(QUEUE_FULL).await;
        }
    }

    /// Goes on with another client, so that nothing of the old one's queue is published any more.
    ///
    /// A caller whose batch failed publishes it again. If what is behind the failed message went out meanwhile, its key
    /// would have its messages in another order. All that is under way fails together, and of each partition the brokers
    /// have taken a beginning, since they take an idempotent producer's batches without gaps or not at all.
    fn abandon(&self, failed: &Arc<Client>) {
        let old = {
            let mut client = self.client.write();
            if !Arc::ptr_eq(&client, failed) {
                return;
            }
            match connect(&self.settings) {
                Ok(new) => std::mem::replace(&mut *client, new),
                Err(error) => {
                    tracing::error!(%error, "cannot make another kafka producer");
                    return;
                }
            }
        };
        old.purge(PurgeConfig::default().queue().inflight());
        drop_elsewhere(old);
    }
}

/// Messages whose caller still waits for them.
struct Unfinished<'a> {
    producer: &'a Producer,
    client: &'a Arc<Client>,
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        self.producer.abandon(self.client);
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        drop_elsewhere(self.client());
    }
}

/// Letting a producer go waits for its thread. What holds it ends by itself.
fn drop_elsewhere(client: Arc<Client>) {
    let spawned = std::thread::Builder::new()
        .name("kafka-closing".to_owned())
        .spawn(move || {
            // Whoever else has it lets it go shortly; the last one waits.
            for _ in 0..LET_GO_TRIES {
                if Arc::strong_count(&client) == 1 {
                    break;
                }
                std::thread::sleep(LET_GO);
            }
            drop(client);
        });
    if let Err(error) = spawned {
        tracing::warn!(%error, "no thread to close a kafka producer on");
    }
}

fn connect(settings: &Settings) -> Result<Arc<Client>, Error> {
    let client = settings
        .client()
        .set("acks", "all")
        .set("enable.idempotence", "true")
        // A message that was refused for good takes those behind it along, see `abandon`.
        .set("enable.gapless.guarantee", "true")
        // Publishing gives up by itself, for the whole batch at once.
        .set("message.timeout.ms", "0")
        .set("linger.ms", "2")
        .set("compression.codec", "lz4")
        .set("message.max.bytes", MAX_BATCH_BYTES.to_string())
        .set("queue.buffering.max.kbytes", (2 * ROOM / 1024).to_string())
        .set("queue.buffering.max.messages", (2 * ROOM / OVERHEAD).to_string())
        // As Java's clients choose the partition of a key.
        .set("partitioner", "murmur2")
        .create_with_context(Deliveries)
        .map_err(|error| unavailable(&error))?;
    Ok(Arc::new(client))
}
