//! The local socket: commands talk to the running daemon through it.
//!
//! Promises: only the daemon's own user (and root) can open it; a stale socket of a dead daemon is replaced.
//! Never: replaced while a daemon answers on it; anything removed that is no socket, whatever the configuration names.

use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;

use tokio::net::UnixListener;

/// Binds the socket with mode 0600.
///
/// # Errors
/// `AddrInUse` if a daemon answers there, `AlreadyExists` if something else is there; else what the file system says.
pub fn bind_socket(path: &Path) -> io::Result<UnixListener> {
    if is_there(path)? {
        match std::os::unix::net::UnixStream::connect(path) {
            Ok(_) => return Err(io::Error::new(ErrorKind::AddrInUse, "another daemon answers on this socket")),
            // Nobody listens any more.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => std::fs::remove_file(path)?,
            Err(error) => return Err(error),
        }
    }
    // The directory is 0700 before the socket exists, so nobody else can connect before the mode is set.
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Whether a socket is there, alive or not.
///
/// # Errors
/// `AlreadyExists` if it is something else; what the file system says if it cannot be looked at.
pub fn is_there(path: &Path) -> io::Result<bool> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => Ok(true),
        Ok(_) => {
            Err(io::Error::new(ErrorKind::AlreadyExists, "something is there that is no socket, and it is left alone"))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Removes the socket at the end, if it is still one.
pub fn remove_socket(path: &Path) {
    if matches!(is_there(path), Ok(true)) {
        let _ = std::fs::remove_file(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_stale_socket_is_replaced() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("admin.sock");
        let alive = bind_socket(&path).expect("nothing is there");
        assert_eq!(bind_socket(&path).map(drop).map_err(|e| e.kind()), Err(ErrorKind::AddrInUse));
        drop(alive);
        assert!(path.exists(), "it is stale now");
        drop(bind_socket(&path).expect("replaced"));
        remove_socket(&path);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn nothing_else_is_touched() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("keys");
        std::fs::write(&file, "precious").expect("written");
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&file, &link).expect("linked");
        let folder = dir.path().join("folder");
        std::fs::create_dir(&folder).expect("made");
        for path in [&file, &link, &folder] {
            assert_eq!(bind_socket(path).map(drop).map_err(|e| e.kind()), Err(ErrorKind::AlreadyExists));
            remove_socket(path);
            assert!(path.exists(), "{}", path.display());
        }
        assert_eq!(std::fs::read_to_string(&file).expect("read"), "precious");
    }
}
