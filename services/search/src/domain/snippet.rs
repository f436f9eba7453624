//! The piece of text that matched, safe to put into a page.

use super::distance::{forgiven, within};
use super::words::{Word, words};

/// About this many characters of a text are shown.
const LENGTH: usize = 160;

/// A word, and which word of the query it matches.
type Marked = (Word, Option<usize>);

/// Decides which words of a text a query meant.
pub struct Matcher<'a> {
    /// The folded words of the query.
    pub terms: &'a [String],
    /// Whether the last of them may go on.
    pub last_is_open: bool,
    /// Brings a folded word to its stem; two words with one stem match.
    pub stem: &'a dyn Fn(&str) -> String,
}

impl Matcher<'_> {
    /// Which term of the query the word matches. An exact match wins over a near one.
    fn matched(&self, word: &str) -> Option<usize> {
        let exact = self.terms.iter().position(|term| term == word);
        let open = || {
            let last = self
                .terms
                .last()
                .filter(|last| self.last_is_open && last.chars().count() >= 2)?;
            word.starts_with(last.as_str()).then_some(self.terms.len() - 1)
        };
        let stemmed = || {
            let stem = (self.stem)(word);
            self.terms.iter().position(|term| (self.stem)(term) == stem)
        };
        let near = || {
            self.terms
                .iter()
                .position(|term| within(term, word, forgiven(term)))
        };
        exact.or_else(open).or_else(stemmed).or_else(near)
    }
}

/// Cuts the best of the texts down to about 160 characters around its matches, escapes it for HTML and puts the matches in
/// `<em>`. Best is where most words of the query are; of equals the first. Without a match it is the beginning of the
/// last text that is not empty.
pub fn snippet(texts: &[&str], matcher: &Matcher<'_>) -> String {
    let mut best: Option<(usize, &str, Vec<Marked>)> = None;
    let mut fallback = "";
    for text in texts.iter().filter(|text| !text.is_empty()) {
        let marked: Vec<Marked> = words(text)
            .into_iter()
            .map(|word| {
                let matched = matcher.matched(&word.text);
                (word, matched)
            })
            .collect();
        let count = distinct(marked.iter().map(|(_, matched)| *matched));
        if count > best.as_ref().map_or(0, |(count, ..)| *count) {
            best = Some((count, text, marked));
        }
        fallback = text;
    }
    match best {
        Some((_, text, marked)) => cut(text, &marked),
        None => cut(fallback, &[]),
    }
}

fn distinct(matches: impl Iterator<Item = Option<usize>>) -> usize {
    let mut seen: Vec<usize> = matches.flatten().collect();
    seen.sort_unstable();
    seen.dedup();
    seen.len()
}

fn cut(text: &str, marked: &[Marked]) -> String {
    let hits: Vec<_> = marked.iter().filter(|(_, matched)| matched.is_some()).collect();
    // The window begins at the match from which most different words of the query are within reach.
    let begin = hits.iter().enumerate().max_by_key(|(at, (word, _))| {
        let reach = hits[*at..]
            .iter()
            .take_while(|(other, _)| other.range.end - word.range.start <= LENGTH);
        (
            distinct(reach.map(|(_, matched)| *matched)),
            std::cmp::Reverse(*at),
        )
    });
    let lead = begin.map_or(0, |(_, (word, _))| word.range.start);
    let whole = text.chars().count() <= LENGTH;
    let start = if whole {
        0
    } else {
        word_start(text, marked, lead.saturating_sub(LENGTH / 4))
    };
    let end = if whole {
        text.len()
    } else {
        word_end(text, marked, start)
    };

    let mut out = String::with_capacity(end - start + 32);
    if start > 0 {
        out.push('…');
    }
    let mut at = start;
    for (word, _) in hits {
        if word.range.start < start || word.range.end > end {
            continue;
        }
        escape(&text[at..word.range.start], &mut out);
        out.push_str("<em>");
        escape(&text[word.range.clone()], &mut out);
        out.push_str("</em>");
        at = word.range.end;
    }
    escape(&text[at..end], &mut out);
    if end < text.len() {
        out.push('…');
    }
    out
}

/// The beginning of the first word at or after `at`, so that no word is cut.
fn word_start(text: &str, marked: &[Marked], at: usize) -> usize {
    if at == 0 {
        return 0;
    }
    match marked.iter().find(|(word, _)| word.range.start >= at) {
        Some((word, _)) => word.range.start,
        None => text.floor_char_boundary(at),
    }
}

/// The end of the last word that begins within reach of `start`, or the reach itself in a text without words.
fn word_end(text: &str, marked: &[Marked], start: usize) -> usize {
    let reach = text[start..]
        .char_indices()
        .nth(LENGTH)
        .map_or(text.len(), |(at, _)| start + at);
    let last = marked
        .iter()
        .rev()
        .find(|(word, _)| word.range.start >= start && word.range.end <= reach);
    if reach == text.len() {
        reach
    } else {
        last.map_or(reach, |(word, _)| word.range.end)
    }
}

fn escape(text: &str, out: &mut String) {
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn show(query: &str, texts: &[&str]) -> String {
        let terms = super::super::words::terms(query);
        let stem = |word: &str| word.trim_end_matches('s').to_owned();
        snippet(
            texts,
            &Matcher {
                terms: &terms,
                last_is_open: true,
                stem: &stem,
            },
        )
    }

    #[test]
    fn matches_are_marked_as_they_were_written() {
        assert_eq!(show("cafe", &["Un Café noir"]), "Un <em>Café</em> noir");
    }

    #[test]
    fn misspelt_inflected_and_unfinished_words_are_marked() {
        assert_eq!(show("jzaz", &["Jazz"]), "<em>Jazz</em>");
        assert_eq!(show("concert ", &["Concerts"]), "<em>Concerts</em>");
        assert_eq!(show("sym", &["Symphony"]), "<em>Symphony</em>");
    }

    #[test]
    fn text_is_escaped() {
        assert_eq!(
            show("jazz", &["<script>alert('jazz' & \"more\")</script>"]),
            "&lt;script&gt;alert(&#39;<em>jazz</em>&#39; &amp; &quot;more&quot;)&lt;/script&gt;"
        );
    }

    #[test]
    fn the_text_with_most_words_of_the_query_is_shown() {
        assert_eq!(
            show("late jazz", &["Jazz", "Late and jazz"]),
            "<em>Late</em> and <em>jazz</em>"
        );
    }

    #[test]
    fn a_long_text_is_cut_at_words_around_its_matches() {
        let text = format!("{}needle {}", "before ".repeat(60), "after ".repeat(60));
        let shown = show("needle", &[&text]);
        assert!(
            shown.starts_with("…before") && shown.ends_with("after…"),
            "{shown}"
        );
        assert!(
            shown.contains("<em>needle</em>") && shown.chars().count() < LENGTH + 20,
            "{shown}"
        );
    }

    #[test]
    fn without_a_match_the_last_text_begins() {
        assert_eq!(
            show("rock", &["Title", "What it is about", ""]),
            "What it is about"
        );
    }

    proptest! {
        #[test]
        fn nothing_but_em_is_ever_a_tag(query in "\\PC{0,20}", text in "\\PC{0,400}") {
            let shown = show(&query, &[&text]).replace("<em>", "").replace("</em>", "");
            prop_assert!(!shown.contains('<') && !shown.contains('>'));
        }
    }
}
