//! An NGINX of a test's own, in front of the services of the shared fleet.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, Result};
use marquee_fleet::{Front, Gateway, Kind, Limits, Process};
use marquee_testkit::Ready;
use serde_json::Value;
use std::time::Duration;
use tempfile::TempDir;

const READY: Duration = Duration::from_secs(60);

/// It is killed when dropped.
pub(crate) struct Own {
    pub(crate) gateway: Gateway,
    pub(crate) nginx: Process,
    folder: TempDir,
}

impl Own {
    /// With production's limits, unless `change` wants something else.
    pub(crate) fn start(place: &Ready, change: impl FnOnce(&mut Front)) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let pages = folder.path().join("pages");
        std::fs::create_dir(&pages)?;
        std::fs::write(pages.join("index.html"), "<title>Marquee</title>")?;
        let gateway = Gateway::on_free_ports()?;
        let mut front = Front {
            folder: folder.path().join("nginx"),
            nginx: Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/nginx"),
            pages,
            gateway,
            services: services(place)?,
            rtmp: vec![setting(place, Kind::VideoIngest, "RTMP_LISTEN")?.parse()?],
            trusted_proxies: "127.0.0.1/32".to_owned(),
            limits: Limits::PUBLIC,
        };
        change(&mut front);
        let mut nginx = front.prepare()?;
        nginx.start()?;
        nginx.wait_ready(READY)?;
        Ok(Self {
            gateway,
            nginx,
            folder,
        })
    }

    /// Where it answers REST, HLS and pages.
    pub(crate) fn http(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.gateway.http)
    }

    /// All that it has written: its error log and its access log.
    pub(crate) fn logs(&self) -> Result<(String, String)> {
        let access = self.folder.path().join("nginx/access.log");
        Ok((
            std::fs::read_to_string(self.nginx.log())?,
            std::fs::read_to_string(access)?,
        ))
    }
}

fn services(place: &Ready) -> Result<BTreeMap<Kind, SocketAddr>> {
    let address = |kind: Kind| -> Result<_> {
        let url = place.services.get(kind.name()).context("no such service")?;
        Ok((kind, url.trim_start_matches("http://").parse()?))
    };
    Kind::ALL.into_iter().map(address).collect()
}

/// What a service of the fleet was told, by the name of the variable without `MARQUEE_`.
pub(crate) fn setting(place: &Ready, kind: Kind, name: &str) -> Result<String> {
    settings(place, kind)?
        .remove(&format!("MARQUEE_{name}"))
        .with_context(|| format!("{} was not told {name}", kind.name()))
}

/// All of it.
pub(crate) fn settings(place: &Ready, kind: Kind) -> Result<BTreeMap<String, String>> {
    let places = std::fs::read(place.folder.join("places.json"))?;
    let mut places: Value = serde_json::from_slice(&places)?;
    Ok(serde_json::from_value(places["settings"][kind.name()].take())?)
}
