//! `--demo`: a creator with a channel, an event and a stream key, and a viewer who follows. Made through the API like
//! anybody's; made once per data folder.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use jiff::{SignedDuration, Timestamp};
use marquee_proto::events::v1::channel_service_client::ChannelServiceClient;
use marquee_proto::events::v1::event_service_client::EventServiceClient;
use marquee_proto::events::v1::{
    Channel, CreateChannelRequest, CreateEventRequest, Event, GetChannelRequest, ListEventsRequest,
};
use marquee_proto::subscriptions::v1::account_service_client::AccountServiceClient;
use marquee_proto::subscriptions::v1::follow_service_client::FollowServiceClient;
use marquee_proto::subscriptions::v1::session_service_client::SessionServiceClient;
use marquee_proto::subscriptions::v1::{Account, CreateAccountRequest, CreateFollowRequest, LoginRequest};
use marquee_proto::video_ingest::v1::stream_key_service_client::StreamKeyServiceClient;
use marquee_proto::video_ingest::v1::{CreateStreamKeyRequest, ListStreamKeysRequest};
use serde::{Deserialize, Serialize};
use tonic::transport::Channel as Transport;
use tonic::{Code, Request, Status};

const PASSWORD: &str = "marquee-demo";
const HANDLE: &str = "demo";

/// What the demo is made of.
#[derive(Debug, Serialize)]
pub(crate) struct Demo {
    pub(crate) stream_key: String,
    pub(crate) publish_url: String,
    pub(crate) playlist_url: String,
    pub(crate) channel: String,
    pub(crate) event: String,
    pub(crate) creator: Person,
    pub(crate) viewer: Person,
}

/// Somebody to sign in as.
#[derive(Debug, Serialize)]
pub(crate) struct Person {
    pub(crate) email: String,
    pub(crate) password: String,
    pub(crate) access_token: String,
}

/// Kept in the data folder, since a stream key is shown once.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// The key's name; empty in a file of an earlier version.
    #[serde(default)]
    name: String,
    stream_key: String,
}

impl Demo {
    /// The event's page.
    pub(crate) fn page(&self) -> String {
        format!("/watch/{}", self.event)
    }

    /// One line that puts a test picture on the air.
    pub(crate) fn ffmpeg(&self) -> String {
        format!(
            "ffmpeg -re -f lavfi -i testsrc2=size=1280x720:rate=30 -f lavfi -i sine=frequency=440:sample_rate=48000 \
             -c:v libx264 -preset veryfast -pix_fmt yuv420p -b:v 2500k -g 60 -c:a aac -b:a 128k -f flv {}",
            self.publish_url
        )
    }
}

/// Where an installation is reached.
#[derive(clap::Args)]
pub(crate) struct Place {
    /// Address of gRPC
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub(crate) grpc: String,
    /// Address of the pages and of HLS
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub(crate) http: String,
    /// Address that encoders publish to
    #[arg(long, value_name = "URL", default_value = "rtmp://127.0.0.1:1935")]
    pub(crate) rtmp: String,
    /// Folder to keep the stream key in, since it is shown once
    #[arg(long = "data", value_name = "FOLDER", default_value = "data")]
    pub(crate) keep: PathBuf,
}

/// `marquee demo`.
pub(crate) async fn run(place: &Place) -> Result<()> {
    use std::io::Write as _;

    std::fs::create_dir_all(&place.keep)
        .with_context(|| format!("cannot make the folder {}", place.keep.display()))?;
    let demo = prepare(place).await?;
    let mut out = std::io::stdout();
    serde_json::to_writer_pretty(&mut out, &demo)?;
    Ok(out.write_all(b"\n")?)
}

/// Makes what is missing of the demo.
pub(crate) async fn prepare(place: &Place) -> Result<Demo> {
    let transport = Transport::from_shared(place.grpc.clone())?.connect().await?;
    let creator = sign_in(&transport, "creator@demo.example", "Demo Creator").await?;
    let viewer = sign_in(&transport, "viewer@demo.example", "Demo Viewer").await?;
    let channel = channel(&transport, &creator).await?;
    let follow = CreateFollowRequest {
        parent: "accounts/me".to_owned(),
        channel: channel.name.clone(),
    };
    FollowServiceClient::new(transport.clone())
        .create_follow(signed(&viewer, follow)?)
        .await?;
    let event = event(&transport, &creator, &channel).await?;
    let stream_key = stream_key(&transport, &creator, &channel, &place.keep).await?;
    let id = channel.name.trim_start_matches("channels/");
    Ok(Demo {
        publish_url: format!("{}/live/{stream_key}", place.rtmp),
        playlist_url: format!("{}/live/{id}/index.m3u8", place.http),
        stream_key,
        channel: channel.name.clone(),
        event: event.name,
        creator,
        viewer,
    })
}

