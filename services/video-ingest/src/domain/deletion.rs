//! Media that still have to be deleted.

use jiff::Timestamp;
use marquee_documents::{Document, Index};
use marquee_proto::name::LiveStreamName;
use serde::{Deserialize, Serialize};

/// Written together with the deletion of a recording, and removed when nothing is left of its media, so that neither a
/// killed process nor an object store that is away leaves any behind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Deletion {
    id: String,
    channel: String,
    #[serde(with = "marquee_documents::sortable_time")]
    time: Timestamp,
}

impl Deletion {
    pub(crate) fn of(stream: &LiveStreamName, now: Timestamp) -> Self {
        Self {
            id: stream.live_stream.clone(),
            channel: stream.channel.clone(),
            time: now,
        }
    }

    /// The stream whose media go.
    pub(crate) fn stream(&self) -> LiveStreamName {
        LiveStreamName {
            channel: self.channel.clone(),
            live_stream: self.id.clone(),
        }
    }
}

impl Document for Deletion {
    const COLLECTION: &'static str = "deletions";
    const INDEXES: &'static [Index] = &[Index {
        name: "by_time",
        fields: &["time"],
        unique: false,
    }];

    fn id(&self) -> &str {
        &self.id
    }
}
