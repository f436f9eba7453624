//! Reads fields off the front of a message body.

use bytes::{Buf, Bytes};

use crate::{Error, Result};

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

    fn short(&self) -> Error {
        Error::MalformedMedia {
            what: self.what,
            length: self.length,
        }
    }

    /// The packet type after all ModEx prefixes (E-RTMP "ModEx"), whose contents (nanosecond offsets) are passed over.
    pub(super) fn skip_mod_ex(&mut self, mut packet_type: u8) -> Result<u8> {
        while packet_type == 7 {
            let mut size = usize::from(self.u8()?) + 1;
            if size == 256 {
                size = usize::from(self.u16()?) + 1;
            }
            self.take(size)?;
            packet_type = self.u8()? & 0x0F;
        }
        Ok(packet_type)
    }

    /// Reads the head of a multitrack body (E-RTMP "Multitrack") and narrows the cursor to its first track.
    pub(super) fn first_track(&mut self) -> Result<(u8, u8, [u8; 4])> {
        let head = self.u8()?;
        let (kind, packet_type) = (head >> 4, head & 0x0F);
        let packet_type = self.skip_mod_ex(packet_type)?;
        let four_cc = self.four_cc()?;
        let track = self.u8()?;
        if kind != 0 {
            let size = self.u24()? as usize;
            self.rest = self.take(size)?;
        }
        Ok((packet_type, track, four_cc))
    }
}

/// A FourCC as people write it.
pub(super) fn name(four_cc: [u8; 4]) -> String {
    four_cc.escape_ascii().to_string()
}