async fn sign_in(transport: &Transport, email: &str, display_name: &str) -> Result<Person> {
    let account = Account {
        email: email.to_owned(),
        display_name: display_name.to_owned(),
        ..Account::default()
    };
    let create = CreateAccountRequest {
        account: Some(account),
        password: PASSWORD.to_owned(),
        request_id: String::new(),
    };
    absent(
        Code::AlreadyExists,
        AccountServiceClient::new(transport.clone())
            .create_account(create)
            .await,
    )?;
    let login = LoginRequest {
        email: email.to_owned(),
        password: PASSWORD.to_owned(),
    };
    let tokens = SessionServiceClient::new(transport.clone())
        .login(login)
        .await?
        .into_inner()
        .tokens;
    let access_token = tokens.context("a login without tokens")?.access_token;
    Ok(Person {
        email: email.to_owned(),
        password: PASSWORD.to_owned(),
        access_token,
    })
}

async fn channel(transport: &Transport, creator: &Person) -> Result<Channel> {
    let mut channels = ChannelServiceClient::new(transport.clone());
    let get = GetChannelRequest {
        name: format!("channels/@{HANDLE}"),
    };
    if let Some(found) = absent(Code::NotFound, channels.get_channel(get).await)? {
        return found.into_inner().channel.context("no channel in the answer");
    }
    let channel = Channel {
        handle: HANDLE.to_owned(),
        display_name: "Demo Channel".to_owned(),
        description: "Made by `marquee up --demo`.".to_owned(),
        language: "en".to_owned(),
        ..Channel::default()
    };
    let create = CreateChannelRequest {
        channel: Some(channel),
        request_id: String::new(),
    };
    let created = channels
        .create_channel(signed(creator, create)?)
        .await?
        .into_inner();
    created.channel.context("no channel in the answer")
}

/// The channel's live or next event; a new one when there is none.
async fn event(transport: &Transport, creator: &Person, channel: &Channel) -> Result<Event> {
    let mut events = EventServiceClient::new(transport.clone());
    for state in ["LIVE", "SCHEDULED"] {
        let list = ListEventsRequest {
            parent: channel.name.clone(),
            filter: format!("state = {state}"),
            ..ListEventsRequest::default()
        };
        if let Some(event) = events
            .list_events(list)
            .await?
            .into_inner()
            .events
            .into_iter()
            .next()
        {
            return Ok(event);
        }
    }
    let start = Timestamp::now() + SignedDuration::from_mins(5);
    let event = Event {
        title: "Test pictures, live".to_owned(),
        description: "Publish with the line that `marquee up --demo` printed, and watch yourself here."
            .to_owned(),
        scheduled_start_time: Some(marquee_proto::time::to_proto(start)),
        genre: "technology".to_owned(),
        language: "en".to_owned(),
        ..Event::default()
    };
    let create = CreateEventRequest {
        parent: channel.name.clone(),
        event: Some(event),
        request_id: String::new(),
    };
    let created = events.create_event(signed(creator, create)?).await?.into_inner();
    created.event.context("no event in the answer")
}

async fn stream_key(
    transport: &Transport,
    creator: &Person,
    channel: &Channel,
    data: &Path,
) -> Result<String> {
    let mut keys = StreamKeyServiceClient::new(transport.clone());
    let file = data.join("demo.json");
    if let Ok(bytes) = std::fs::read(&file)
        && let Ok(kept) = serde_json::from_slice::<Kept>(&bytes)
    {
        let list = ListStreamKeysRequest {
            parent: channel.name.clone(),
            page_size: 200,
            ..ListStreamKeysRequest::default()
        };
        let known = keys.list_stream_keys(signed(creator, list)?).await?.into_inner();
        // The studio may have revoked it or given it another secret since.
        let is_good = known
            .stream_keys
            .iter()
            .any(|key| key.name == kept.name && !key.revoked && kept.stream_key.ends_with(&key.hint));
        if is_good {
            return Ok(kept.stream_key);
        }
    }
    let create = CreateStreamKeyRequest {
        parent: channel.name.clone(),
        ..CreateStreamKeyRequest::default()
    };
    let created = keys
        .create_stream_key(signed(creator, create)?)
        .await?
        .into_inner();
    let kept = Kept {
        name: created.stream_key.unwrap_or_default().name,
        stream_key: created.secret,
    };
    keep(file, &kept)?;
    Ok(kept.stream_key)
}

fn keep(file: PathBuf, kept: &Kept) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;

    let write = || {
        let new = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&file)?;
        serde_json::to_writer(new, kept).map_err(std::io::Error::from)
    };
    write().with_context(|| format!("cannot write {}", file.display()))
}

fn signed<T>(person: &Person, message: T) -> Result<Request<T>> {
    let mut request = Request::new(message);
    request.metadata_mut().insert(
        "authorization",
        format!("Bearer {}", person.access_token).parse()?,
    );
    Ok(request)
}

/// The answer; none when the status is the expected one.
fn absent<T>(expected: Code, answer: Result<T, Status>) -> Result<Option<T>, Status> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(status) if status.code() == expected => Ok(None),
        Err(status) => Err(status),
    }
}
