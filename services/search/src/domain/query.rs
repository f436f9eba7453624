//! What somebody looks for.

use jiff::Timestamp;

use super::document::{Kind, State};
use super::words;

/// Conditions that a result has to meet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only this kind.
    pub kind: Option<Kind>,
    /// Only events in this state.
    pub state: Option<State>,
    /// Only events of this genre; case and accents do not matter.
    pub genre: Option<String>,
    /// Only this language; `en` also finds `en-GB`.
    pub language: Option<String>,
    /// Only events announced to start at or after this.
    pub start_after: Option<Timestamp>,
    /// Only events announced to start before this.
    pub start_before: Option<Timestamp>,
}

/// A search.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// What was typed; empty finds everything.
    pub text: String,
    /// Conditions.
    pub filter: Filter,
}

impl Query {
    /// The words to look for, each once, in the order typed. Beyond 24 the rest is ignored.
    pub fn terms(&self) -> Vec<String> {
        let mut terms: Vec<String> = Vec::new();
        for term in words::terms(&self.text) {
            if !terms.contains(&term) && terms.len() < 24 {
                terms.push(term);
            }
        }
        terms
    }

    /// True while the last word may go on: nothing was typed after it.
    pub fn last_is_open(&self) -> bool {
        self.text.chars().next_back().is_some_and(char::is_alphanumeric)
    }

    /// How many of `count` words a result has to have: both of two, two of three, three of four.
    pub fn required(count: usize) -> usize {
        if count <= 2 { count } else { count - count / 3 }
    }
}

/// The beginning of something that somebody types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix {
    /// The words that are complete.
    pub complete: Vec<String>,
    /// The word being typed.
    pub open: String,
}

impl Prefix {
    /// What was typed, or `None` when there is no word in it.
    pub fn parse(text: &str) -> Option<Self> {
        let mut complete = words::terms(text);
        complete.truncate(24);
        let open = complete.pop()?;
        Some(Self { complete, open })
    }

    /// How many mistakes are forgiven in the word being typed: one from 4 characters.
    pub fn forgiven(&self) -> u8 {
        u8::from((4..=32).contains(&self.open.chars().count()))
    }

    /// What was typed, as a key.
    pub fn key(&self) -> String {
        let mut words = self.complete.clone();
        words.push(self.open.clone());
        words.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_typed_twice_is_looked_for_once() {
        let query = Query {
            text: "Duran duran LIVE".into(),
            ..Query::default()
        };
        assert_eq!(query.terms(), ["duran", "live"]);
    }

    #[test]
    fn both_of_two_words_are_required_and_most_of_more() {
        let required: Vec<_> = (0..=6).map(Query::required).collect();
        assert_eq!(required, [0, 1, 2, 2, 3, 4, 4]);
    }

    #[test]
    fn the_last_word_is_open_until_something_follows_it() {
        assert!(
            Query {
                text: "jazz ni".into(),
                ..Query::default()
            }
            .last_is_open()
        );
        assert!(
            !Query {
                text: "jazz ni ".into(),
                ..Query::default()
            }
            .last_is_open()
        );
    }

    #[test]
    fn a_prefix_is_the_complete_words_and_the_open_one() {
        let prefix = Prefix::parse("Late Night Ja").unwrap();
        assert_eq!(
            (prefix.complete, prefix.open.as_str()),
            (vec!["late".into(), "night".into()], "ja")
        );
        assert_eq!(Prefix::parse(" !? "), None);
    }
}
