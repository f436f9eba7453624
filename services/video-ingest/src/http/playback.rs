//! The routes.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::get;
use marquee_hls::{GAP_NAME, Query};
use marquee_proto::name::LiveStreamName;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::answer::{self, Lifetime, problem};
use super::stored;
use crate::archive::{Archive, Extent};
use crate::broadcast::{Broadcast, MEDIA_PLAYLIST, Missing, Name, Playlists, Text, Window};
use crate::error::{Error, Result};
use crate::hub::Hub;

/// The playlist of all renditions.
const MULTIVARIANT: &str = "index.m3u8";

struct Playback {
    hub: Hub,
    archive: Archive,
    /// Places for requests that wait.
    places: Semaphore,
}

type Shared = Arc<Playback>;

/// The routes of live streams and recordings.
pub(crate) fn router(hub: Hub, archive: Archive) -> Router {
    let playback = Playback {
        places: Semaphore::new(hub.max_waiting().min(Semaphore::MAX_PERMITS)),
        hub,
        archive,
    };
    Router::new()
        .route("/live/{channel}/index.m3u8", get(current))
        .route("/live/{channel}/{stream}/{file}", get(live))
        .route("/live/{channel}/{stream}/{rendition}/{file}", get(rendition))
        .route("/recordings/{channel}/{stream}/{file}", get(recording))
        .with_state(Arc::new(playback))
}

async fn current(
    State(playback): State<Shared>,
    Path(channel): Path<String>,
    headers: HeaderMap,
) -> Response {
    let found = playback.hub.current(&channel).and_then(|broadcast| {
        let folder = format!("{}/", broadcast.name().live_stream);
        broadcast.multivariant(&folder)
    });
    match found {
        Some(text) => answer::playlist(&Text::new(text), Lifetime::Moving, &headers),
        None => problem(&Error::not_found(
            "NOT_LIVE",
            format!("channels/{channel} (nothing is on the air)"),
        )),
    }
}

