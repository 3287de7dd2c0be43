//! Requests of HTTP/1.1, as far as gateways' clients use it: a head, and a body by length or in chunks.

use std::io;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{BODY_LIMIT, CaughtSms};

const HEAD_LIMIT: usize = 64 * 1024;

/// What was read ahead on one connection.
#[derive(Default)]
pub(super) struct Reader {
    input: BytesMut,
}

/// A request, and whether another may follow.
pub(super) struct Request {
    pub(super) sms: CaughtSms,
    pub(super) keep_alive: bool,
}

impl Reader {
    /// The next request; `None` at the end of the connection, or of one that is too large to go on with.
    pub(super) async fn request(&mut self, stream: &mut TcpStream, connection: u64) -> io::Result<Option<Request>> {
        let Some(end) = self.until(stream, b"\r\n\r\n", HEAD_LIMIT).await? else { return Ok(None) };
        let head = String::from_utf8_lossy(&self.input[..end]).into_owned();
        self.input.advance(end);
        let mut lines = head.split("\r\n");
        let mut start = lines.next().unwrap_or_default().split(' ');
        let (Some(method), Some(path), Some(version)) = (start.next(), start.next(), start.next()) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut sms = CaughtSms { method: method.into(), path: path.into(), headers, body: Vec::new(), connection };
        if sms.header("expect").is_some_and(|what| what.eq_ignore_ascii_case("100-continue")) {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        let chunked = sms.header("transfer-encoding").is_some_and(|how| how.to_ascii_lowercase().contains("chunked"));
        let body = if chunked {
            self.chunks(stream).await?
        } else {
            let length = sms.header("content-length").map_or(Ok(0), str::parse);
            let length = length.map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
            self.exactly(stream, length).await?
        };
        let Some(body) = body else { return Ok(None) };
        sms.body = body;
        let close = sms.header("connection").is_some_and(|how| how.eq_ignore_ascii_case("close"));
        let keep_alive = version == "HTTP/1.1" && !close;
        Ok(Some(Request { sms, keep_alive }))
    }

    async fn more(&mut self, stream: &mut TcpStream) -> io::Result<bool> {
        self.input.reserve(8 * 1024);
        Ok(stream.read_buf(&mut self.input).await? > 0)
    }

    /// Reads until `mark` stands in the input; the position after it.
    async fn until(&mut self, stream: &mut TcpStream, mark: &[u8], limit: usize) -> io::Result<Option<usize>> {
        let mut searched = 0;
        loop {
            if let Some(at) = self.input[searched..].windows(mark.len()).position(|window| window == mark) {
                return Ok(Some(searched + at + mark.len()));
            }
            searched = self.input.len().saturating_sub(mark.len() - 1);
            if self.input.len() > limit || !self.more(stream).await? {
                return Ok(None);
            }
        }
    }

    async fn exactly(&mut self, stream: &mut TcpStream, length: usize) -> io::Result<Option<Vec<u8>>> {
        if length > BODY_LIMIT {
            return Ok(None);
        }
        while self.input.len() < length {
            if !self.more(stream).await? {
                return Ok(None);
            }
        }
        Ok(Some(self.input.split_to(length).to_vec()))
    }

    async fn chunks(&mut self, stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
        let mut body = Vec::new();
        loop {
            let Some(end) = self.until(stream, b"\r\n", HEAD_LIMIT).await? else { return Ok(None) };
            let line = String::from_utf8_lossy(&self.input[..end]).into_owned();
            self.input.advance(end);
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
            if size.saturating_add(body.len()) > BODY_LIMIT {
                return Ok(None);
            }
            if size == 0 {
                return self.trailers(stream).await.map(|whole| whole.then_some(body));
            }
            let Some(chunk) = self.exactly(stream, size).await? else { return Ok(None) };
            body.extend_from_slice(&chunk);
            if self.exactly(stream, 2).await?.is_none() {
                return Ok(None);
            }
        }
    }

    /// Skips to the empty line behind the last chunk. False if the connection ended before it.
    async fn trailers(&mut self, stream: &mut TcpStream) -> io::Result<bool> {
        loop {
            let Some(end) = self.until(stream, b"\r\n", HEAD_LIMIT).await? else { return Ok(false) };
            self.input.advance(end);
            if end == 2 {
                return Ok(true);
            }
        }
    }
}
