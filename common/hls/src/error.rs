//! Everything this crate refuses.

/// Why a stream or a journal cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The AVC decoder configuration record or its sequence parameter set cannot be read (ISO/IEC 14496-15 5.3.3.1).
    #[error("malformed avc configuration: {0}")]
    MalformedAvc(&'static str),
    /// The AAC AudioSpecificConfig cannot be read (ISO/IEC 14496-3 1.6.2.1).
    #[error("malformed aac configuration: {0}")]
    MalformedAac(&'static str),
    /// No keyframe came within the limit: the stream cannot be segmented. The publisher should be told and disconnected.
    #[error("no keyframe for {seconds} s: set the encoder's keyframe interval to 2 s")]
    KeyframeInterval {
        /// The configured limit.
        seconds: u32,
    },
    /// An initialization segment could not be written.
    #[error("cannot write the initialization segment: {0}")]
    Container(String),
    /// A journal line that is not the torn last one cannot be read.
    #[error("journal line {line}: {reason}")]
    Journal {
        /// One-based.
        line: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
}
