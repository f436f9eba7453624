//! One connection that publishes.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use marquee_rtmp::flv::{Tag, TagKind};
use marquee_rtmp::{ClientSession, Limits, Url, client};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

use super::tls::{Socket, Trust};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection that publishes.
pub(super) struct Publisher {
    socket: Socket,
    session: ClientSession,
    url: Url,
    began: Instant,
    buffer: Vec<u8>,
    target: Option<Url>,
    /// After an error of a connection that is to be left anyway.
    broken: bool,
}

impl Publisher {
    pub(super) async fn connect(url: &Url, trust: &Trust) -> Result<Self> {
        let address = format!("{}:{}", url.host, url.port);
        let connect = async {
            let socket = TcpStream::connect((url.host.as_str(), url.port)).await?;
            socket.set_nodelay(true)?;
            trust.open(socket, url).await
        };
        let socket = timeout(CONNECT_TIMEOUT, connect)
            .await
            .with_context(|| format!("{address} does not answer within {CONNECT_TIMEOUT:?}"))?
            .with_context(|| format!("cannot connect to {address}"))?;
        let mut publisher = Self {
            socket,
            session: ClientSession::publish(url, Limits::default(), Duration::ZERO),
            url: url.clone(),
            began: Instant::now(),
            buffer: vec![0; 16 << 10],
            target: None,
            broken: false,
        };
        while !publisher.session.is_active() {
            publisher.flush().await?;
            publisher.read().await?;
        }
        publisher.flush().await?;
        Ok(publisher)
    }

    /// Waits for the moment of a frame, and meanwhile for what the server has to say.
    pub(super) async fn wait_until(&mut self, due: Instant) -> Result<()> {
        if self.broken {
            sleep_until(due).await;
            return Ok(());
        }
        let listened = self.listen_until(due).await;
        self.broken = listened.is_err();
        listened
    }

    async fn listen_until(&mut self, due: Instant) -> Result<()> {
        loop {
            self.flush().await?;
            tokio::select! {
                biased;
                () = sleep_until(due) => return Ok(()),
                read = self.socket.read(&mut self.buffer) => {
                    let length = read.context("the connection broke")?;
                    self.take(length)?;
                }
            }
        }
    }

    pub(super) async fn send(&mut self, tag: &Tag, timestamp: u32) -> Result<()> {
        if self.broken {
            return Ok(());
        }
        match tag.kind {
            TagKind::Audio => self.session.send_audio(timestamp, &tag.payload)?,
            TagKind::Video => self.session.send_video(timestamp, &tag.payload)?,
            TagKind::Script => self.session.send_data(timestamp, &tag.payload)?,
        }
        let flushed = self.flush().await;
        self.broken = flushed.is_err();
        flushed
    }

    pub(super) async fn finish(mut self) -> Result<()> {
        self.session.finish()?;
        self.flush().await?;
        Ok(self.socket.shutdown().await?)
    }

    /// Where the server wants us to go on; told once.
    pub(super) fn asked_to_go_to(&mut self) -> Option<Url> {
        self.target.take()
    }

    async fn read(&mut self) -> Result<()> {
        let deadline = self
            .session
            .deadline()
            .map_or(self.began + CONNECT_TIMEOUT, |at| self.began + at);
        tokio::select! {
            read = self.socket.read(&mut self.buffer) => {
                let length = read.context("the connection broke")?;
                self.take(length)
            }
            () = sleep_until(deadline) => Ok(self.session.tick(self.began.elapsed())?),
        }
    }

    fn take(&mut self, length: usize) -> Result<()> {
        if length == 0 {
            self.session.end_of_input()?;
            bail!("the server closed the connection");
        }
        let mut data = &self.buffer[..length];
        while let Some(event) = self.session.input(&mut data, self.began.elapsed())? {
            match event {
                client::Event::Rejected { code, description } => {
                    bail!("the server refuses: {description} ({code})")
                }
                client::Event::ReconnectRequested { tc_url, .. } => {
                    let target = tc_url.map_or(Ok(self.url.clone()), |tc_url| self.url.redirected(&tc_url));
                    self.target = Some(target.context("the server sends us to what is no address")?);
                }
                _ => {}
            }
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        while !self.session.output().is_empty() {
            let written = self
                .socket
                .write(self.session.output())
                .await
                .context("the connection broke")?;
            self.session.advance_output(written);
        }
        self.socket.flush().await.context("the connection broke")
    }
}
