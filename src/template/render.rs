//! One message: the right locale, the right parts, within bounds.
//!
//! Promises: the locale is the customer's, then its language, then the org's, then the root's; a message is whole or an error; no
//! part is blank.
//! Never: a value in an error.

use std::rc::Rc;

use super::context;
use super::engine::{self, Escape, Run};
use super::helpers::same_language;
use super::inline;
use super::load::{EmailParts, Part, SmsBody, SmsParts, Template};
use super::manifest::normal_locale;
use super::plaintext::tidy;
use super::{Content, RenderError, RenderInput, TemplateSet};
use crate::id::Channel;
use crate::personal::Personal;

const MAX_MAIL: usize = 1024 * 1024;
const MAX_SMS: usize = 2048;
/// RFC 5322, 2.1.1: a line has at most 998 characters.
const MAX_SUBJECT: usize = 998;

/// Renders one message.
pub(super) fn render(set: &TemplateSet, template: &Template, input: &RenderInput<'_>) -> Result<Content, RenderError> {
    let none = || RenderError::NoPart(input.channel);
    match input.channel {
        Channel::Email => {
            let locale = choose(template, input, |l| template.email.contains_key(l)).ok_or_else(none)?;
            let parts = template.email.get(locale).ok_or_else(none)?;
            Job::new(set, template, input, locale).email(parts)
        }
        Channel::Sms => {
            let locale = choose(template, input, |l| template.sms.contains_key(l)).ok_or_else(none)?;
            let parts = template.sms.get(locale).ok_or_else(none)?;
            Job::new(set, template, input, locale).sms(template, parts, locale, input)
        }
    }
}

/// The locale to use, as a name of `has`: the empty name is the root.
fn choose<'t>(template: &'t Template, input: &RenderInput<'_>, has: impl Fn(&str) -> bool) -> Option<&'t str> {
    let names = || template.email.keys().chain(template.sms.keys());
    for wish in input.customer.locale.iter().chain([&input.org.locale]) {
        let wish = normal_locale(wish);
        let mut tag = wish.as_str();
        loop {
            if let Some(name) = names().find(|n| *n == tag && has(n)) {
                return Some(name);
            }
            if template.locale == tag && has("") {
                return Some("");
            }
            match tag.rsplit_once('-') {
                Some((shorter, _)) => tag = shorter,
                None => break,
            }
        }
        // `en-GB` parts are better for an `en-US` reader than another language.
        if same_language(&wish, &template.locale) && has("") {
            return Some("");
        }
    }
    has("").then_some("").or_else(|| names().find(|n| has(n)).map(String::as_str))
}

struct Job<'j> {
    set: &'j TemplateSet,
    context: handlebars::Context,
    run: Rc<Run>,
}

impl<'j> Job<'j> {
    fn new(set: &'j TemplateSet, template: &Template, input: &RenderInput<'_>, locale: &str) -> Self {
        let data = context::build(input, &template.info.reads, &set.tables);
        let parts = if locale.is_empty() { template.locale.as_str() } else { locale };
        // The reader's region decides how numbers look, as long as the words are in the reader's language.
        let wishes = input.customer.locale.as_deref().into_iter().chain([input.org.locale.as_str()]);
        let style = wishes.into_iter().find(|w| same_language(w, parts)).unwrap_or(parts);
        let org_zone = input.org.time_zone.iana_name().unwrap_or("UTC").to_owned();
        let zone = input.customer.time_zone.as_deref().filter(|z| jiff::tz::TimeZone::get(z).is_ok());
        let run = Run {
            locale: normal_locale(style),
            zone: zone.map_or_else(|| org_zone.clone(), str::to_owned),
            org_zone,
            currency: context::currency(input.event).unwrap_or(&input.org.currency).to_owned(),
            sms: input.channel == Channel::Sms,
        };
        Self { set, context: engine::context(data), run: Rc::new(run) }
    }

