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
    /// The server asks us to connect anew and go on there, from a keyframe on (E-RTMP "Reconnect Request"). This connection
    /// goes on until it is closed. See [`Url::redirected`](crate::Url::redirected).
    ReconnectRequested {
        /// Where to, absolute or relative to the address connected to; the same again if there is none.
        tc_url: Option<String>,
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
