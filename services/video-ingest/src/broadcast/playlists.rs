//! Playlists, rendered once per change and served to all as the same bytes.

use bytes::Bytes;
use marquee_hls::{InitRecord, Journal, Kind, MediaPlaylist, MultivariantPlaylist, Variant};

/// The two texts that a player reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Playlists {
    /// The renditions; each names its media playlist with this prefix: empty, or a folder with its slash.
    variants: Vec<Variant>,
    /// The segments.
    pub(crate) media: Bytes,
}

impl Playlists {
    /// Renders both; `None` while there is nothing to play.
    pub(crate) fn render(init: Option<&InitRecord>, playlist: &MediaPlaylist) -> Option<Self> {
        let media = playlist.render("")?;
        let variant = Variant {
            uri: "media.m3u8".to_owned(),
            init: init?.clone(),
            bandwidth: playlist.bandwidth(),
        };
        Some(Self {
            variants: vec![variant],
            media: media.into(),
        })
    }

    /// The playlists of a stream that is not running.
    pub(crate) fn of(journal: &Journal, kind: Kind) -> Option<Self> {
        let mut playlist = journal.playlist(kind);
        playlist.end();
        Self::render(journal.inits.last(), &playlist)
    }

    /// The multivariant playlist, for a reader to whom the media playlist is in `folder` (empty, or with its slash).
    pub(crate) fn multivariant(&self, folder: &str) -> String {
        let variants = self
            .variants
            .iter()
            .map(|variant| Variant {
                uri: format!("{folder}{}", variant.uri),
                ..variant.clone()
            })
            .collect();
        MultivariantPlaylist { variants }.render()
    }
}