    fn part(&self, part: &Part, escape: Escape, limit: usize) -> Result<String, RenderError> {
        let rendered = self.set.engine.render(
            &part.key,
            escape,
            (&part.name, limit),
            &self.context,
            &self.run,
            &self.set.tables,
        )?;
        if !part.css_at_render {
            return Ok(rendered);
        }
        match inline::after_render(&rendered) {
            Some(inlined) if inlined.len() > limit => Err(RenderError::TooLarge { part: part.name.clone(), limit }),
            Some(inlined) => Ok(inlined),
            None => Err(RenderError::Failed { part: part.name.clone(), detail: "its CSS cannot be inlined".into() }),
        }
    }

    fn email(&self, parts: &EmailParts) -> Result<Content, RenderError> {
        let subject = one_line(&self.part(&parts.subject, Escape::Plain, MAX_SUBJECT)?);
        not_blank(&subject, &parts.subject)?;
        let html = parts.html.as_ref().map(|part| self.part(part, Escape::Html, MAX_MAIL)).transpose()?;
        let text = self.part(&parts.text, Escape::Plain, MAX_MAIL)?;
        let text = if parts.derived { tidy(&text) } else { text.trim().to_owned() };
        not_blank(&text, &parts.text)?;
        Ok(Content::Email { subject: Personal::new(subject), html: html.map(Personal::new), text: Personal::new(text) })
    }

    fn sms(
        &self,
        template: &Template,
        parts: &SmsParts,
        locale: &str,
        input: &RenderInput<'_>,
    ) -> Result<Content, RenderError> {
        let (text, vars) = match &parts.body {
            SmsBody::Free(part) => {
                let text =
                    self.part(part, Escape::Plain, MAX_SMS)?.replace(['\u{a0}', '\u{202f}'], " ").trim().to_owned();
                not_blank(&text, part)?;
                (text, Vec::new())
            }
            SmsBody::Fixed { pieces, vars } => {
                let mut text = pieces.first().cloned().unwrap_or_default();
                let mut values = Vec::with_capacity(vars.len());
                for (part, after) in vars.iter().zip(pieces.iter().skip(1)) {
                    let value = one_line(&self.part(part, Escape::Plain, MAX_SMS)?);
                    not_blank(&value, part)?;
                    let chars = value.chars().count();
                    if chars > template.max_var_chars {
                        let detail = format!("has {chars} characters; {} are allowed", template.max_var_chars);
                        return Err(RenderError::Failed { part: part.name.clone(), detail });
                    }
                    text.push_str(&value);
                    text.push_str(after);
                    values.push(Personal::new(value));
                }
                if text.len() > MAX_SMS {
                    return Err(RenderError::TooLarge { part: "sms.text".into(), limit: MAX_SMS });
                }
                (text, values)
            }
        };
        let mut registration = std::collections::BTreeMap::new();
        let org = input.event.get("org").and_then(serde_json::Value::as_i64).unwrap_or_default();
        let by_org = [locale, ""].into_iter().find_map(|l| template.dlt_by_org.get(&(org, l.to_owned())));
        if let Some(id) = by_org.or(parts.dlt_template_id.as_ref()) {
            registration.insert("template_id".into(), id.clone());
        }
        Ok(Content::Sms { text: Personal::new(text), vars, registration })
    }
}

/// One line without control characters and double spaces.
fn one_line(text: &str) -> String {
    let plain = |c: char| if c.is_control() || c.is_whitespace() { ' ' } else { c };
    let text: String = text.chars().map(plain).collect();
    text.split(' ').filter(|w| !w.is_empty()).collect::<Vec<_>>().join(" ")
}

fn not_blank(text: &str, part: &Part) -> Result<(), RenderError> {
    if text.trim().is_empty() {
        return Err(RenderError::Failed { part: part.name.clone(), detail: "renders to nothing".into() });
    }
    Ok(())
}
