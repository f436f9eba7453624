//! Addresses of RTMP servers.

use std::str::FromStr;

use crate::{Error, Result, StreamKey};

/// `rtmp[s]://host[:port]/app/key[?query]`, as encoders are given it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// Whether TLS is to be used (`rtmps`).
    pub tls: bool,
    /// Name or address; an IPv6 address without its brackets.
    pub host: String,
    /// 1935, or 443 with TLS, when the address names none.
    pub port: u16,
    /// The first segment of the path.
    pub app: String,
    /// All that follows, query included: the publishing name, which is or holds the key.
    pub name: StreamKey,
}

impl Url {
    /// `tcUrl` as a client sends it: the address without the publishing name.
    pub(crate) fn tc_url(&self) -> String {
        let scheme = if self.tls { "rtmps" } else { "rtmp" };
        let bracketed = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        format!("{scheme}://{bracketed}:{}/{}", self.port, self.app)
    }
}

impl Url {
    /// Where a server that asks for a reconnect sends us: its `tcUrl`, which may leave out the scheme or the host (RFC 3986
    /// 4.2), under the same publishing name.
    ///
    /// # Errors
    /// [`Error::Url`] when it is no address.
    pub fn redirected(&self, tc_url: &str) -> Result<Self> {
        let scheme = if self.tls { "rtmps" } else { "rtmp" };
        let absolute = if tc_url.starts_with("//") {
            format!("{scheme}:{tc_url}")
        } else if tc_url.starts_with('/') {
            let authority = self.tc_url();
            let host = authority
                .strip_suffix(&format!("/{}", self.app))
                .unwrap_or(&authority);
            format!("{host}{tc_url}")
        } else {
            tc_url.to_owned()
        };
        let target: Self = absolute.trim_end_matches('/').parse()?;
        // An application of several segments would read as a name.
        if !target.name.is_empty() {
            return Err(Error::Url {
                why: "more than an application",
            });
        }
        Ok(Self {
            name: self.name.clone(),
            ..target
        })
    }
}

impl FromStr for Url {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = |why| Error::Url { why };
        let (scheme, rest) = text.split_once("://").ok_or_else(|| bad("no scheme"))?;
        let tls = match scheme {
            "rtmp" => false,
            "rtmps" => true,
            _ => return Err(bad("the scheme is neither rtmp nor rtmps")),
        };
        let (authority, path) = rest.split_once('/').ok_or_else(|| bad("no application"))?;
        let authority = authority.rsplit('@').next().unwrap_or_default();
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (host, after) = rest
                    .split_once(']')
                    .ok_or_else(|| bad("an unclosed bracket in the host"))?;
                (host, after.strip_prefix(':'))
            }
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        if host.is_empty() {
            return Err(bad("no host"));
        }
        let port = match port {
            Some(port) => port
                .parse()
                .map_err(|_| bad("the port is no number below 65536"))?,
            None if tls => 443,
            None => 1935,
        };
        let (app, name) = path.split_once('/').unwrap_or((path, ""));
        if app.is_empty() {
            return Err(bad("no application"));
        }
        Ok(Self {
            tls,
            host: host.into(),
            port,
            app: app.into(),
            name: StreamKey::new(name),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_an_address() {
        let url: Url = "rtmps://[::1]:4443/live/key?a=b".parse().unwrap();
        assert_eq!(
            (url.tls, url.host.as_str(), url.port, url.app.as_str()),
            (true, "::1", 4443, "live")
        );
        assert_eq!(url.name.expose(), "key?a=b");
        assert_eq!(url.tc_url(), "rtmps://[::1]:4443/live");
    }

    #[test]
    fn a_redirection_keeps_the_name_and_what_it_does_not_say() {
        let url: Url = "rtmps://old:4443/live/key".parse().unwrap();
        for (tc_url, expected) in [
            ("rtmp://new:1936/app", "rtmp://new:1936/app"),
            ("rtmp://new/app/", "rtmp://new:1935/app"),
            ("//new/app", "rtmps://new:443/app"),
            ("/app", "rtmps://old:4443/app"),
        ] {
            let target = url.redirected(tc_url).unwrap();
            assert_eq!(
                (target.tc_url().as_str(), target.name.expose()),
                (expected, "key")
            );
        }
        for tc_url in ["", "app", "http://new/app", "rtmp://new/app/other"] {
            assert!(url.redirected(tc_url).is_err(), "{tc_url}");
        }
    }

    #[test]
    fn the_port_has_a_default() {
        assert_eq!("rtmp://h/live/k".parse::<Url>().unwrap().port, 1935);
        assert_eq!("rtmps://h/live/k".parse::<Url>().unwrap().port, 443);
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "http://h/live/k",
            "rtmp://h",
            "rtmp:///live/k",
            "rtmp://h:99999/live/k",
            "rtmp://[::1/live/k",
        ] {
            assert!(text.parse::<Url>().is_err(), "{text}");
        }
    }
}
