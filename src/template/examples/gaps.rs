//! Marks that a value is lacking in a finished text.

/// What a gap looks like, if there is one.
pub(super) fn find(text: &str) -> Option<&'static str> {
    for line in text.lines() {
        let line = line.trim();
        for (mark, name) in [(" ,", "a comma after a space"), (" ،", "a comma after a space"), ("()", "empty brackets")]
        {
            if line.contains(mark) {
                return Some(name);
            }
        }
        if line.contains(" . ") || line.ends_with(" .") {
            return Some("a full stop after a space");
        }
        if line.starts_with([',', '،']) {
            return Some("a line that begins with a comma");
        }
        let lower = line.to_lowercase();
        if ["dear,", "dear!", "प्रिय,", "عزيزي،"].iter().any(|g| lower.starts_with(g)) {
            return Some("an empty greeting");
        }
        let machine = |w: &str| matches!(w, "null" | "undefined" | "NaN" | "[object]" | "[object");
        if line.split(|c: char| c.is_whitespace() || c == ',' || c == '.').any(machine) {
            return Some("a word that only machines say");
        }
        if line.contains("{{") || line.contains("}}") {
            return Some("a tag that was not replaced");
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn gaps_are_seen_and_sentences_are_left_alone() {
        for text in ["Dear ,", "Dear,\nyou", "You have . Bye", "Total null points", "Hello {{x}}", "Valid until ()"] {
            assert!(find(text).is_some(), "{text}");
        }
        for text in ["Hello,", "You earned 1,250.50 points.", "It was annulled.", "नमस्ते आशा, आपको 5 अंक मिले।", "3.5 kg"]
        {
            assert_eq!(find(text), None, "{text}");
        }
    }
}