async fn live(
    State(playback): State<Shared>,
    Path((channel, stream, file)): Path<(String, String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let asked = Asked {
        rendition: "",
        file: &file,
        query: query.as_deref().unwrap_or_default(),
        headers: &headers,
    };
    answer(playback.live(channel, stream, asked).await)
}

async fn rendition(
    State(playback): State<Shared>,
    Path((channel, stream, rendition, file)): Path<(String, String, String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let asked = Asked {
        rendition: &rendition,
        file: &file,
        query: query.as_deref().unwrap_or_default(),
        headers: &headers,
    };
    answer(playback.live(channel, stream, asked).await)
}

async fn recording(
    State(playback): State<Shared>,
    Path((channel, stream, file)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Response {
    answer(playback.recording(channel, stream, &file, &headers).await)
}

fn answer(result: Result<Response>) -> Response {
    result.unwrap_or_else(|error| problem(&error))
}

/// A request for a file of a live stream.
#[derive(Clone, Copy)]
struct Asked<'a> {
    rendition: &'a str,
    file: &'a str,
    query: &'a str,
    headers: &'a HeaderMap,
}

impl Playback {
    async fn live(&self, channel: String, stream: String, asked: Asked<'_>) -> Result<Response> {
        let name =
            LiveStreamName::new(channel, stream).map_err(|error| Error::not_found("NOT_FOUND", error))?;
        let running = self.hub.find(&name);
        let window = running
            .as_ref()
            .and_then(|broadcast| broadcast.window(asked.rendition));
        match (asked.file, &running, window) {
            (MULTIVARIANT, Some(broadcast), Some(_)) => Self::multivariant(broadcast, asked),
            (MEDIA_PLAYLIST, Some(_), Some(window)) => self.media_playlist(&name, window, asked).await,
            (MULTIVARIANT | MEDIA_PLAYLIST, None, None) if asked.rendition.is_empty() => {
                self.archived(&name, Extent::Window, asked.file, asked.headers)
                    .await
            }
            (GAP_NAME, ..) => Ok(answer::gap()),
            (file, ..) => {
                let media = Name::parse(file).ok_or_else(|| not_there(&name, asked))?;
                self.media(&name, window, media, asked).await
            }
        }
    }

    fn multivariant(broadcast: &Broadcast, asked: Asked<'_>) -> Result<Response> {
        let text = broadcast
            .multivariant("")
            .ok_or_else(|| no_playlist(broadcast.name()))?;
        Ok(answer::playlist(
            &Text::new(text),
            Lifetime::Moving,
            asked.headers,
        ))
    }

    /// RFC 8216bis 6.2.5: at once, or when it has what is asked for.
    async fn media_playlist(
        &self,
        name: &LiveStreamName,
        window: &Window,
        asked: Asked<'_>,
    ) -> Result<Response> {
        let is_over = window.edge().is_some_and(|edge| edge.ended);
        let query = match Query::parse(asked.query) {
            // Directives are ignored then, also those that make no sense.
            _ if is_over => Query::default(),
            parsed => parsed.map_err(Error::PlaylistRequest)?,
        };
        let lifetime = if query.msn.is_some() {
            Lifetime::Moment
        } else {
            Lifetime::Moving
        };
        let _place = if window.would_wait(&query) {
            Some(self.place()?)
        } else {
            None
        };
        window.reached(&query).await.map_err(|missing| match missing {
            Missing::NotThere => no_playlist(name),
            missing => not_answered(missing, name, asked),
        })?;
        let text = window
            .playlist(query.skip, Vec::new)
            .ok_or_else(|| no_playlist(name))?;
        Ok(answer::playlist(&text, lifetime, asked.headers))
    }

    async fn media(
        &self,
        name: &LiveStreamName,
        window: Option<&Window>,
        media: Name,
        asked: Asked<'_>,
    ) -> Result<Response> {
        if let Some(found) = window.and_then(|window| window.media(media)) {
            return Ok(answer::media(found, asked.headers));
        }
        match (media, window) {
            (Name::Part { run, number }, Some(window)) if window.is_hinted(run, number) => {
                let _place = self.place()?;
                let part = window.hinted(run, number).await;
                let part = part.map_err(|missing| not_answered(missing, name, asked))?;
                Ok(answer::media(part.into(), asked.headers))
            }
            (Name::Part { run, number }, Some(window)) => {
                // It may have come between the two looks.
                let part = window.media(Name::Part { run, number });
                let part = part.ok_or_else(|| not_there(name, asked))?;
                Ok(answer::media(part, asked.headers))
            }
            (Name::Init(_) | Name::Segment(_), _) if asked.rendition.is_empty() => {
                stored::media(&self.archive, name, asked.file, asked.headers).await
            }
            _ => Err(not_there(name, asked)),
        }
    }

    async fn recording(
        &self,
        channel: String,
        stream: String,
        file: &str,
        headers: &HeaderMap,
    ) -> Result<Response> {
        let name =
            LiveStreamName::new(channel, stream).map_err(|error| Error::not_found("NOT_FOUND", error))?;
        match file {
            MULTIVARIANT | MEDIA_PLAYLIST => {
                // A recording exists once its stream is over.
                if self.hub.find(&name).is_some() {
                    return Err(no_playlist(&name));
                }
                self.archived(&name, Extent::Whole, file, headers).await
            }
            media => stored::media(&self.archive, &name, media, headers).await,
        }
    }

    async fn archived(
        &self,
        name: &LiveStreamName,
        extent: Extent,
        file: &str,
        headers: &HeaderMap,
    ) -> Result<Response> {
        let playlists: Option<Arc<Playlists>> = self.archive.playlists(name, extent).await?;
        let playlists = playlists.ok_or_else(|| no_playlist(name))?;
        Ok(match file {
            MULTIVARIANT => {
                let text = Text::new(playlists.multivariant());
                answer::playlist(&text, Lifetime::Finished, headers)
            }
            _ => answer::playlist(&playlists.media, Lifetime::Finished, headers),
        })
    }

    fn place(&self) -> Result<SemaphorePermit<'_>> {
        self.places.try_acquire().map_err(|_| {
            metrics::counter!("video_ingest_waiting_refused_total").increment(1);
            Error::TooManyWaiting
        })
    }
}

fn no_playlist(name: &LiveStreamName) -> Error {
    Error::not_found("PLAYLIST_NOT_FOUND", name)
}

fn not_there(name: &LiveStreamName, asked: Asked<'_>) -> Error {
    Error::not_found("MEDIA_NOT_FOUND", format!("{name}/{}", asked.file))
}

fn not_answered(missing: Missing, name: &LiveStreamName, asked: Asked<'_>) -> Error {
    match missing {
        Missing::NotThere => not_there(name, asked),
        Missing::NotInTime => Error::NotInTime,
        Missing::Refused(reason) => Error::PlaylistRequest(reason),
    }
}
