//! What both ends of a connection share: handshake, chunks, acknowledgements, pings, bounded output.

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};

use crate::aggregate::Aggregate;
use crate::chunk::{Kind, Message, Reader, Writer};
use crate::command::{Command, unwrap_amf3, without_set_data_frame};
use crate::control::{self, Control};
use crate::handshake::{self, Nonce};
use crate::{Error, Limits, Result};

/// An audio, video or data message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    /// NetStream id, as in the request that opened the stream.
    pub stream: u32,
    /// Milliseconds; the whole 32 bits, which wrap after 49.7 days.
    pub timestamp: u32,
    /// The body, as an FLV tag has it: [`media`](crate::media) reads it. Data is AMF0 without `@setDataFrame`.
    pub payload: Bytes,
}

/// Chunk streams that we write on. Readers do not care, but 2 is given for control (RTMP 5.4).
const CONTROL_CHUNKS: u32 = 2;
const COMMAND_CHUNKS: u32 = 3;

#[derive(Debug)]
enum Handshake {
    Server(handshake::Server),
    Client(handshake::Client),
    Done,
}

/// Something a session must look at.
#[derive(Debug)]
pub(crate) enum Incoming {
    Audio(Media),
    Video(Media),
    Data(Media),
    Command { stream: u32, command: Command },
    Control(Control),
}

#[derive(Debug)]
pub(crate) struct Connection {
    handshake: Handshake,
    reader: Reader,
    writer: Writer,
    output: BytesMut,
    aggregate: Option<Aggregate>,
    pub(crate) limits: Limits,
    received: u64,
    acknowledged: u64,
    /// How often the peer wants acknowledgements, bytes; 0 is never (a peer that asks for 0 wants none).
    window: u32,
    /// When the last message was complete.
    pub(crate) last_message: Duration,
    closed: bool,
}

impl Connection {
    pub(crate) fn server(limits: Limits, nonce: Nonce, now: Duration) -> Self {
        Self::new(limits, Handshake::Server(handshake::Server::new(nonce)), now)
    }

    pub(crate) fn client(limits: Limits, nonce: Nonce, now: Duration) -> Self {
        let mut client = handshake::Client::new(nonce);
        let mut output = BytesMut::new();
        // Of no bytes: the hello is written, nothing can be wrong yet.
        let _ = client.input(&mut &[][..], &mut output);
        Self {
            output,
            ..Self::new(limits, Handshake::Client(client), now)
        }
    }

    fn new(limits: Limits, handshake: Handshake, now: Duration) -> Self {
        Self {
            handshake,
            reader: Reader::new(&limits),
            writer: Writer::new(),
            output: BytesMut::new(),
            aggregate: None,
            limits,
            received: 0,
            acknowledged: 0,
            window: 0,
            last_message: now,
            closed: false,
        }
    }

    pub(crate) fn is_handshake_done(&self) -> bool {
        matches!(self.handshake, Handshake::Done)
    }

    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    pub(crate) fn partial_bytes(&self) -> usize {
        self.reader.partial_bytes()
    }

    /// Nothing is taken from the peer any more; what is in the output may still be sent.
    pub(crate) fn close(&mut self) {
        self.closed = true;
    }

    pub(crate) fn end_of_input(&self) -> Result<()> {
        let inside = match &self.handshake {
            _ if self.closed => return Ok(()),
            Handshake::Done if self.reader.is_inside_message() => "a message",
            Handshake::Done => return Ok(()),
            _ => "the handshake",
        };
        Err(Error::UnexpectedEof { inside })
    }

    /// Consumes from `data` until there is something to look at; None when it is used up.
    pub(crate) fn next(&mut self, data: &mut &[u8], now: Duration) -> Result<Option<Incoming>> {
        if self.closed {
            *data = &[];
            return Ok(None);
        }
        let before = data.len();
        let result = self.advance(data, now);
        self.received += (before - data.len()) as u64;
        if let Ok(None) = result {
            self.acknowledge()?;
        }
        result
    }

    fn advance(&mut self, data: &mut &[u8], now: Duration) -> Result<Option<Incoming>> {
        let done = match &mut self.handshake {
            Handshake::Server(server) => server.input(data, &mut self.output)?,
            Handshake::Client(client) => client.input(data, &mut self.output)?,
            Handshake::Done => true,
        };
        if !done {
            return Ok(None);
        }
        self.handshake = Handshake::Done;
        loop {
            let message = match &mut self.aggregate {
                Some(aggregate) => match aggregate.next()? {
                    Some(part) => part,
                    None => {
                        self.aggregate = None;
                        continue;
                    }
                },
                None => match self.reader.read(data)? {
                    Some(message) => {
                        self.last_message = now;
                        message
                    }
                    None => return Ok(None),
                },
            };
            if let Some(incoming) = self.sort(message)? {
                return Ok(Some(incoming));
            }
        }
    }

