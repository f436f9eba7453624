//! A rendered playlist.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Write as _;
use std::sync::OnceLock;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

/// A text that never changes, compressed by the first who asks for it so.
#[derive(Debug)]
pub(crate) struct Text {
    plain: Bytes,
    gzip: OnceLock<Bytes>,
    tag: u64,
}

impl Text {
    pub(crate) fn new(text: String) -> Self {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        Self {
            plain: text.into(),
            gzip: OnceLock::new(),
            tag: hasher.finish(),
        }
    }

    pub(crate) fn plain(&self) -> Bytes {
        self.plain.clone()
    }

    pub(crate) fn gzip(&self) -> Bytes {
        let compress = || {
            let mut encoder = GzEncoder::new(Vec::with_capacity(self.plain.len() / 3), Compression::new(4));
            // Writing to a Vec cannot fail.
            let _ = encoder.write_all(&self.plain);
            encoder.finish().unwrap_or_default().into()
        };
        self.gzip.get_or_init(compress).clone()
    }

    /// A strong entity tag; each encoding has its own (RFC 9110 8.8.3.3).
    pub(crate) fn etag(&self, gzip: bool) -> String {
        let encoding = if gzip { "-gzip" } else { "" };
        format!("\"{:016x}{encoding}\"", self.tag)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn both_forms_say_the_same_and_have_tags_of_their_own() {
        let text = Text::new("#EXTM3U\n".repeat(100));
        let mut unpacked = String::new();
        let packed = text.gzip();
        flate2::read::GzDecoder::new(&packed[..])
            .read_to_string(&mut unpacked)
            .unwrap();
        assert_eq!(unpacked.as_bytes(), &text.plain()[..]);
        assert!(packed.len() < 100);
        assert_ne!(text.etag(true), text.etag(false));
        assert_ne!(text.etag(true), Text::new(String::new()).etag(true));
        assert_eq!(packed.as_ptr(), text.gzip().as_ptr(), "compressed once");
    }
}
