//! Playlists of streams that do not run, rendered once and served to all as the same bytes.

use marquee_hls::{Journal, Kind, LivePlaylist, MediaPlaylist, MultivariantPlaylist, Variant};

use super::window::{MEDIA_PLAYLIST, Text};

/// The two texts that a player reads.
#[derive(Debug)]
pub(crate) struct Playlists {
    variants: Vec<Variant>,
    /// The segments.
    pub(crate) media: Text,
}

impl Playlists {
    /// The playlists of a stream that is not running; `None` when there is nothing to play.
    pub(crate) fn of(journal: &Journal, kind: Kind) -> Option<Self> {
        let (media, bandwidth) = match kind {
            // With the media sequence numbers that players know from before the end.
            Kind::Live { window } => {
                let mut playlist = LivePlaylist::of(journal, window);
                playlist.end();
                (playlist.render(false, &[])?, playlist.bandwidth())
            }
            Kind::Event | Kind::Vod => {
                let mut playlist: MediaPlaylist = journal.playlist(kind);
                playlist.end();
                (playlist.render("")?, playlist.bandwidth())
            }
        };
        let variant = Variant {
            uri: MEDIA_PLAYLIST.to_owned(),
            init: journal.inits.last()?.clone(),
            bandwidth,
        };
        Some(Self {
            variants: vec![variant],
            media: Text::new(media),
        })
    }

    /// The multivariant playlist.
    pub(crate) fn multivariant(&self) -> String {
        let variants = self.variants.clone();
        MultivariantPlaylist { variants }.render()
    }
}
