//! The `file` provider: each message becomes a file. A named, audited exit for tests and trials.
//!
//! Promises: a file is whole or absent (temporary name, then rename) and synced before `Sent` is said; files are
//! mode 0600, the folder is made with mode 0700.
//! Never: a person in a file's name, or a path in an outcome.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use zeroize::Zeroizing;

use super::breaker::Health;
use super::{Outcome, Verdict};
use crate::clock::Clock;
use crate::message::{Body, Message, Sms, mime};

/// A folder that messages go to.
pub(super) struct FileProvider {
    dir: PathBuf,
    clock: Clock,
    // Two attempts in one millisecond must not share a temporary file.
    count: AtomicU64,
}

impl FileProvider {
    /// Touches nothing; the folder is made with the first message.
    pub(super) fn new(dir: PathBuf, clock: Clock) -> Self {
        Self { dir, clock, count: AtomicU64::new(0) }
    }

    /// Writes `<notification id>-<milliseconds>.eml` or `.sms.txt`.
    pub(super) async fn send(&self, message: &Message) -> Verdict {
        let now = self.clock.now();
        let (extension, bytes) = match &message.body {
            Body::Email(email) => match mime::build(email, now) {
                Ok(mail) => ("eml", Zeroizing::new(mail.bytes)),
                Err(error) => return Verdict::unsendable(error),
            },
            Body::Sms(sms) => ("sms.txt", sms_text(sms)),
        };
        let name = format!("{}-{}.{extension}", message.id, now.as_millis());
        let temporary = format!(".{name}.{}.tmp", self.count.fetch_add(1, Ordering::Relaxed));
        let dir = self.dir.clone();
        let written = tokio::task::spawn_blocking(move || write(&dir, &temporary, &name, &bytes)).await;
        match written {
            Ok(Ok(())) => Verdict::sent("file".into(), None),
            Ok(Err(error)) if is_ours(&error) => {
                let code = format!("file_{}", error.kind()).replace(' ', "_");
                Verdict { outcome: Outcome::Misconfigured { code }, health: Health::Refusing }
            }
            // A full disk, or a runtime that is shutting down.
            Ok(Err(_)) | Err(_) => Verdict::transient("file_write_failed"),
        }
    }
}

fn is_ours(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied, ReadOnlyFilesystem};
    matches!(error.kind(), NotADirectory | NotFound | PermissionDenied | ReadOnlyFilesystem)
}

fn write(dir: &Path, temporary: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => io::ErrorKind::NotADirectory.into(),
        _ => error,
    })?;
    let path = dir.join(temporary);
    let result = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&path, dir.join(name))?;
        File::open(dir)?.sync_all()
    })();
    if result.is_err() {
        // Half a message is a person's data that nobody will look for.
        let _ = std::fs::remove_file(&path);
    }
    result
}

fn sms_text(sms: &Sms) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::new());
    let mut line = |name: &str, value: &str| {
        for piece in [name, ": ", value, "\n"] {
            out.extend_from_slice(piece.as_bytes());
        }
    };
    line("From", &sms.sender);
    line("To", sms.to.expose());
    for (key, value) in &sms.registration {
        line(key, value);
    }
    for (i, var) in sms.vars.iter().enumerate() {
        line(&format!("Variable-{}", i + 1), var.expose());
    }
    out.push(b'\n');
    out.extend_from_slice(sms.text.expose().as_bytes());
    out.push(b'\n');
    out
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::clock::Time;
    use crate::id::NotificationId;
    use crate::personal::Personal;
    use crate::provider::fixture;

    fn provider(dir: &Path) -> FileProvider {
        FileProvider::new(dir.to_owned(), Clock::manual(Time::from_millis(1_795_392_000_123)))
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn a_mail_and_a_text_message_become_private_files() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("deep/out");
        let provider = provider(&dir);
        for body in [Body::Email(fixture::email()), Body::Sms(fixture::sms())] {
            let verdict = provider.send(&Message { id: NotificationId([7; 16]), body }).await;
            assert_eq!(verdict.outcome, Outcome::Sent { code: "file".into(), provider_ref: None });
        }
        let stem = format!("{}-1795392000123", NotificationId([7; 16]));
        assert_eq!(names(&dir), [format!("{stem}.eml"), format!("{stem}.sms.txt")]);
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&dir), mode(&dir.join(format!("{stem}.eml")))), (0o700, 0o600));
        insta::assert_snapshot!(std::fs::read_to_string(dir.join(format!("{stem}.sms.txt"))).unwrap(), @r"
        From: ACMERW
        To: +919812345678
        entity_id: 1101
        template_id: 65f0a
        Variable-1: Asha
        Variable-2: 25

        Dear Asha, you earned 25 points.
        ");
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_is_a_fault_of_ours_and_leaves_nothing_behind() {
        let root = tempfile::tempdir().unwrap();
        let blocked = root.path().join("file");
        std::fs::write(&blocked, "").unwrap();
        let message = Message { id: NotificationId([7; 16]), body: Body::Sms(fixture::sms()) };
        let verdict = provider(&blocked.join("out")).send(&message).await;
        assert_eq!(verdict.outcome, Outcome::Misconfigured { code: "file_not_a_directory".into() });
        assert_eq!(verdict.health, Health::Refusing);
        assert_eq!(names(root.path()), ["file"]);
    }

    #[tokio::test]
    async fn a_mail_to_no_address_writes_no_file() {
        let root = tempfile::tempdir().unwrap();
        let mut email = fixture::email();
        email.to = Personal::new("nobody");
        let verdict =
            provider(root.path()).send(&Message { id: NotificationId([7; 16]), body: Body::Email(email) }).await;
        assert_eq!(verdict.outcome, Outcome::Permanent { code: "invalid_address".into(), bad_address: true });
        assert!(names(root.path()).is_empty());
    }
}
