//! Reads fields off the front of a message body.

use bytes::{Buf, Bytes};

use crate::{Error, Result};

#[derive(Debug)]
pub(super) struct Cursor {
    rest: Bytes,
    what: &'static str,
    length: usize,
}

impl Cursor {
    pub(super) fn new(payload: &Bytes, what: &'static str) -> Self {
        Self {
            rest: payload.clone(),
            what,
            length: payload.len(),
        }
    }

    pub(super) fn u8(&mut self) -> Result<u8> {
        let short = self.short();
        self.rest.try_get_u8().map_err(|_| short)
    }

    pub(super) fn u16(&mut self) -> Result<u16> {
        let short = self.short();
        self.rest.try_get_u16().map_err(|_| short)
    }

    pub(super) fn u24(&mut self) -> Result<u32> {
        Ok(u32::from_be_bytes([0, self.u8()?, self.u8()?, self.u8()?]))
    }

    /// Signed, two's complement.
    pub(super) fn i24(&mut self) -> Result<i32> {
        Ok(i32::from_be_bytes([self.u8()?, self.u8()?, self.u8()?, 0]) >> 8)
    }

    pub(super) fn four_cc(&mut self) -> Result<[u8; 4]> {
        Ok([self.u8()?, self.u8()?, self.u8()?, self.u8()?])
    }

    pub(super) fn take(&mut self, length: usize) -> Result<Bytes> {
        if self.rest.len() < length {
            return Err(self.short());
        }
        Ok(self.rest.split_to(length))
    }

    pub(super) fn rest(self) -> Bytes {
        self.rest
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn short(&self) -> Error {
        Error::MalformedMedia {
            what: self.what,
            length: self.length,
        }
    }

    /// A cursor on the next `length` bytes, or on all that is left.
    pub(super) fn split(&mut self, length: Option<usize>) -> Result<Self> {
        let rest = self.take(length.unwrap_or(self.rest.len()))?;
        Ok(Self { rest, ..*self })
    }
}

/// A FourCC as people write it.
pub(super) fn name(four_cc: [u8; 4]) -> String {
    four_cc.escape_ascii().to_string()
}
