//! How many typing mistakes lie between two words.

/// How many mistakes are forgiven in a word of the query: one from 4 characters, two from 8. Words beyond 32 characters
/// have to be right: the automaton that finds the others grows with them.
pub fn forgiven(word: &str) -> u8 {
    match word.chars().count() {
        0..=3 => 0,
        4..=7 => 1,
        8..=32 => 2,
        _ => 0,
    }
}

/// True when at most `limit` insertions, deletions, substitutions or swaps of neighbours lie between the words
/// (optimal string alignment, as the index's automaton counts).
pub fn within(left: &str, right: &str, limit: u8) -> bool {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    if left.len().abs_diff(right.len()) > usize::from(limit) {
        return false;
    }
    last_row(&left, &right)
        .last()
        .is_some_and(|distance| *distance <= usize::from(limit))
}

/// True when some beginning of `word` is at most `limit` mistakes from `prefix`.
pub fn prefix_within(prefix: &str, word: &str, limit: u8) -> bool {
    let (prefix, word): (Vec<char>, Vec<char>) = (prefix.chars().collect(), word.chars().collect());
    last_row(&prefix, &word)
        .into_iter()
        .any(|distance| distance <= usize::from(limit))
}

/// Distances between the whole of `left` and each beginning of `right`.
fn last_row(left: &[char], right: &[char]) -> Vec<usize> {
    let mut before = Vec::new();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.iter().enumerate() {
        let mut next = Vec::with_capacity(row.len());
        next.push(i + 1);
        for (j, r) in right.iter().enumerate() {
            let mut best = (row[j + 1] + 1)
                .min(next[j] + 1)
                .min(row[j] + usize::from(l != r));
            if i > 0 && j > 0 && *l == right[j - 1] && left[i - 1] == *r {
                best = best.min(before[j - 1] + 1);
            }
            next.push(best);
        }
        before = std::mem::replace(&mut row, next);
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_words_have_to_be_right_and_long_ones_may_have_two_mistakes() {
        let allowed: Vec<_> = ["pop", "jazz", "concert", "symphony"].map(forgiven).into();
        assert_eq!(allowed, [0, 1, 1, 2]);
    }

    #[test]
    fn a_swap_of_neighbours_is_one_mistake() {
        assert!(within("jzaz", "jazz", 1));
        assert!(!within("jzza", "jazz", 1));
    }

    #[test]
    fn every_kind_of_mistake_counts_one() {
        for typed in ["jaz", "jazzz", "jabz"] {
            assert!(within(typed, "jazz", 1), "{typed}");
            assert!(!within(typed, "jazz", 0), "{typed}");
        }
    }

    #[test]
    fn a_mistaken_beginning_is_found_in_a_longer_word() {
        assert!(prefix_within("simph", "symphony", 1));
        assert!(!prefix_within("simpf", "symphony", 1));
    }
}
