use std::future::Future;

use marquee_bus::Outgoing;
use serde::{Deserialize, Serialize};

use crate::{Collection, Document, Etag, Index, Location, Store, Transaction};

/// A store to test.
pub trait Fixture: Send + Sync + Sized + 'static {
    /// Makes an empty one with [`collections`].
    fn start() -> impl Future<Output = Self> + Send;
    /// The store; whoever has it drops it before [`close`](Self::close).
    fn store(&self) -> Store;
    /// Whether several processes can have the store.
    const SHARED: bool = false;
    /// The same store as another process has it; this one when there can be but one.
    fn another(&self) -> impl Future<Output = Store> + Send {
        std::future::ready(self.store())
    }
    /// Where it is.
    fn location(&self) -> Location;
    /// What keeps the data while no store is open.
    type Data: Send;
    /// Closes the store and keeps the data.
    fn close(self) -> Self::Data;
    /// Opens a store on the data.
    fn open(data: Self::Data) -> impl Future<Output = Self> + Send;
    /// Closes the store and opens it again on the same data.
    fn restart(self) -> impl Future<Output = Self> + Send {
        Self::open(self.close())
    }
}

/// A document of the suite.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Show {
    pub id: String,
    pub channel: String,
    /// Unique where there is one.
    pub handle: Option<String>,
    pub time: Time,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Time {
    pub start: Option<i64>,
}

impl Document for Show {
    const COLLECTION: &'static str = "shows";
    const INDEXES: &'static [Index] = &[
        Index {
            name: "channel_start",
            fields: &["channel", "time.start"],
            unique: false,
        },
        Index {
            name: "handle",
            fields: &["handle"],
            unique: true,
        },
    ];

    fn id(&self) -> &str {
        &self.id
    }
}

/// What the fixture declares.
pub fn collections() -> Vec<Collection> {
    vec![Collection::of::<Show>()]
}

/// A show of channel `c` that begins then.
pub fn show(id: &str, start: impl Into<Option<i64>>) -> Show {
    Show {
        id: id.to_owned(),
        channel: "c".to_owned(),
        handle: None,
        time: Time { start: start.into() },
    }
}

/// Inserts it and tells its etag.
pub(super) async fn insert(store: &Store, show: &Show) -> Etag {
    store
        .commit(Transaction::new().insert(show).unwrap())
        .await
        .unwrap()
        .etags
        .remove(0)
}

pub(super) async fn get(store: &Store, id: &str) -> Option<Show> {
    store
        .get::<Show>(id)
        .await
        .unwrap()
        .map(|stored| (*stored.value).clone())
}

/// A message with this id, of this key.
pub(super) fn message(id: &str, key: &str) -> Outgoing {
    let message = marquee_bus::Message {
        id: id.to_owned(),
        key: key.to_owned(),
        value: id.as_bytes().to_vec().into(),
        ..marquee_bus::Message::default()
    };
    Outgoing {
        topic: "marquee.test.v1".into(),
        message,
    }
}
