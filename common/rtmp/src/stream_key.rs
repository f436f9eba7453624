//! The secret that lets somebody publish.

use std::fmt;

/// A stream key (or a whole publishing name that may hold one). `Debug` never shows it and there is no `Display`; who
/// needs the text says so with [`expose`](Self::expose).
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct StreamKey(String);

impl StreamKey {
    /// Wraps a secret.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether the peer gave none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() {
            "StreamKey(empty)"
        } else {
            "StreamKey(redacted)"
        })
    }
}

/// Finds the key where encoders put it, in this order: `?key=` (or `streamkey=`) of the publishing name, the name's path,
/// `?key=` of the app, the rest of the app's path (an encoder that was given the whole address as its "server").
pub(crate) fn locate(app: &str, name: &str) -> StreamKey {
    let (path, query) = split_query(name);
    let (app_path, app_query) = split_query(app);
    let rest = app_path.trim_matches('/').split_once('/').map(|(_, rest)| rest);
    let found = query_key(query)
        .or(Some(path.trim_matches('/')).filter(|path| !path.is_empty()))
        .or_else(|| query_key(app_query))
        .or(rest)
        .unwrap_or_default();
    StreamKey::new(found)
}

/// What a player asks for: the path after the application's first segment, and the query. Clients that are given one address
/// cut it at different slashes.
pub(crate) fn locate_path(app: &str, name: &str) -> StreamKey {
    let (app_path, app_query) = split_query(app);
    let (name_path, name_query) = split_query(name);
    let rest = app_path.trim_matches('/').split_once('/');
    let segments = [rest.map_or("", |(_, rest)| rest), name_path.trim_matches('/')];
    let mut path = segments
        .into_iter()
        .filter(|segment| !segment.is_empty())
        .collect::<Vec<_>>()
        .join("/");
    let query = if name_query.is_empty() {
        app_query
    } else {
        name_query
    };
    if !query.is_empty() {
        path.push('?');
        path.push_str(query);
    }
    StreamKey::new(path)
}

/// The application without query and without what follows its first segment, both of which may hold a key.
pub(crate) fn public_app(app: &str) -> &str {
    let path = split_query(app).0.trim_matches('/');
    path.split('/').next().unwrap_or_default()
}

/// `tcUrl` cut down to what is safe to log: scheme, authority without credentials, first path segment.
pub(crate) fn public_url(url: &str) -> String {
    let (url, _) = split_query(url);
    let Some((scheme, rest)) = url.split_once("://") else {
        return String::new();
    };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}/{}", public_app(path))
}

fn split_query(text: &str) -> (&str, &str) {
    text.split_once('?').unwrap_or((text, ""))
}

fn query_key(query: &str) -> Option<&str> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(name, value)| matches!(*name, "key" | "streamkey" | "stream_key") && !value.is_empty())
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_never_shows_the_key() {
        assert_eq!(format!("{:?}", StreamKey::new("hunter2")), "StreamKey(redacted)");
    }

    #[test]
    fn the_key_is_found_where_encoders_put_it() {
        for (app, name) in [
            ("live", "k1"),
            ("live", "/k1"),
            ("live", "show?key=k1"),
            ("live", "show?a=b&streamkey=k1"),
            ("live?key=k1", ""),
            ("live/k1", ""),
            ("live", "k1?bandwidthtest=true"),
        ] {
            assert_eq!(locate(app, name).expose(), "k1", "app {app} name {name}");
        }
        assert!(locate("live", "").is_empty());
    }

    #[test]
    fn what_is_played_is_the_same_wherever_the_address_is_cut() {
        for (app, name, path) in [
            ("live", "c", "c"),
            ("live/c", "", "c"),
            ("live", "c/s?token=t", "c/s?token=t"),
            ("live/c", "s?token=t", "c/s?token=t"),
            ("/live/c/", "/s/", "c/s"),
            ("live?token=t", "c", "c?token=t"),
            ("live", "", ""),
        ] {
            assert_eq!(locate_path(app, name).expose(), path, "app {app} name {name}");
        }
    }

    #[test]
    fn what_may_be_logged_holds_no_key() {
        assert_eq!(public_app("live/k1?key=k2"), "live");
        assert_eq!(
            public_url("rtmp://u:k3@host:1935/live/k1?key=k2"),
            "rtmp://host:1935/live"
        );
        assert_eq!(public_url("k1"), "");
    }
}
