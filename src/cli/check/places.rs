//! The places that a configuration names: is the key file good, can the stores live where they should?
//!
//! Promises: what the daemon would stumble over at its start is told before it.
//! Never: a file or directory made; key material in a fault.

use std::path::Path;

use rustix::fs::{Access, access};

use crate::admin::socket_is_there;
use crate::config::{Config, Fault};
use crate::seal::Keyring;
use crate::serve::Certificate;

/// Faults of the key file, the certificate, the local socket and the storage directory.
pub(super) fn check(config: &Config) -> Vec<Fault> {
    let mut faults = Vec::new();
    if let Err(error) = Keyring::load(&config.keys.file) {
        // The text carries its remedy.
        faults.push(fault("keys.file", error.to_string(), None));
    }
    if let Some(files) = &config.intake.tls
        && let Err(error) = Certificate::load(&files.cert_file, &files.key_file)
    {
        faults.push(fault("intake.tls", error.to_string(), None));
    }
    // What else keeps it from being made is a fault of the directory.
    if let Err(error) = socket_is_there(&config.admin.socket)
        && error.kind() == std::io::ErrorKind::AlreadyExists
    {
        let hint = "name another place, or move what is there".to_owned();
        faults.push(fault("admin.socket", format!("{}: {error}", config.admin.socket.display()), Some(hint)));
    }
    if let Err((what, hint)) = storage(&config.storage.dir) {
        faults.push(fault("storage.dir", what, Some(hint.into())));
    }
    faults
}

fn fault(key: &str, what: String, hint: Option<String>) -> Fault {
    Fault { file: "configuration".into(), line: None, key: key.into(), what, hint }
}

/// The directory is there and can be written to, or the nearest one above it can, so that it can be made.
fn storage(dir: &Path) -> Result<(), (String, &'static str)> {
    const GIVE: &str = "give the daemon's user a directory it may write to, on a local disk";
    let mut place = dir;
    while let Err(error) = std::fs::metadata(place) {
        if error.kind() != std::io::ErrorKind::NotFound {
            return Err((format!("{} cannot be looked at: {}", place.display(), error.kind()), GIVE));
        }
        match place.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            Some(parent) => place = parent,
            // A relative path begins where the daemon is started.
            None => break,
        }
    }
    let place = if place.exists() { place } else { Path::new(".") };
    if !place.is_dir() {
        return Err((format!("{} is not a directory", place.display()), GIVE));
    }
    access(place, Access::WRITE_OK | Access::EXEC_OK)
        .map_err(|error| (format!("{} cannot be written to: {}", place.display(), error.kind()), GIVE))
}
