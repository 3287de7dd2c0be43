//! What the tests of all providers send.

use std::collections::BTreeMap;

use crate::message::{Email, Mailbox, Sms};
use crate::personal::Personal;

pub(super) fn email() -> Email {
    Email {
        from: Mailbox { name: Some("Acme".into()), address: "rewards@acme.example".into() },
        reply_to: None,
        to: Personal::new("asha@example.com"),
        to_name: Some(Personal::new("Asha")),
        subject: Personal::new("Points"),
        html: Some(Personal::new("<p>Hello</p>")),
        text: Personal::new("Hello\n.\nBye"),
        message_id: "<01abc@mail.acme.example>".into(),
        headers: vec![],
    }
}

pub(super) fn sms() -> Sms {
    Sms {
        sender: "ACMERW".into(),
        to: Personal::new("+919812345678"),
        text: Personal::new("Dear Asha, you earned 25 points."),
        vars: vec![Personal::new("Asha"), Personal::new("25")],
        registration: BTreeMap::from([("entity_id".into(), "1101".into()), ("template_id".into(), "65f0a".into())]),
    }
}
