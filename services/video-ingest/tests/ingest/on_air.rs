//! A channel on the air, whose event says who may watch.

use marquee_bus::EventBus as _;
use marquee_proto::events::v1::{
    Event, EventChanged, EventLive, EventScheduled, EventState, Visibility, event_changed,
};
use marquee_proto::time::to_proto;
use marquee_proto::video_ingest::v1::*;
use marquee_testkit::wait_for;
use tonic::{Code, Request, Status};

use crate::encoder::Encoder;
use crate::hls::{Answer, get};
use crate::stage::{LIMIT, OWNER, Stage};
use crate::story::Story;

pub(crate) const VIEWER: &str = "accounts/viewer";

/// A channel on the air, whose event has this visibility.
pub(crate) struct OnAir {
    pub(crate) stage: Stage,
    _folder: tempfile::TempDir,
    pub(crate) stream: LiveStream,
    pub(crate) encoder: Encoder,
}

pub(crate) fn event(id: &str, visibility: Visibility, stream: &str) -> Event {
    let now = jiff::Timestamp::now();
    Event {
        name: format!("channels/c/events/{id}"),
        visibility: visibility.into(),
        state: if stream.is_empty() {
            EventState::Scheduled
        } else {
            EventState::Live
        }
        .into(),
        live_stream: stream.to_owned(),
        scheduled_start_time: Some(to_proto(now)),
        update_time: Some(to_proto(now)),
        ..Event::default()
    }
}

pub(crate) async fn tell(stage: &Stage, change: event_changed::Change, name: &str) {
    let message = marquee_bus::event(name, &EventChanged { change: Some(change) });
    stage.bus.publish(vec![message]).await.unwrap();
}

impl OnAir {
    /// The event is scheduled before the stream begins, and takes it.
    pub(crate) async fn new(id: &str, visibility: Visibility) -> Self {
        Self::tuned(id, visibility, |_| {}).await
    }

    pub(crate) async fn tuned(
        id: &str,
        visibility: Visibility,
        tune: impl FnOnce(&mut marquee_video_ingest::Config),
    ) -> Self {
        let (stage, folder) = Stage::tuned(tune).await;
        let scheduled = event(id, visibility, "");
        let name = scheduled.name.clone();
        let change = event_changed::Change::Scheduled(EventScheduled {
            event: Some(scheduled),
            channel: None,
        });
        tell(&stage, change, &name).await;
        let (_, secret) = stage.clients.key("c").await;
        let mut story = Story::of_streams(&*stage.bus).await;
        let mut encoder = Encoder::publish(stage.clients.rtmp, &secret).await.unwrap();
        encoder.send(9_000).await.unwrap();
        let stream = story.expect("started").await;
        let live = event(id, visibility, &stream.name);
        let change = event_changed::Change::Live(EventLive {
            event: Some(live),
            channel: None,
        });
        tell(&stage, change, &name).await;
        let on_air = Self {
            stage,
            _folder: folder,
            stream,
            encoder,
        };
        // It is known once the event leads to the stream.
        wait_for("the event", LIMIT, async || {
            let asked = on_air.ask(None, &name).await;
            (!matches!(&asked, Err(status) if status.code() == Code::NotFound)).then_some(())
        })
        .await
        .unwrap();
        on_air
    }

    /// Asks for a session.
    pub(crate) async fn ask(
        &self,
        by: Option<&str>,
        parent: &str,
    ) -> Result<CreatePlaybackSessionResponse, Status> {
        let request = CreatePlaybackSessionRequest {
            parent: parent.to_owned(),
        };
        let request = match by {
            Some(account) => self.stage.clients.by(account, request),
            None => Request::new(request),
        };
        let answer = self
            .stage
            .clients
            .playback()
            .create_playback_session(request)
            .await?;
        Ok(answer.into_inner())
    }

    pub(crate) async fn open(&self, by: &str) -> CreatePlaybackSessionResponse {
        self.ask(Some(by), &self.stream.name).await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        get(self.stage.clients.http, path).await
    }

    pub(crate) async fn listed(&self) -> ListPlaybackSessionsResponse {
        let request = ListPlaybackSessionsRequest {
            parent: self.stream.name.clone(),
            ..ListPlaybackSessionsRequest::default()
        };
        let request = self.stage.clients.by(OWNER, request);
        let answer = self
            .stage
            .clients
            .playback()
            .list_playback_sessions(request)
            .await;
        answer.unwrap().into_inner()
    }

    /// The answer's status and reason once it has this status.
    pub(crate) async fn becomes(&self, path: &str, status: u16) -> Answer {
        wait_for("the answer", LIMIT, async || {
            let answer = self.get(path).await;
            (answer.status == status).then_some(answer)
        })
        .await
        .unwrap()
    }
}

pub(crate) fn media(path: &str) -> String {
    path.replace("index.m3u8", "media.m3u8")
}
