//! NGINX with the configuration of deploy/nginx, filled in for this machine.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::{Error, Process, ports};

/// What the templates are filled with, by the names of their variables without `MARQUEE_`.
pub(crate) type Variables = BTreeMap<&'static str, String>;

/// Debian's place for modules that are not compiled in.
const STREAM_MODULE: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";
const INSTALL: &str = "sudo apt-get install -y nginx libnginx-mod-stream";

/// Where clients reach the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gateway {
    /// Pages, HLS, REST, grpc-web.
    pub http: u16,
    /// gRPC in clear text.
    pub grpc: u16,
    /// Everything, over TLS.
    pub https: u16,
    /// RTMP.
    pub rtmp: u16,
    /// RTMP over TLS.
    pub rtmps: u16,
}

impl Gateway {
    /// All of them, with what they are for.
    pub(crate) fn ports(self) -> [(u16, &'static str); 5] {
        [
            (self.http, "HTTP"),
            (self.grpc, "gRPC"),
            (self.https, "HTTPS"),
            (self.rtmp, "RTMP"),
            (self.rtmps, "RTMPS"),
        ]
    }

    /// Free ports.
    ///
    /// # Errors
    /// When there are none.
    pub fn on_free_ports() -> Result<Self, Error> {
        let [http, grpc, https, rtmp, rtmps] = ports::free()?;
        Ok(Self {
            http,
            grpc,
            https,
            rtmp,
            rtmps,
        })
    }
}

/// Renders the configuration into `folder` and makes the process, not yet started.
pub(crate) fn prepare(
    sources: &Path,
    folder: &Path,
    gateway: Gateway,
    variables: &Variables,
) -> Result<Process, Error> {
    for part in ["conf.d", "stream-conf.d", "cache", "temp"] {
        let path = folder.join(part);
        fs::create_dir_all(&path).map_err(Error::io(&path))?;
    }
    for templates in ["templates", "tls"] {
        render_folder(&sources.join(templates), folder, variables)?;
    }
    let temp = folder.join("temp");
    let folders: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|name| format!("{name}_temp_path {}/{name};\n", temp.display()))
        .collect();
    write(&folder.join("conf.d/folders.inc"), &folders)?;
    let mime = Path::new("/etc/nginx/mime.types");
    let types = fs::read_to_string(mime).map_err(|source| Error::Program {
        program: mime.display().to_string(),
        source,
        install: INSTALL.to_owned(),
    })?;
    write(&folder.join("mime.types"), &types)?;

    let main = sources.join("nginx.conf");
    let main = fs::read_to_string(&main).map_err(Error::io(&main))?;
    let mut configuration = format!("daemon off;\npid {}/pid;\n", folder.display());
    if Path::new(STREAM_MODULE).exists() {
        configuration.push_str(&format!("load_module {STREAM_MODULE};\n"));
    }
    if rustix::process::geteuid().is_root() {
        // The workers read pages and a cache that lie in the caller's folders.
        configuration.push_str("user root;\n");
    }
    let main = main.replace("worker_processes auto;", "worker_processes 2;");
    // Only root may raise it, and not everywhere.
    configuration.push_str(&main.replace("worker_rlimit_nofile 65536;\n", ""));
    let file = folder.join("nginx.conf");
    write(&file, &configuration)?;

    let program = program();
    check(&program, folder)?;
    let log = folder.join("nginx.log");
    Ok(
        Process::new("nginx", program, log, ports::local(gateway.http), "/healthz")
            .arguments(arguments(folder))
            .stops_on(Signal::TERM),
    )
}

fn arguments(folder: &Path) -> [PathBuf; 6] {
    [
        "-e".into(),
        "stderr".into(),
        "-p".into(),
        folder.into(),
        "-c".into(),
        folder.join("nginx.conf"),
    ]
}

fn program() -> PathBuf {
    let usual = Path::new("/usr/sbin/nginx");
    if usual.exists() {
        usual.into()
    } else {
        "nginx".into()
    }
}

/// What NGINX itself says of the configuration.
fn check(program: &Path, folder: &Path) -> Result<(), Error> {
    let output = Command::new(program)
        .args(arguments(folder))
        .arg("-t")
        .stdin(Stdio::null())
        .output()
        .map_err(|source| Error::Program {
            program: program.display().to_string(),
            source,
            install: INSTALL.to_owned(),
        })?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::Gateway(
        String::from_utf8_lossy(&output.stderr).into_owned(),
    ))
}

/// `x.template` becomes `conf.d/x`, `x.stream-template` becomes `stream-conf.d/x`, as the official image does it.
fn render_folder(templates: &Path, folder: &Path, variables: &Variables) -> Result<(), Error> {
    let entries = fs::read_dir(templates).map_err(Error::io(templates))?;
    for entry in entries {
        let path = entry.map_err(Error::io(templates))?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let target = if let Some(name) = name.strip_suffix(".template") {
            folder.join("conf.d").join(name)
        } else if let Some(name) = name.strip_suffix(".stream-template") {
            folder.join("stream-conf.d").join(name)
        } else {
            continue;
        };
        let text = fs::read_to_string(&path).map_err(Error::io(&path))?;
        let text = render(&text, variables).map_err(|missing| {
            Error::Gateway(format!(
                "{}: there is no value for ${{MARQUEE_{missing}}}",
                path.display()
            ))
        })?;
        write(&target, &text)?;
    }
    Ok(())
}

/// Replaces `${MARQUEE_NAME}`; the name of a variable that has no value is the error.
fn render(text: &str, variables: &Variables) -> Result<String, String> {
    const OPEN: &str = "${MARQUEE_";
    let mut rendered = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(OPEN) {
        rendered.push_str(&rest[..at]);
        let after = &rest[at + OPEN.len()..];
        let (name, end) = after.split_once('}').unwrap_or((after, ""));
        let value = variables.get(name).ok_or_else(|| name.to_owned())?;
        rendered.push_str(value);
        rest = end;
    }
    rendered.push_str(rest);
    Ok(rendered)
}

/// A certificate for localhost that signs itself, made once.
pub(crate) fn certificate(folder: &Path) -> Result<(PathBuf, PathBuf), Error> {
    let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
    if certificate.is_file() && key.is_file() {
        return Ok((certificate, key));
    }
    let install = "sudo apt-get install -y openssl";
    let output = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
        ])
        .args(["-days", "365", "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .stdin(Stdio::null())
        .output()
        .map_err(|source| Error::Program {
            program: "openssl".to_owned(),
            source,
            install: install.to_owned(),
        })?;
    if output.status.success() {
        return Ok((certificate, key));
    }
    Err(Error::Gateway(format!(
        "openssl cannot make a certificate: {}",
        String::from_utf8_lossy(&output.stderr)
    )))
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    fs::write(path, text).map_err(Error::io(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_filled_in_and_those_of_nginx_stay() {
        let variables = Variables::from([("HTTP", "8080".to_owned())]);
        assert_eq!(
            render("listen ${MARQUEE_HTTP}; return 200 $uri;", &variables),
            Ok("listen 8080; return 200 $uri;".to_owned())
        );
    }

    #[test]
    fn a_variable_without_a_value_is_named() {
        assert_eq!(
            render("listen ${MARQUEE_HTPT};", &Variables::new()),
            Err("HTPT".to_owned())
        );
    }
}
