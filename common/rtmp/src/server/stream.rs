//! The NetStreams of a connection and where each of them is.

use super::RequestId;
use crate::{Error, Result, StreamKey};

#[derive(Debug)]
pub(super) struct Stream {
    pub(super) id: u32,
    pub(super) state: State,
}

#[derive(Debug)]
pub(super) enum State {
    /// Created or closed.
    Idle,
    /// The application is asked.
    PublishPending {
        request: RequestId,
        name: StreamKey,
    },
    PlayPending {
        request: RequestId,
    },
    Publishing {
        name: StreamKey,
    },
    Playing,
}

impl State {
    pub(super) fn request(&self) -> Option<RequestId> {
        match self {
            State::PublishPending { request, .. } | State::PlayPending { request } => Some(*request),
            _ => None,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Streams {
    open: Vec<Stream>,
    last: u32,
}

impl Streams {
    /// Ids count up from 1 and are not used again, so that late media of a deleted stream meets nothing.
    pub(super) fn create(&mut self, max: usize) -> Result<u32> {
        if self.open.len() >= max {
            return Err(Error::TooManyStreams { max });
        }
        self.last = self.last.saturating_add(1);
        self.open.push(Stream {
            id: self.last,
            state: State::Idle,
        });
        Ok(self.last)
    }

    /// The state of a stream that is about to be used. Clients exist that use an id of their own whatever `createStream`
    /// answered, so that a small id that is not known is created as if it had been asked for.
    pub(super) fn state_or_create(&mut self, id: u32, max: usize) -> Result<Option<&mut State>> {
        if self.state(id).is_none() && (1..=255).contains(&id) {
            if self.open.len() >= max {
                return Err(Error::TooManyStreams { max });
            }
            self.last = self.last.max(id);
            self.open.push(Stream {
                id,
                state: State::Idle,
            });
        }
        Ok(self.state(id))
    }

    pub(super) fn state(&mut self, id: u32) -> Option<&mut State> {
        self.open
            .iter_mut()
            .find(|stream| stream.id == id)
            .map(|stream| &mut stream.state)
    }

    pub(super) fn by_request(&mut self, request: RequestId) -> Option<&mut Stream> {
        self.open
            .iter_mut()
            .find(|stream| stream.state.request() == Some(request))
    }

    pub(super) fn remove(&mut self, id: u32) {
        self.open.retain(|stream| stream.id != id);
    }

    /// The stream that `FCUnpublish` means: the one of that name, or the only one there is.
    pub(super) fn publishing(&self, name: Option<&str>) -> Option<u32> {
        let mut publishing = self.open.iter().filter_map(|stream| match &stream.state {
            State::Publishing { name } | State::PublishPending { name, .. } => Some((stream.id, name)),
            _ => None,
        });
        let named = publishing.clone().find(|(_, known)| Some(known.expose()) == name);
        named
            .or_else(|| publishing.next().filter(|_| publishing.next().is_none()))
            .map(|(id, _)| id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Stream> {
        self.open.iter()
    }
}
