//! The gate before the media: who is let through, and what they were sent.
//!
//! ```text
//!  /live/…, /recordings/…                 as they are, for streams that everybody may watch
//!  /play/{token}/live/…, /recordings/…    the same with a token; playlists name their files relative to themselves, so that
//!                                         they are the same bytes for all and never repeat it
//!  /playback/authorise                    the answer alone, for a proxy that asks before its cache (X-Original-URI)
//! ```

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::body::HttpBody as _;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get};
use marquee_proto::name::LiveStreamName;
use tower::ServiceExt as _;

use super::{flv, problem};
use crate::domain::LiveStream;
use crate::error::{Error, Result};
use crate::hub::Hub;
use crate::playback::{Grant, PlayRequest, Playback, Visitor};

/// The path that a proxy asks about.
const ORIGINAL_URI: &str = "x-original-uri";

struct Gate {
    playback: Playback,
    hub: Hub,
}

/// The token of a path that began with `/play/`.
#[derive(Clone)]
struct Token(Arc<str>);

/// Puts the gate before the routes of the media.
pub(crate) fn guarded(media: Router, playback: Playback, hub: Hub) -> Router {
    let gate = Arc::new(Gate { playback, hub });
    let media = media.layer(middleware::from_fn_with_state(gate.clone(), pass));
    let inner = media.clone();
    let play = move |request: Request| {
        let inner = inner.clone();
        async move { with_token(inner, request).await }
    };
    let ask = Router::new()
        .route("/playback/authorise", get(ask))
        .with_state(gate);
    Router::new()
        .route("/play/{token}/{*rest}", any(play))
        .merge(ask)
        .merge(media)
}

/// Takes the token out of the path and goes on as if it had not been there.
async fn with_token(inner: Router, request: Request) -> Response {
    let Some((token, uri)) = split(request.uri()) else {
        return problem(&Error::not_found("PATH_NOT_FOUND", "this path"));
    };
    let (mut parts, body) = request.into_parts();
    // What the outer route found in the path would be taken for what the inner one finds.
    let mut outer = std::mem::take(&mut parts.extensions);
    if let Some(client) = outer.remove::<ConnectInfo<SocketAddr>>() {
        parts.extensions.insert(client);
    }
    parts.extensions.insert(Token(token.into()));
    parts.uri = uri;
    match inner.oneshot(Request::from_parts(parts, body)).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// `/play/{token}/live/…` as the token and `/live/…`.
fn split(uri: &Uri) -> Option<(String, Uri)> {
    let rest = uri.path_and_query()?.as_str().strip_prefix("/play/")?;
    let (token, path) = rest.split_at(rest.find('/')?);
    let is_media = path.starts_with("/live/") || path.starts_with("/recordings/");
    let uri = is_media.then(|| path.parse::<Uri>().ok()).flatten()?;
    Some((token.to_owned(), uri))
}

async fn pass(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    let token = request.extensions().get::<Token>().cloned();
    let token = token.as_ref().map(|token| &*token.0);
    let visitor = Visiting::of(&request);
    let path = request.uri().path().to_owned();
    match gate.judge(&path, token, &visitor).await {
        Ok(Some(grant)) => {
            let response = next.run(request).await;
            grant.sent(response.body().size_hint().exact().unwrap_or(0));
            response
        }
        // There is no such stream: the routes say so in their own words.
        Ok(None) => next.run(request).await,
        Err(error) => problem(&error),
    }
}

async fn ask(State(gate): State<Arc<Gate>>, request: Request) -> Response {
    let original = request
        .headers()
        .get(ORIGINAL_URI)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse::<Uri>().ok());
    let visitor = Visiting::of(&request);
    drop(request);
    let judged = match &original {
        None => Ok(None),
        Some(uri) => match split(uri) {
            Some((token, uri)) => gate.judge(uri.path(), Some(&token), &visitor).await,
            None => gate.judge(uri.path(), None, &visitor).await,
        },
    };
    match judged {
        Ok(Some(_)) => (StatusCode::NO_CONTENT, [(header::CACHE_CONTROL, "no-store")]).into_response(),
        Ok(None) => problem(&Error::not_found("PLAYLIST_NOT_FOUND", "the stream of this path")),
        Err(error) => problem(&error),
    }
}

impl Gate {
    /// None when the path leads to no stream.
    async fn judge(&self, path: &str, token: Option<&str>, visitor: &Visiting) -> Result<Option<Grant>> {
        let Some(stream) = self.stream(path) else {
            return Ok(None);
        };
        if self.hub.find(&stream).is_none() {
            let stored = self.playback.store.get::<LiveStream>(&stream.live_stream).await?;
            if stored.is_none_or(|stored| stored.value.channel != stream.channel) {
                return Ok(None);
            }
        }
        let play = PlayRequest {
            stream: &stream,
            token,
            visitor: Visitor {
                address: visitor.address,
                player: &visitor.player,
            },
        };
        self.playback.authorise(&play).await.map(Some)
    }

    /// The stream that a path of the media is about.
    fn stream(&self, path: &str) -> Option<LiveStreamName> {
        let mut segments = path.strip_prefix('/')?.split('/');
        let kind = segments.next()?;
        let (channel, stream) = (segments.next()?, segments.next()?);
        match (kind, segments.next()) {
            ("live", None) if stream == "index.m3u8" => self
                .hub
                .current(channel)
                .map(|broadcast| broadcast.name().clone()),
            ("live", None) => match flv::stream(stream)? {
                Some(stream) => LiveStreamName::new(channel, stream).ok(),
                None => self
                    .hub
                    .current(channel)
                    .map(|broadcast| broadcast.name().clone()),
            },
            ("live" | "recordings", Some(_)) => LiveStreamName::new(channel, stream).ok(),
            _ => None,
        }
    }
}

/// Who sent a request, what its player calls itself, and the token of its path.
pub(super) fn visiting(request: &Request) -> (IpAddr, String, Option<Arc<str>>) {
    let token = request.extensions().get::<Token>();
    let token = token.map(|token| token.0.clone());
    let visiting = Visiting::of(request);
    (visiting.address, visiting.player, token)
}

/// Who sent a request.
struct Visiting {
    address: IpAddr,
    player: String,
}

impl Visiting {
    fn of(request: &Request) -> Self {
        let address = request
            .extensions()
            .get::<ConnectInfo<SocketAddr>>()
            .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |info| info.0.ip());
        let player = request.headers().get(header::USER_AGENT);
        Self {
            address: address.to_canonical(),
            player: player
                .and_then(|player| player.to_str().ok())
                .unwrap_or_default()
                .to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_taken_out_of_the_path_and_the_query_is_kept() {
        let uri = "/play/t0k-en/live/c/s/media.m3u8?_HLS_msn=3&_HLS_part=1"
            .parse()
            .unwrap();
        let (token, uri) = split(&uri).unwrap();
        assert_eq!(token, "t0k-en");
        assert_eq!(uri, "/live/c/s/media.m3u8?_HLS_msn=3&_HLS_part=1");
        for other in [
            "/play/t",
            "/play/t/",
            "/play/t/v1/accounts",
            "/live/c/s/media.m3u8",
            "/play/t/play/u/live/c/x",
        ] {
            assert!(split(&other.parse().unwrap()).is_none(), "{other}");
        }
    }
}