    fn sort(&mut self, message: Message) -> Result<Option<Incoming>> {
        let (stream, timestamp) = (message.stream, message.timestamp);
        let media = |payload| Media {
            stream,
            timestamp,
            payload,
        };
        Ok(match message.kind {
            Kind::AUDIO => Some(Incoming::Audio(media(message.payload))),
            Kind::VIDEO => Some(Incoming::Video(media(message.payload))),
            Kind::DATA_AMF0 => Some(Incoming::Data(media(without_set_data_frame(&message.payload)))),
            Kind::DATA_AMF3 => Some(Incoming::Data(media(without_set_data_frame(&unwrap_amf3(
                &message.payload,
            ))))),
            Kind::COMMAND_AMF0 => Some(self.command(stream, &message.payload)?),
            Kind::COMMAND_AMF3 => Some(self.command(stream, &unwrap_amf3(&message.payload))?),
            // An aggregate within an aggregate is not one of the kinds that may be inside (RTMP 7.1.6).
            Kind::AGGREGATE if self.aggregate.is_none() => {
                self.aggregate = Some(Aggregate::new(message));
                None
            }
            Kind::ACKNOWLEDGEMENT | Kind::USER_CONTROL | Kind::WINDOW_ACK_SIZE | Kind::SET_PEER_BANDWIDTH => {
                self.control(Control::parse(message.kind, &message.payload)?)?
            }
            _ => None,
        })
    }

    fn command(&self, stream: u32, payload: &[u8]) -> Result<Incoming> {
        Ok(Incoming::Command {
            stream,
            command: Command::parse(payload, self.limits.amf)?,
        })
    }

    fn control(&mut self, control: Control) -> Result<Option<Incoming>> {
        match control {
            Control::WindowAckSize(size) => self.window = size,
            Control::PeerBandwidth => self.send_window_ack_size()?,
            Control::PingRequest(timestamp) => {
                self.send_control(Kind::USER_CONTROL, &control::ping_response(timestamp))?
            }
            other => return Ok(Some(Incoming::Control(other))),
        }
        Ok(None)
    }

    /// Acknowledges the total received, modulo 2^32 (RTMP 5.4.3); once per input at most, however small the window is.
    fn acknowledge(&mut self) -> Result<()> {
        if self.window == 0 || self.received - self.acknowledged < u64::from(self.window) {
            return Ok(());
        }
        self.acknowledged = self.received;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the sequence number is the total modulo 2^32"
        )]
        let total = self.received as u32;
        self.send_control(Kind::ACKNOWLEDGEMENT, &total.to_be_bytes())
    }

    pub(crate) fn send_window_ack_size(&mut self) -> Result<()> {
        let size = self.limits.window_ack_size.to_be_bytes();
        self.send_control(Kind::WINDOW_ACK_SIZE, &size)
    }

    /// Announces our chunk size and uses it.
    pub(crate) fn send_chunk_size(&mut self) -> Result<()> {
        self.room(4)?;
        self.writer
            .set_chunk_size(self.limits.output_chunk_size, &mut self.output);
        Ok(())
    }

    pub(crate) fn send_control(&mut self, kind: Kind, payload: &[u8]) -> Result<()> {
        self.send(CONTROL_CHUNKS, 0, kind, 0, payload)
    }

    pub(crate) fn send_command(&mut self, stream: u32, command: &Command) -> Result<()> {
        self.send(COMMAND_CHUNKS, 0, Kind::COMMAND_AMF0, stream, &command.encode())
    }

    pub(crate) fn send_media(
        &mut self,
        kind: Kind,
        stream: u32,
        timestamp: u32,
        payload: &[u8],
    ) -> Result<()> {
        let chunk_stream = match kind {
            Kind::AUDIO => 4,
            Kind::VIDEO => 6,
            _ => 5,
        };
        self.send(chunk_stream, timestamp, kind, stream, payload)
    }

    fn send(
        &mut self,
        chunk_stream: u32,
        timestamp: u32,
        kind: Kind,
        stream: u32,
        payload: &[u8],
    ) -> Result<()> {
        self.room(payload.len())?;
        self.writer
            .write(chunk_stream, timestamp, kind, stream, payload, &mut self.output);
        Ok(())
    }

    fn room(&self, payload: usize) -> Result<()> {
        let (pending, needed, max) = (
            self.output.len(),
            self.writer.cost(payload),
            self.limits.output_bytes,
        );
        if pending + needed > max {
            Err(Error::OutputFull { pending, needed, max })
        } else {
            Ok(())
        }
    }

    pub(crate) fn output(&self) -> &[u8] {
        &self.output
    }

    pub(crate) fn advance_output(&mut self, written: usize) {
        self.output.advance(written.min(self.output.len()));
        // A buffer that once was large is given back.
        if self.output.is_empty() && self.output.capacity() > 256 << 10 {
            self.output = BytesMut::new();
        }
    }

    pub(crate) fn take_output(&mut self) -> Bytes {
        self.output.split().freeze()
    }
}

/// Randomness for a handshake.
pub(crate) fn nonce() -> Nonce {
    let mut nonce = [0; handshake::PACKET];
    rand::fill(&mut nonce);
    nonce
}
