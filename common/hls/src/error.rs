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
    /// The HEVC decoder configuration record or its parameter sets cannot be read (ISO/IEC 14496-15 8.3.2.1).
    #[error("malformed hevc configuration: {0}")]
    MalformedHevc(&'static str),
    /// The AV1 codec configuration record or its sequence header cannot be read (AV1 ISOBMFF 2.3).
    #[error("malformed av1 configuration: {0}")]
    MalformedAv1(&'static str),
    /// The VP codec configuration record cannot be read (VP ISOBMFF).
    #[error("malformed vp9 configuration: {0}")]
    MalformedVp9(&'static str),
    /// The Opus identification header cannot be read (RFC 7845 5.1).
    #[error("malformed opus configuration: {0}")]
    MalformedOpus(&'static str),
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
