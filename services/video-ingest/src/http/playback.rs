//! The routes.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use marquee_error::{ErrorExt as _, Problem};
use marquee_proto::name::LiveStreamName;

use super::stored;
use crate::archive::{Archive, Extent};
use crate::broadcast::Playlists;
use crate::error::{Error, Result};
use crate::hub::Hub;

const PLAYLIST: &str = "application/vnd.apple.mpegurl";

struct Playback {
    hub: Hub,
    archive: Archive,
}

type Shared = Arc<Playback>;

/// The routes of live streams and recordings.
pub(crate) fn router(hub: Hub, archive: Archive) -> Router {
    let playback = Playback { hub, archive };
    Router::new()
        .route("/live/{channel}/index.m3u8", get(current))
        .route("/live/{channel}/{stream}/{file}", get(live))
        .route("/recordings/{channel}/{stream}/{file}", get(recording))
        .with_state(Arc::new(playback))
}

async fn current(State(playback): State<Shared>, Path(channel): Path<String>) -> Response {
    let found = playback.hub.current(&channel).and_then(|broadcast| {
        let playlists = broadcast.playlists()?;
        Some(playlists.multivariant(&format!("{}/", broadcast.name().live_stream)))
    });
    match found {
        Some(playlist) => playlist_response(playlist.into(), Lifetime::Moving),
        None => problem(&Error::not_found(
            "NOT_LIVE",
            format!("channels/{channel} (nothing is on the air)"),
        )),
    }
}

async fn live(
    State(playback): State<Shared>,
    Path((channel, stream, file)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Response {
    answer(playback.serve(channel, stream, &file, &headers, false).await)
}

async fn recording(
    State(playback): State<Shared>,
    Path((channel, stream, file)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Response {
    answer(playback.serve(channel, stream, &file, &headers, true).await)
}

fn answer(result: Result<Response>) -> Response {
    result.unwrap_or_else(|error| problem(&error))
}

impl Playback {
    async fn serve(
        &self,
        channel: String,
        stream: String,
        file: &str,
        headers: &HeaderMap,
        recording: bool,
    ) -> Result<Response> {
        let name =
            LiveStreamName::new(channel, stream).map_err(|error| Error::not_found("NOT_FOUND", error))?;
        match file {
            "index.m3u8" | "media.m3u8" => {
                let (playlists, lifetime) = self.playlists(&name, recording).await?;
                let text = if file == "index.m3u8" {
                    playlists.multivariant("").into()
                } else {
                    playlists.media.clone()
                };
                Ok(playlist_response(text, lifetime))
            }
            media => stored::media(&self.archive, &name, media, headers).await,
        }
    }

    async fn playlists(&self, name: &LiveStreamName, recording: bool) -> Result<(Arc<Playlists>, Lifetime)> {
        let running = self.hub.find(name);
        if !recording && let Some(playlists) = running.as_ref().and_then(|broadcast| broadcast.playlists()) {
            return Ok((playlists, Lifetime::Moving));
        }
        let missing = || Error::not_found("PLAYLIST_NOT_FOUND", name);
        // A recording exists once its stream is over.
        if running.is_some() {
            return Err(missing());
        }
        let extent = if recording { Extent::Whole } else { Extent::Window };
        let playlists = self.archive.playlists(name, extent).await?.ok_or_else(missing)?;
        Ok((playlists, Lifetime::Finished))
    }
}

/// How long a playlist stays as it is.
#[derive(Clone, Copy)]
enum Lifetime {
    /// It grows.
    Moving,
    /// It does not change, but its recording may be deleted.
    Finished,
}

fn playlist_response(text: Bytes, lifetime: Lifetime) -> Response {
    let cache = match lifetime {
        Lifetime::Moving => "no-cache",
        Lifetime::Finished => "public, max-age=60",
    };
    respond(text, PLAYLIST, cache)
}

fn respond(body: Bytes, content_type: &'static str, cache: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (header::CACHE_CONTROL, HeaderValue::from_static(cache)),
    ];
    (headers, Body::from(body)).into_response()
}

fn problem(error: &Error) -> Response {
    let (status, problem) = Problem::from_status(&error.to_status());
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    let status = StatusCode::from_u16(status.as_u16()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, headers, body).into_response()
}
