//! How a connection ends: in a way that lets the client hear the answer.
//!
//! Promises: a client that is still writing when it is answered (413, 429 and 401 come before the body was read) finds the answer
//! and not a reset: the kernel throws away what was sent but not yet read once it sees bytes for a closed socket. Bounded in
//! bytes and time, so that nobody can hold a place by talking on.
//! Never: a look at what is read here.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Most that is read after the answer, bytes: several of the largest bodies.
const MOST: usize = 8 << 20;
/// Longest that is waited for the client's own end.
const PATIENCE: Duration = Duration::from_secs(2);

/// Says that nothing more comes, and reads on until the client ends too.
pub(super) async fn farewell(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let listening = async {
        stream.shutdown().await?;
        let mut unread = vec![0; 16 << 10];
        let mut heard = 0;
        while heard < MOST {
            match stream.read(&mut unread).await? {
                0 => break,
                more => heard += more,
            }
        }
        Ok::<_, io::Error>(())
    };
    // However it ends, the connection is over.
    let _ = tokio::time::timeout(PATIENCE, listening).await;
}
