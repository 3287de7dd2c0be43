//! Small things that the tests share.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::clock::Time;
use crate::config::Org;

pub(in crate::template) fn org() -> Org {
    Org {
        name: "Acme".into(),
        currency: "INR".into(),
        time_zone: jiff::tz::TimeZone::get("Asia/Kolkata").unwrap(),
        locale: "en-IN".into(),
        namespace: "default".parse().unwrap(),
        channels: BTreeMap::new(),
        senders: BTreeMap::new(),
        links: [("home", "https://acme.example/"), ("account", "https://acme.example/account?from=mail&x=1")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into(),
    }
}

pub(in crate::template) fn customer(fields: &[(&str, &str)], locale: &str) -> Customer {
    Customer {
        fields: fields.iter().map(|(k, v)| ((*k).to_owned(), Personal::new(*v))).collect(),
        locale: Some(locale.into()),
        time_zone: None,
    }
}

pub(in crate::template) fn id(name: &str) -> TemplateId {
    name.parse().unwrap()
}

/// Writes files below a fresh folder.
pub(in crate::template) fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    dir
}

pub(in crate::template) fn load(files: &[(&str, &str)]) -> Result<TemplateSet, Vec<Fault>> {
    let dir = folder(files);
    TemplateSet::load(&TemplateSource::Dir(dir.path().into()), None).map_err(|faults| {
        let strip = |f: Fault| Fault { file: f.file.strip_prefix(dir.path()).map(Into::into).unwrap_or(f.file), ..f };
        faults.into_iter().map(strip).collect()
    })
}

/// The faults as one text, or nothing.
pub(in crate::template) fn faults(files: &[(&str, &str)]) -> String {
    match load(files) {
        Ok(_) => String::new(),
        Err(faults) => faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
    }
}

pub(in crate::template) const HEAD: &str = "[template]\ncategory = \"transactional\"\nreads = [\"first_name\"]\n";

/// A template `t` with an HTML part and a subject.
pub(in crate::template) fn with_html(html: &str) -> String {
    let toml = format!("{HEAD}[email]\nsender = \"loyalty\"\nsubject = \"Hello\"\n");
    faults(&[("t/template.toml", &toml), ("t/email.html.hbs", html)])
}

/// A template `t` with a free SMS, loaded.
pub(in crate::template) fn sms_set(text: &str, more: &[(&str, &str)]) -> Result<TemplateSet, Vec<Fault>> {
    let toml = format!("{HEAD}[sms]\nsender = \"loyalty\"\n");
    let mut files = vec![("t/template.toml", toml.as_str()), ("t/sms.txt.hbs", text)];
    files.extend_from_slice(more);
    load(&files)
}

pub(in crate::template) fn event(data: Value) -> Value {
    json!({"name": "pointsIssued", "id": "e-1", "org": 41007, "created_at": 1_798_920_664_080_i64, "data": data})
}

/// Renders template `t` as SMS.
pub(in crate::template) fn sms(set: &TemplateSet, data: Value, customer: &Customer) -> Result<String, RenderError> {
    let event = event(data);
    let org = org();
    let now = Time::from_millis(1_798_920_664_080);
    let input = RenderInput { channel: Channel::Sms, event: &event, items: &[], customer, org: &org, now };
    match set.render(&id("t"), &input)? {
        Content::Sms { text, .. } => Ok(text.expose().to_owned()),
        Content::Email { .. } => panic!("asked for an SMS"),
    }
}

/// Renders one free SMS text with data, for Asha in English.
pub(in crate::template) fn say(text: &str, data: Value) -> Result<String, RenderError> {
    let set = sms_set(text, &[]).unwrap_or_else(|f| panic!("{f:?}"));
    sms(&set, data, &customer(&[("first_name", "Asha")], "en-IN"))
}
