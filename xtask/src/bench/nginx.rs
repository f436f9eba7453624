//! nginx with nginx-rtmp and its HLS: what live video is compared with.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Result, bail};

use super::process::Running;

const MODULE: &str = "/usr/lib/nginx/modules/ngx_rtmp_module.so";
const START: Duration = Duration::from_secs(10);

/// A running nginx with one worker.
pub(super) struct Nginx {
    pub(super) server: Running,
    pub(super) rtmp: String,
    /// Where its playlists are.
    pub(super) hls: PathBuf,
}

/// Fails when it is not installed.
pub(super) fn require() -> Result<()> {
    let runs = Command::new("nginx")
        .arg("-v")
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !runs || !Path::new(MODULE).exists() {
        bail!(
            "nginx with its RTMP module is not on this machine:\n  sudo apt-get install -y nginx libnginx-mod-rtmp"
        );
    }
    Ok(())
}

impl Nginx {
    pub(super) fn start(folder: &Path) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let hls = folder.join("hls");
        std::fs::create_dir_all(&hls)?;
        let user = String::from_utf8(Command::new("id").arg("-un").output()?.stdout)?;
        let config = config(port, user.trim(), folder);
        let file = folder.join("nginx.conf");
        std::fs::write(&file, config)?;
        let mut command = Command::new("nginx");
        command
            .arg("-p")
            .arg(folder)
            .arg("-c")
            .arg(&file)
            .args(["-e", "stderr"]);
        let mut server = Running::start(&mut command, folder.join("nginx.log"))?;
        let address = format!("127.0.0.1:{port}");
        server.wait_for("open port", START, || {
            Ok(std::net::TcpStream::connect(&address).ok())
        })?;
        Ok(Self {
            server,
            rtmp: format!("rtmp://{address}/live"),
            hls,
        })
    }
}

/// How many streams have a playlist.
pub(super) fn playlists(hls: &Path) -> Result<usize> {
    let entries = std::fs::read_dir(hls)?.flatten();
    Ok(entries
        .filter(|entry| {
            entry
                .path()
                .extension()
                .is_some_and(|extension| extension == "m3u8")
        })
        .count())
}

/// Fragments of 2 s as Marquee cuts them; the rest as nginx-rtmp's documentation has it.
fn config(port: u16, user: &str, folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "load_module {MODULE};
user {user};
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 1024; }}
rtmp {{
    access_log off;
    server {{
        listen 127.0.0.1:{port};
        chunk_size 4096;
        application live {{
            live on;
            hls on;
            hls_path {folder}/hls;
            hls_fragment 2s;
            hls_playlist_length 12s;
        }}
    }}
}}
"
    )
}
