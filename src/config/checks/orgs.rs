//! Checks of orgs, senders and what templates are allowed.
//!
//! Promises: a permission that could never let anything through is named.
//! Never: a look at the templates themselves; `template` checks them against these permissions.

use std::collections::BTreeSet;

use super::Check;
use crate::config::secrets::join;
use crate::config::settings::at;

pub(super) fn check(check: &mut Check<'_>) {
    let mut roles = BTreeSet::new();
    for org in check.names(&["org"]) {
        let senders = at(&["org", &org, "sender"]);
        for role in check.settings.names(&senders) {
            let sender = join(&senders, &role);
            let has = |key: &str| check.settings.get(&join(&sender, key)).is_some();
            if !has("email") && !has("sms") {
                check.fault(
                    &sender,
                    "has neither email nor sms",
                    "add `email = \"Acme <rewards@acme.example>\"` or `sms`",
                );
            }
            roles.insert(role);
        }
    }
    let has_orgs = !check.names(&["org"]).is_empty();
    for template in check.names(&["templates", "allow"]) {
        let allow = at(&["templates", "allow", &template]);
        for key in ["categories", "senders"] {
            let list = join(&allow, key);
            if check.settings.items(&list).is_some_and(<[_]>::is_empty) {
                check.fault(&list, "empty, so the template can never send", "name at least one");
            }
        }
        let senders = join(&allow, "senders");
        for role in check.settings.parsed_items::<String>(&senders).unwrap_or_default() {
            if has_orgs && !roles.contains(&role) {
                let what = format!("no org has a sender `{role}`");
                check.warn(&senders, what, format!("add [org.<id>.sender.{role}]"));
            }
        }
    }
}
