//! Text to words. Index, query and highlighter cut texts in this one way, or they would not meet.

use std::ops::Range;

use super::fold::{is_combining, push_folded};

/// Longer words are cut: nobody types them, and a term has to be bounded.
const LONGEST: usize = 64;

/// A word of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// The word, folded.
    pub text: String,
    /// Where it stands in the text, in bytes.
    pub range: Range<usize>,
}

/// The words of a text in order. Letters and digits make words, apostrophes within them are dropped, and each Han or
/// kana character is a word of its own, since those scripts leave no spaces.
pub fn words(text: &str) -> Vec<Word> {
    let mut found = Vec::new();
    let mut open: Option<Word> = None;
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        let end = at + character.len_utf8();
        if is_ideographic(character) {
            found.extend(open.take());
            found.push(Word {
                text: character.to_string(),
                range: at..end,
            });
        } else if character.is_alphanumeric() {
            let word = open.get_or_insert_with(|| Word {
                text: String::new(),
                range: at..end,
            });
            if word.text.chars().count() < LONGEST {
                push_folded(character, &mut word.text);
            }
            word.range.end = end;
        } else if let Some(word) = open.as_mut().filter(|_| is_combining(character)) {
            word.range.end = end;
        } else {
            let joins = matches!(character, '\'' | '\u{2019}')
                && characters
                    .peek()
                    .is_some_and(|(_, next)| next.is_alphanumeric() && !is_ideographic(*next));
            if !joins {
                found.extend(open.take());
            }
        }
    }
    found.extend(open.take());
    found.retain(|word| !word.text.is_empty());
    found
}

/// The words of a text without their places.
pub fn terms(text: &str) -> Vec<String> {
    words(text).into_iter().map(|word| word.text).collect()
}

/// The words of a text with one space between them: two texts that differ only in case, accents and punctuation have
/// the same key.
pub fn key(text: &str) -> String {
    terms(text).join(" ")
}

fn is_ideographic(character: char) -> bool {
    matches!(character,
        '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{323af}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn letters_and_digits_make_words() {
        assert_eq!(terms("Jazz-Night #42: live!"), ["jazz", "night", "42", "live"]);
    }

    #[test]
    fn an_apostrophe_within_a_word_is_dropped_and_one_around_it_ends_it() {
        assert_eq!(terms("Rock'n'Roll isn’t 'dead'"), ["rocknroll", "isnt", "dead"]);
    }

    #[test]
    fn decomposed_letters_stay_in_their_word() {
        assert_eq!(terms("un cafe\u{301} noir"), ["un", "cafe", "noir"]);
    }

    #[test]
    fn scripts_without_spaces_are_cut_into_characters() {
        assert_eq!(terms("東京 Jazz"), ["東", "京", "jazz"]);
    }

    #[test]
    fn texts_that_differ_in_case_and_punctuation_have_one_key() {
        assert_eq!(key("  Café – Noir!"), key("cafe noir"));
    }

    proptest! {
        #[test]
        fn ranges_are_ordered_and_lie_on_characters(text in "\\PC{0,60}") {
            let mut last = 0;
            for word in words(&text) {
                prop_assert!(word.range.start >= last && word.range.end > word.range.start);
                prop_assert!(text.get(word.range.clone()).is_some());
                last = word.range.end;
            }
        }
    }
}
