//! The local socket: commands talk to the running daemon through it.
//!
//! Promises: only the daemon's own user (and root) can open it; a stale file of a dead daemon is replaced.
//! Never: replaced while a daemon answers on it.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tokio::net::UnixListener;

/// Binds the socket with mode 0600.
///
/// # Errors
/// `AddrInUse` if a daemon answers there; else what the file system says.
pub fn bind_socket(path: &Path) -> io::Result<UnixListener> {
    if path.exists() {
        match std::os::unix::net::UnixStream::connect(path) {
            Ok(_) => return Err(io::Error::new(io::ErrorKind::AddrInUse, "another daemon answers on this socket")),
            Err(_) => std::fs::remove_file(path)?,
        }
    }
    // The directory is 0700 before the socket exists, so nobody else can connect before the mode is set.
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}
