//! The nearest known word, for hints.
//!
//! Promises: pure; work is bounded, because long words have no neighbour.
//! Never: a guess that shares too little with what was typed.

/// The known word that differs least from `word`, if it differs by no more than a third of the longer one's letters.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed: Vec<char> = plain(word).take(65).collect();
    if typed.len() > 64 {
        return None;
    }
    known
        .into_iter()
        .map(|candidate| (distance(&typed, &plain(candidate).collect::<Vec<_>>()), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len().max(typed.len()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Case and the kind of dash are no difference.
fn plain(word: &str) -> impl Iterator<Item = char> + '_ {
    word.chars().flat_map(char::to_lowercase).map(|c| if c == '-' { '_' } else { c })
}

/// Insertions, deletions and replacements between two words; a swap of neighbours counts once.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut best = (last[j] + usize::from(x != y)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                best = best.min(before_last[j - 1] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_finds_its_word() {
        let known = ["on", "when", "recipients", "first_of", "expires_after", "expires_at", "live_from"];
        for (typed, expected) in [
            ("recipient", Some("recipients")),
            ("recipeints", Some("recipients")),
            ("liveFrom", Some("live_from")),
            ("expire_at", Some("expires_at")),
            ("WHEN", Some("when")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(typed, known), expected, "{typed}");
        }
        assert_eq!(nearest(&"x".repeat(100_000), known), None);
    }
}
