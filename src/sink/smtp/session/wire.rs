//! Bytes in and out: bounded lines, replies gathered until the client waits for them, message content.

use std::io;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// RFC 5321 allows 512 bytes for a command and 12,288 for a line of AUTH (RFC 4954).
const LINE_LIMIT: usize = 12_288;

/// A connection with what was read ahead and what is to be said.
pub(super) struct Wire<S> {
    pub(super) stream: S,
    input: BytesMut,
    output: Vec<u8>,
}

/// What came between DATA and the final dot.
pub(super) enum Content {
    /// All of it, dots unstuffed; empty if it is not kept.
    Whole(Vec<u8>),
    /// More than the limit; read to the end and thrown away.
    TooBig,
    /// The client left.
    Torn,
}

impl<S> Wire<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, input: BytesMut::with_capacity(8 * 1024), output: Vec::new() }
    }

    /// Queues a reply; it goes out when the client has nothing more in the pipeline.
    pub(super) fn say(&mut self, reply: &str) {
        self.output.extend_from_slice(reply.as_bytes());
        self.output.extend_from_slice(b"\r\n");
    }

    pub(super) fn say_raw(&mut self, bytes: &[u8]) {
        self.output.extend_from_slice(bytes);
    }
}

impl<S: AsyncWrite + Unpin> Wire<S> {
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        if !self.output.is_empty() {
            self.stream.write_all(&self.output).await?;
            self.output.clear();
        }
        self.stream.flush().await
    }

    /// A byte at a time.
    pub(super) async fn dribble(&mut self, reply: &str, pause: Duration) -> io::Result<()> {
        self.flush().await?;
        for byte in reply.bytes().chain(*b"\r\n") {
            self.stream.write_all(&[byte]).await?;
            self.stream.flush().await?;
            tokio::time::sleep(pause).await;
        }
        Ok(())
    }

    /// `250-` and then `block` again and again, until the client closes.
    pub(super) async fn pour(&mut self, block: &[u8]) -> io::Result<()> {
        self.say_raw(b"250-");
        self.flush().await?;
        loop {
            self.stream.write_all(block).await?;
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// Reads more; false at the end. Whatever is to be said is said first: the client may be waiting for it.
    async fn more(&mut self) -> io::Result<bool> {
        self.flush().await?;
        // Room for a whole pipeline: without it a buffer that was used up grows by 64 bytes at a time.
        self.input.reserve(8 * 1024);
        Ok(self.stream.read_buf(&mut self.input).await? > 0)
    }

    /// The next line without its end; `None` at the end of the connection.
    pub(super) async fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut searched = 0;
        loop {
            if let Some(at) = self.input[searched..].iter().position(|byte| *byte == b'\n') {
                let mut line = self.input.split_to(searched + at + 1).to_vec();
                while line.last().is_some_and(|byte| matches!(byte, b'\r' | b'\n')) {
                    line.pop();
                }
                return Ok(Some(line));
            }
            searched = self.input.len();
            if searched > LINE_LIMIT {
                self.say("500 5.5.2 line too long");
                self.flush().await?;
                return Ok(None);
            }
            if !self.more().await? {
                return Ok(None);
            }
        }
    }

    /// Waits until the message begins to arrive.
    pub(super) async fn first_byte(&mut self) -> io::Result<()> {
        while self.input.is_empty() && self.more().await? {}
        Ok(())
    }

    /// Says nothing more until the client leaves.
    pub(super) async fn stall(&mut self) {
        loop {
            self.input.clear();
            if !matches!(self.more().await, Ok(true)) {
                return;
            }
        }
    }

    /// Reads up to `<CRLF>.<CRLF>`. Bare line feeds end no line: a message must not be cut in two (SMTP smuggling).
    pub(super) async fn content(&mut self, keep: bool, limit: usize) -> io::Result<Content> {
        let (mut raw, mut size) = (Vec::new(), 0_usize);
        let mut searched = 0;
        loop {
            match find_line_end(&self.input, searched) {
                Some(end) => {
                    let line = &self.input[..end];
                    if line == b".\r\n" {
                        self.input.advance(end);
                        return Ok(if size > limit { Content::TooBig } else { Content::Whole(raw) });
                    }
                    let line = line.strip_prefix(b".").unwrap_or(line);
                    size = size.saturating_add(line.len());
                    if keep && size <= limit {
                        raw.extend_from_slice(line);
                    }
                    self.input.advance(end);
                    searched = 0;
                }
                None => {
                    // The line may end with the carriage return that came last.
                    searched = self.input.len().saturating_sub(1);
                    if searched > limit.saturating_add(LINE_LIMIT) {
                        return Ok(Content::Torn);
                    }
                    if !self.more().await? {
                        return Ok(Content::Torn);
                    }
                }
            }
        }
    }
}

/// Position after the next CRLF, looking from `from` on.
fn find_line_end(input: &[u8], from: usize) -> Option<usize> {
    let mut start = from;
    loop {
        let at = start + input.get(start..)?.iter().position(|byte| *byte == b'\n')?;
        if at > 0 && input[at - 1] == b'\r' {
            return Some(at + 1);
        }
        start = at + 1;
    }
}

/// A reply of as many lines as `text` has, without the last line end.
pub(super) fn reply(code: u16, text: &str) -> String {
    let lines: Vec<&str> = if text.is_empty() { vec![""] } else { text.lines().collect() };
    let last = lines.len() - 1;
    let lines = lines.iter().enumerate().map(|(i, line)| format!("{code}{}{line}", if i == last { ' ' } else { '-' }));
    lines.collect::<Vec<_>>().join("\r\n")
}

/// `FROM:<a@b> SIZE=5`: the path and the parameters.
pub(super) fn path<'l>(rest: &'l str, keyword: &str) -> Option<(&'l str, &'l str)> {
    let head = rest.get(..keyword.len()).filter(|head| head.eq_ignore_ascii_case(keyword))?;
    let rest = rest[head.len()..].trim_start();
    let (path, parameters) = rest.strip_prefix('<')?.split_once('>')?;
    let clean = path.bytes().all(|byte| byte.is_ascii_graphic());
    (clean && (parameters.is_empty() || parameters.starts_with(' '))).then(|| (path, parameters.trim()))
}
