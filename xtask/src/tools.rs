//! The programs that the project needs on the machine, and how a Debian user installs the ones that are missing.

use std::process::{Command, Stdio};

use anyhow::{Result, bail};

/// A program that must be on the PATH.
pub(crate) struct Tool {
    name: &'static str,
    /// Any of these will do.
    programs: &'static [&'static str],
    what_for: &'static str,
    install: &'static str,
}

pub(crate) const CC: Tool = Tool {
    name: "a C compiler",
    programs: &["cc", "gcc", "clang"],
    what_for: "SQLite is compiled from its C source",
    install: "sudo apt-get install -y gcc libc6-dev",
};
pub(crate) const CXX: Tool = Tool {
    name: "a C++ compiler, make and zlib",
    programs: &["c++", "g++", "clang++"],
    what_for: "the Kafka client is compiled from its source",
    install: "sudo apt-get install -y g++ make perl zlib1g-dev",
};
pub(crate) const OPENSSL: Tool = Tool {
    name: "openssl",
    programs: &["openssl"],
    what_for: "the gateway's own certificate is made with it",
    install: "sudo apt-get install -y openssl",
};
pub(crate) const NGINX_STREAM: Tool = Tool {
    name: "nginx with its stream module",
    programs: &["nginx", "/usr/sbin/nginx"],
    what_for: "it is the gateway in front of the services",
    install: "sudo apt-get install -y nginx libnginx-mod-stream",
};
pub(crate) const NODE: Tool = Tool {
    name: "Node.js 20 or newer",
    programs: &["node"],
    what_for: "the pages are built with Vite",
    install: "sudo apt-get install -y nodejs npm   # Debian 13; on Debian 12 take Node 20 or newer from nodejs.org",
};
pub(crate) const NPM: Tool = Tool {
    name: "npm",
    programs: &["npm"],
    what_for: "the pages' packages come from the npm registry",
    install: "sudo apt-get install -y npm",
};
pub(crate) const FFMPEG: Tool = Tool {
    name: "ffmpeg",
    programs: &["ffmpeg"],
    what_for: "the tests publish and play with it",
    install: "sudo apt-get install -y ffmpeg",
};
pub(crate) const CHROMIUM: Tool = Tool {
    name: "Chromium",
    programs: &["chromium", "chromium-browser", "google-chrome"],
    what_for: "the tests open the pages in it",
    install: "sudo apt-get install -y chromium",
};

pub(crate) const CURL: Tool = Tool {
    name: "curl",
    programs: &["curl"],
    what_for: "the tests ask over HTTP with it",
    install: "sudo apt-get install -y curl",
};
pub(crate) const NGINX: Tool = Tool {
    name: "nginx with its RTMP module",
    programs: &["nginx", "/usr/sbin/nginx"],
    what_for: "the tests publish to another RTMP server and play from it",
    install: "sudo apt-get install -y nginx libnginx-mod-rtmp",
};

/// Fails with one list of all that is missing.
pub(crate) fn require(tools: &[&Tool]) -> Result<()> {
    let mut missing = Vec::new();
    for tool in tools {
        let present = tool.programs.iter().any(|program| runs(program));
        if !present {
            missing.push(format!(
                "  {} ({}):\n      {}",
                tool.name, tool.what_for, tool.install
            ));
        }
    }
    if tools.iter().any(|tool| tool.name == NODE.name) && missing.is_empty() {
        node_is_new_enough()?;
    }
    if missing.is_empty() {
        return Ok(());
    }
    bail!("not found on this machine:\n{}", missing.join("\n"))
}

fn runs(program: &str) -> bool {
    let version = match program {
        "ffmpeg" => "-version",
        program if program.ends_with("nginx") => "-v",
        "openssl" => "version",
        _ => "--version",
    };
    Command::new(program)
        .arg(version)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn node_is_new_enough() -> Result<()> {
    let output = Command::new("node").arg("--version").output()?;
    let version = String::from_utf8_lossy(&output.stdout);
    let major = version
        .trim()
        .trim_start_matches('v')
        .split('.')
        .next()
        .and_then(|major| major.parse::<u32>().ok());
    match major {
        Some(major) if major >= 20 => Ok(()),
        _ => bail!(
            "Node.js 20 or newer is needed, this is {}; {}",
            version.trim(),
            NODE.install
        ),
    }
}
