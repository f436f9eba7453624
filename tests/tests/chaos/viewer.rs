//! Viewers' streams: each is opened again, from where it was, when it breaks.

use std::sync::Arc;
use std::time::Duration;

use marquee_proto::analytics::v1::WatchAudienceRequest;
use marquee_proto::events::v1::{Event, WatchEventRequest};
use marquee_proto::notifications::v1::WatchNotificationsRequest;
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tonic::{Code, Request, Status, Streaming};

use crate::cast::Member;
use crate::client::Client;

const PAUSE: Duration = Duration::from_millis(300);

/// All streams, and what came on them. Dropping it closes them.
#[derive(Default)]
pub(crate) struct Streams {
    pub(crate) inboxes: Vec<Inbox>,
    pub(crate) events: Vec<(String, Last<Event>)>,
    pub(crate) audiences: Vec<(String, Last<i64>)>,
    tasks: JoinSet<()>,
}

/// What came last.
pub(crate) type Last<T> = Arc<Mutex<Option<T>>>;

/// The inbox as one device of somebody got it.
pub(crate) struct Inbox {
    pub(crate) account: String,
    /// Names of the notifications in the order in which they came.
    pub(crate) got: Arc<Mutex<Vec<String>>>,
}

impl Streams {
    pub(crate) fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Reads an inbox, from before there was anything in it.
    pub(crate) fn inbox(&mut self, client: &Client, member: &Member) {
        let got = Arc::new(Mutex::new(Vec::new()));
        self.inboxes.push(Inbox {
            account: member.name.clone(),
            got: got.clone(),
        });
        let (client, person) = (client.clone(), member.person.clone());
        self.tasks.spawn(async move {
            let mut cursor = String::new();
            loop {
                let request = WatchNotificationsRequest {
                    parent: "accounts/me".into(),
                    cursor: cursor.clone(),
                };
                let opened = client
                    .api
                    .inbox()
                    .watch_notifications(person.request(request))
                    .await;
                read(&client, opened, |message| {
                    cursor = message.cursor;
                    let name = message.notification.map(|notification| notification.name);
                    got.lock().extend(name);
                })
                .await;
            }
        });
    }

    pub(crate) fn event(&mut self, client: &Client, name: &str) {
        let last = Last::default();
        self.events.push((name.to_owned(), last.clone()));
        let (client, name) = (client.clone(), name.to_owned());
        self.tasks.spawn(async move {
            loop {
                let request = Request::new(WatchEventRequest { name: name.clone() });
                let opened = client.api.events().watch_event(request).await;
                read(&client, opened, |message| *last.lock() = message.event).await;
            }
        });
    }

    pub(crate) fn audience(&mut self, client: &Client, event: &str) {
        let last = Last::default();
        self.audiences.push((event.to_owned(), last.clone()));
        let (client, event) = (client.clone(), event.to_owned());
        self.tasks.spawn(async move {
            loop {
                let request = Request::new(WatchAudienceRequest { event: event.clone() });
                let opened = client.api.audience().watch_audience(request).await;
                read(&client, opened, |message| {
                    *last.lock() = message.audience.map(|audience| audience.concurrent_viewers);
                })
                .await;
            }
        });
    }
}

/// Reads a stream until it breaks.
async fn read<M>(
    client: &Client,
    opened: Result<tonic::Response<Streaming<M>>, Status>,
    mut take: impl FnMut(M),
) {
    match opened {
        Ok(opened) => {
            let mut stream = opened.into_inner();
            while let Ok(Some(message)) = stream.message().await {
                take(message);
            }
            client.meter.reopened();
        }
        Err(status) => {
            if matches!(
                status.code(),
                Code::Unauthenticated | Code::PermissionDenied | Code::NotFound | Code::InvalidArgument
            ) {
                client.meter.fault(format!("a stream was refused: {status}"));
            }
            client.meter.failure();
        }
    }
    tokio::time::sleep(PAUSE).await;
}
