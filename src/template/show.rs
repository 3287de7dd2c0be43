//! A rendered message as text for a terminal: an exit for made-up people only (`render` takes its customer from a file).
//!
//! Promises: what would go out, and what it costs.
//! Never: called for a person of the vault.

use super::{Content, segments};

/// The message for a terminal; with `html`, the HTML part of a mail where it has one.
pub fn show_content(content: &Content, html: bool) -> String {
    match content {
        Content::Email { html: Some(part), .. } if html => part.expose().to_owned(),
        Content::Email { subject, text, .. } => format!("Subject: {}\n\n{}", subject.expose(), text.expose()),
        Content::Sms { text, vars, registration } => {
            let cost = segments::count(text.expose());
            let many = |n: usize, one: &str| format!("{n} {one}{}", if n == 1 { "" } else { "s" });
            let mut out = format!("{}\n\n{}", text.expose(), many(cost.count, "segment"));
            if let Some(c) = cost.forced_by {
                out.push_str(&format!(" (UCS-2 because of `{c}`"));
                if let Some(instead) = segments::substitute(c) {
                    out.push_str(&format!("; `{instead}` would keep it in the cheaper alphabet"));
                }
                out.push(')');
            }
            out.push_str(&format!(", {}", many(vars.len(), "variable")));
            if let Some(id) = registration.get("template_id") {
                out.push_str(&format!(", registered as {id}"));
            }
            out
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::personal::Personal;

    #[test]
    fn a_message_is_shown_with_its_price() {
        let registration: BTreeMap<_, _> = [("template_id".to_owned(), "1107".to_owned())].into();
        let sms = Content::Sms { text: Personal::new("It’s here"), vars: vec![Personal::new("x")], registration };
        insta::assert_snapshot!(show_content(&sms, false), @r#"
        It’s here

        1 segment (UCS-2 because of `’`; `'` would keep it in the cheaper alphabet), 1 variable, registered as 1107
        "#);
        let mail = |html: Option<&str>| Content::Email {
            subject: Personal::new("S"),
            html: html.map(Personal::new),
            text: Personal::new("T"),
        };
        assert_eq!(show_content(&mail(Some("<p>")), true), "<p>");
        assert_eq!(show_content(&mail(None), true), "Subject: S\n\nT");
    }
}
