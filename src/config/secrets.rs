//! Secrets: given as they are, or as a file that holds them.
//!
//! Promises: one trailing line break of a file is cut and nothing else; the stronger layer wins between `x` and `x_file`;
//! a secret is in a [`SecretString`] from here on.
//! Never: a secret in a fault or warning.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use super::report::Report;
use super::schema::{KeyPath, dotted};
use super::settings::{Settings, at, text_of};

/// Larger files are no secrets.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// Below this a secret can be guessed.
const WEAK_BELOW: usize = 16;

/// All secrets by the place of their key without `_file`. More than one value only for headers, signatures, tokens and the webhook.
pub(super) struct Secrets(BTreeMap<KeyPath, Vec<SecretString>>);

impl Secrets {
    /// Resolves every secret there is; `credentials` is systemd's `$CREDENTIALS_DIRECTORY`, where relative paths begin.
    pub(super) fn read(settings: &Settings, credentials: Option<&Path>, report: &mut Report) -> Self {
        let mut reading = Reading { settings, credentials, report, found: BTreeMap::new() };
        for source in settings.names(&at(&["source"])) {
            let place = at(&["source", &source]);
            reading.table(&place, "headers", "headers_file");
            reading.one(&join(&place, "path_secret"), &join(&place, "path_secret_file"));
            let hmac = join(&place, "hmac");
            reading.one(&join(&hmac, "secret"), &join(&hmac, "secret_file"));
        }
        for token in settings.names(&at(&["admin", "token"])) {
            let place = at(&["admin", "token", &token]);
            reading.one(&join(&place, "sha256"), &join(&place, "sha256_file"));
        }
        reading.one(&at(&["feed", "webhook", "secret"]), &at(&["feed", "webhook", "secret_file"]));
        for lookup in settings.names(&at(&["lookup"])) {
            reading.table(&at(&["lookup", &lookup]), "headers", "headers_file");
        }
        for provider in settings.names(&at(&["provider"])) {
            let place = at(&["provider", &provider]);
            reading.one(&join(&place, "password"), &join(&place, "password_file"));
            let params = join(&place, "param");
            let names: BTreeSet<String> = settings
                .names(&params)
                .iter()
                .map(|name| name.strip_suffix("_file").unwrap_or(name).to_owned())
                .collect();
            for name in names {
                reading.one(&join(&params, &name), &join(&params, &format!("{name}_file")));
            }
        }
        Self(reading.found)
    }

    /// The one value of a secret.
    pub(super) fn one(&self, path: &[String]) -> Option<&SecretString> {
        self.all(path).first()
    }

    /// The one or two values of a secret.
    pub(super) fn all(&self, path: &[String]) -> &[SecretString] {
        self.0.get(path).map_or(&[], Vec::as_slice)
    }

    /// The names below a place that have a secret.
    pub(super) fn below<'s>(&'s self, path: &'s [String]) -> impl Iterator<Item = &'s str> {
        let inside = move |key: &&'s KeyPath| key.len() == path.len() + 1 && key.starts_with(path);
        self.0.keys().filter(inside).filter_map(|key| key.last()).map(String::as_str)
    }

    /// True if any of the values is short enough to be guessed.
    pub(super) fn is_weak(&self, path: &[String]) -> bool {
        self.all(path).iter().any(|secret| secret.expose_secret().chars().count() < WEAK_BELOW)
    }
}

struct Reading<'r> {
    settings: &'r Settings,
    credentials: Option<&'r Path>,
    report: &'r mut Report,
    found: BTreeMap<KeyPath, Vec<SecretString>>,
}

impl Reading<'_> {
    fn table(&mut self, place: &[String], values: &str, files: &str) {
        let (values, files) = (join(place, values), join(place, files));
        let names: BTreeSet<String> =
            self.settings.names(&values).into_iter().chain(self.settings.names(&files)).collect();
        for name in names {
            self.one(&join(&values, &name), &join(&files, &name));
        }
    }

    fn one(&mut self, value: &KeyPath, file: &KeyPath) {
        let (given, named) = (self.settings.get(value).is_some(), self.settings.get(file).is_some());
        let by_file = if given && named {
            let (here, there) = (self.settings.origin(value), self.settings.origin(file));
            if here.rank == there.rank {
                let what = format!("given twice: also as {}", dotted(file));
                self.report.fault(&here, dotted(value), what, Some("keep one of the two".into()));
                return;
            }
            there.rank > here.rank
        } else {
            named
        };
        let place = if by_file { file } else { value };
        let texts: Option<Vec<String>> =
            self.settings.items(place).map(|items| items.iter().filter_map(text_of).map(str::to_owned).collect());
        let Some(texts) = texts else { return };
        let secrets: Option<Vec<SecretString>> = if by_file {
            texts.iter().map(|path| self.file(file, Path::new(path))).collect()
        } else {
            Some(texts.into_iter().map(SecretString::from).collect())
        };
        if let Some(secrets) = secrets {
            self.found.insert(value.clone(), secrets);
        }
    }

    fn file(&mut self, key: &KeyPath, path: &Path) -> Option<SecretString> {
        let path = self.locate(path);
        let origin = self.settings.origin(key);
        let mut fault = |what: String, hint: Option<String>| {
            self.report.fault(&origin, dotted(key), format!("{}: {what}", path.display()), hint);
            None
        };
        let meta = match std::fs::metadata(&path) {
            Ok(meta) => meta,
            Err(error) => return fault(format!("cannot be read: {error}"), None),
        };
        if meta.len() > MAX_FILE_BYTES || !meta.is_file() {
            return fault("is not a file of at most 64 KiB".into(), None);
        }
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) => return fault(format!("cannot be read: {error}"), None),
        };
        let Ok(mut text) = String::from_utf8(bytes) else { return fault("is not UTF-8 text".into(), None) };
        if text.ends_with('\n') {
            text.pop();
            if text.ends_with('\r') {
                text.pop();
            }
        }
        if text.is_empty() || text.chars().any(char::is_control) {
            let what = if text.is_empty() { "is empty" } else { "holds more than one line" };
            return fault(what.into(), Some("write the secret alone, on one line".into()));
        }
        self.check_mode(&meta, &path, key);
        Some(SecretString::from(text))
    }

    /// Container platforms mount secrets readable for all inside the container, so that is a warning; anybody being able to
    /// change a secret is a fault.
    fn check_mode(&mut self, meta: &std::fs::Metadata, path: &Path, key: &KeyPath) {
        use std::os::unix::fs::MetadataExt as _;
        let origin = self.settings.origin(key);
        let hint = Some(format!("chmod 600 {}", path.display()));
        if meta.mode() & 0o002 != 0 {
            self.report.fault(&origin, dotted(key), format!("{}: everybody may change it", path.display()), hint);
        } else if meta.mode() & 0o004 != 0 {
            self.report.warn(&origin, dotted(key), format!("{}: everybody may read it", path.display()), hint);
        }
    }

    fn locate(&self, path: &Path) -> PathBuf {
        match self.credentials.map(|dir| dir.join(path)) {
            Some(credential) if path.is_relative() && credential.exists() => credential,
            _ => path.to_owned(),
        }
    }
}

/// A place below another.
pub(super) fn join(place: &[String], name: &str) -> KeyPath {
    place.iter().cloned().chain([name.to_owned()]).collect()
}
