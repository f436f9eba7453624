//! The client's side: publish to a server, or play from it. For `marquee publish`, forwarding and tests.

mod session;
#[cfg(test)]
mod tests;

use crate::Media;

pub use session::ClientSession;

/// Something happened on the connection.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The server takes our stream: media may be sent.
    PublishStarted,
    /// Media will come.
    PlayStarted,
    /// The server said no, or ended the stream with an error. The session is over.
    Rejected {
        /// A status code such as `NetStream.Publish.BadName`.
        code: String,
        /// What the server says about it.
        description: String,
    },
    /// While playing.
    Audio(Media),
    /// While playing.
    Video(Media),
    /// While playing.
    Data(Media),
    /// The stream that we play is over.
    PlayFinished,
}
