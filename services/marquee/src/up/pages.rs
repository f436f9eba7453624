//! The built pages, served by the process itself.

use std::path::Path;

use anyhow::{Result, bail};
use axum::Router;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Redirect};
use axum::routing::get;
use marquee_server::{Face, Service};
use tokio_util::sync::CancellationToken;
use tower::ServiceBuilder;
use tower_http::services::{ServeDir, ServeFile};
use tower_http::set_header::SetResponseHeaderLayer;

/// Fails when the folder does not hold the built pages.
pub(crate) fn check(folder: &Path) -> Result<()> {
    if folder.join("index.html").is_file() {
        return Ok(());
    }
    bail!(
        "there is no index.html in {}; build the pages with `npm ci && npm run build` in web/",
        folder.display()
    )
}

/// The pages as a service; without a folder, the root leads to the API's description.
pub(crate) fn service(folder: Option<&Path>, shutdown: CancellationToken) -> Service {
    let face = Face::new("pages");
    let face = match folder {
        Some(folder) => face.fallback(router(folder)),
        None => face.http(Router::new().route(
            "/",
            get(async || Redirect::temporary("/openapi.json").into_response()),
        )),
    };
    Service::new(face, shutdown)
}

/// Files whose names hold a hash of their content may be kept for ever; everything else, and every path that the pages
/// route themselves, is asked for again.
fn router(folder: &Path) -> Router {
    let header =
        |value| SetResponseHeaderLayer::overriding(header::CACHE_CONTROL, HeaderValue::from_static(value));
    let assets = ServiceBuilder::new()
        .layer(header("public, max-age=31536000, immutable"))
        .service(ServeDir::new(folder.join("assets")));
    let pages = ServiceBuilder::new()
        .layer(header("no-cache"))
        .service(ServeDir::new(folder).fallback(ServeFile::new(folder.join("index.html"))));
    Router::new()
        .nest_service("/assets", assets)
        .fallback_service(pages)
}
