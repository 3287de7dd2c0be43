//! How people write an alias: `external_id:GT0042`.
//!
//! Promises: the value is taken as it is; only the kind has a grammar.
//! Never: a value in an error (there is none: a text that fits gives an alias, another gives nothing).

use super::AliasKind;

impl AliasKind {
    /// Every kind, strongest first.
    pub const ALL: [Self; 6] =
        [Self::CustomerId, Self::ExternalId, Self::Card, Self::CardExternalId, Self::Mobile, Self::Email];

    /// Splits `kind:value`. `None` if the kind is not known or the value is blank.
    pub fn split(text: &str) -> Option<(Self, &str)> {
        let (kind, value) = text.split_once(':')?;
        let kind = Self::ALL.into_iter().find(|known| known.as_str() == kind.trim())?;
        let value = value.trim();
        (!value.is_empty()).then_some((kind, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_text_is_a_kind_and_an_opaque_value() {
        assert_eq!(AliasKind::split("external_id:GT:0042"), Some((AliasKind::ExternalId, "GT:0042")));
        assert_eq!(AliasKind::split(" customer_id : 7 "), Some((AliasKind::CustomerId, "7")));
        assert_eq!(AliasKind::split("phone:1"), None);
        assert_eq!(AliasKind::split("card: "), None);
        assert_eq!(AliasKind::split("GT0042"), None);
    }
}
