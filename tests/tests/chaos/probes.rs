//! A call of every kind, again and again: what clients see of an outage; and the way from a write to everybody who is told.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use marquee_proto::analytics::v1::GetAudienceRequest;
use marquee_proto::events::v1::GetEventRequest;
use marquee_proto::notifications::v1::ListNotificationsRequest;
use marquee_proto::search::v1::SearchRequest;
use marquee_proto::subscriptions::v1::GetAccountRequest;
use marquee_proto::video_ingest::v1::ListStreamKeysRequest;
use marquee_testkit::Person;
use marquee_tests::{Api, uuid};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::{Request, Response, Status};

use crate::cast::Member;
use crate::client::{Client, by, public};
use crate::stage::{Playlists, Stage};

const EVERY: Duration = Duration::from_millis(300);
const HTTP: Duration = Duration::from_secs(5);

/// Status and body of a GET. The port is that of a server here.
pub(crate) async fn get(address: &str, path: &str) -> Result<(u16, Vec<u8>)> {
    let exchange = async {
        let address = address.trim_start_matches("http://");
        let mut socket = TcpStream::connect(address).await?;
        // The answer of HTTP/1.0 ends with its connection.
        socket
            .write_all(format!("GET {path} HTTP/1.0\r\nhost: {address}\r\n\r\n").as_bytes())
            .await?;
        let mut answer = Vec::new();
        socket.take(32 << 20).read_to_end(&mut answer).await?;
        let end = answer
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .context("not HTTP")?;
        let head = String::from_utf8_lossy(&answer[..end]);
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Ok((status.context("no status")?, answer[end + 4..].to_vec()))
    };
    tokio::time::timeout(HTTP, exchange).await?
}

/// The creator and the follower who try everything after a kill.
pub(crate) struct Canary {
    creator: Member,
    follower: Member,
    channel: String,
}

impl Canary {
    pub(crate) async fn new(client: &Client) -> Result<Self> {
        let tag = &uuid()[..8];
        let creator = client.register(&format!("canary-{tag}@example.org")).await?;
        let follower = client.register(&format!("miner-{tag}@example.org")).await?;
        let channel = client.channel(&creator, &format!("canary{tag}")).await?.name;
        client.follow(&follower, &channel).await?;
        let canary = Self {
            creator,
            follower,
            channel,
        };
        // Until the follow is known, nobody is told.
        let deadline = Instant::now() + Duration::from_secs(60);
        while !canary.sings(client, Duration::from_secs(2)).await? {
            if Instant::now() > deadline {
                bail!("the follow is not known after 60 s, before anything was killed");
            }
        }
        Ok(canary)
    }

    /// Schedules an event and waits until the follower was told of it and search finds it.
    pub(crate) async fn sings(&self, client: &Client, limit: Duration) -> Result<bool> {
        let word = uuid()[..8].replace(char::is_numeric, "x");
        let title = format!("Canary {word}{}", &uuid()[..4]);
        let event = client.schedule(&self.creator, &self.channel, &title).await?;
        let begun = Instant::now();
        let (mut told, mut found) = (None, None);
        while begun.elapsed() < limit {
            if told.is_none() && self.newest(client).await.contains(&event.name) {
                told = Some(begun.elapsed());
            }
            if found.is_none() && search(client, &title).await.contains(&event.name) {
                found = Some(begun.elapsed());
            }
            if told.is_some() && found.is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        println!(
            "      {} was told after {told:?}, found after {found:?}",
            event.name
        );
        Ok(told.is_some() && found.is_some())
    }

    async fn newest(&self, client: &Client) -> Vec<String> {
        let request = ListNotificationsRequest {
            parent: "accounts/me".into(),
            page_size: 5,
            ..ListNotificationsRequest::default()
        };
        let answer = client
            .api
            .inbox()
            .list_notifications(by(&self.follower.person, request))
            .await;
        let list = answer.map(|answer| answer.into_inner().notifications);
        list.unwrap_or_default()
            .into_iter()
            .map(|one| one.event)
            .collect()
    }
}

async fn search(client: &Client, query: &str) -> Vec<String> {
    let request = SearchRequest {
        query: query.into(),
        ..SearchRequest::default()
    };
    let answer = client.api.search().search(public(request)).await;
    let results = answer.map(|answer| answer.into_inner().results);
    results
        .unwrap_or_default()
        .into_iter()
        .map(|one| one.name)
        .collect()
}

/// Calls of every kind that the writers do not make, until the load is over.
pub(crate) fn start(
    client: &Client,
    viewer: &Member,
    stage: &Stage,
    playlists: &Playlists,
) -> Vec<tokio::task::JoinHandle<()>> {
    let who = &viewer.person;
    let mine = "accounts/me".to_owned();
    let name = mine.clone();
    let account = repeat(
        client,
        "account",
        who,
        GetAccountRequest { name },
        |api, request| async move { api.accounts().get_account(request).await.map(drop) },
    );
    let list = ListNotificationsRequest {
        parent: mine,
        page_size: 1,
        ..ListNotificationsRequest::default()
    };
    let inbox = repeat(client, "inbox", who, list, |api, request| async move {
        api.inbox().list_notifications(request).await.map(drop)
    });
    let name = stage.first_event.clone();
    let event = repeat(
        client,
        "event",
        who,
        GetEventRequest { name },
        |api, request| async move { api.events().get_event(request).await.map(drop) },
    );
    let get = GetAudienceRequest {
        event: stage.first_event.clone(),
    };
    let audience = repeat(client, "audience", who, get, |api, request| async move {
        api.audience().get_audience(request).await.map(drop)
    });
    let list = ListStreamKeysRequest {
        parent: stage.channel.clone(),
        ..ListStreamKeysRequest::default()
    };
    let owner = &stage.creator.person;
    let stream = repeat(client, "stream", owner, list, |api, request| async move {
        api.stream_keys().list_stream_keys(request).await.map(drop)
    });
    let query = SearchRequest {
        query: "stage".into(),
        page_size: 1,
        ..SearchRequest::default()
    };
    let search = repeat(client, "search", who, query, |api, request| async move {
        api.search().search(request).await.map(drop)
    });
    let mut tasks = vec![account, inbox, event, audience, stream, search];
    let (client, playlists) = (client.clone(), playlists.clone());
    tasks.push(tokio::spawn(async move {
        while !client.is_over() {
            playlists.look(&client.meter).await;
            tokio::time::sleep(EVERY).await;
        }
    }));
    tasks
}

fn repeat<M, F, C>(
    client: &Client,
    kind: &'static str,
    who: &Person,
    message: M,
    call: F,
) -> tokio::task::JoinHandle<()>
where
    M: Clone + Send + Sync + 'static,
    F: Fn(Api, Request<M>) -> C + Send + Sync + 'static,
    C: Future<Output = Result<(), Status>> + Send,
{
    let (client, who) = (client.clone(), who.clone());
    let call = move |api: Api, request: Request<M>| {
        let called = call(api, request);
        async move { called.await.map(Response::new) }
    };
    tokio::spawn(async move {
        while !client.is_over() {
            // A refusal is noted by `must`.
            let _ = client.must(kind, Some(&who), &message, &call).await;
            tokio::time::sleep(EVERY).await;
        }
    })
}
