//! Light stemming. A document is stemmed as its language asks; a query, whose language nobody knows, as all of them do.

use tantivy::tokenizer::{Language, RawTokenizer, Stemmer, TextAnalyzer};

/// The languages that are stemmed, by primary tag.
const LANGUAGES: [(&str, Language); 10] = [
    ("en", Language::English),
    ("de", Language::German),
    ("fr", Language::French),
    ("es", Language::Spanish),
    ("pt", Language::Portuguese),
    ("it", Language::Italian),
    ("nl", Language::Dutch),
    ("sv", Language::Swedish),
    ("da", Language::Danish),
    ("ru", Language::Russian),
];

/// The stems of a document's words. `language` is its folded BCP 47 tag; English where it is unknown.
pub(super) fn indexed(words: &[String], language: &str) -> Vec<String> {
    let primary = language.split('-').next().unwrap_or_default();
    let known = LANGUAGES.iter().find(|(tag, _)| *tag == primary);
    let mut analyzer = analyzer(known.map_or(Language::English, |(_, language)| *language));
    words.iter().map(|word| stem(&mut analyzer, word)).collect()
}

/// Every stem that a word of a query may have.
pub(super) fn queried(word: &str) -> Vec<String> {
    let mut stems: Vec<String> = LANGUAGES
        .iter()
        .map(|(_, language)| stem(&mut analyzer(*language), word))
        .collect();
    stems.sort_unstable();
    stems.dedup();
    stems
}

/// The English stem, by which the highlighter tells inflected words.
pub(super) fn english(word: &str) -> String {
    stem(&mut analyzer(Language::English), word)
}

fn analyzer(language: Language) -> TextAnalyzer {
    TextAnalyzer::builder(RawTokenizer::default())
        .filter(Stemmer::new(language))
        .build()
}

fn stem(analyzer: &mut TextAnalyzer, word: &str) -> String {
    let mut stream = analyzer.token_stream(word);
    match stream.next() {
        Some(token) => token.text.clone(),
        None => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_meets_a_document_in_the_documents_language() {
        for (language, written, typed) in [
            ("en", "concerts", "concert"),
            ("de", "konzerte", "konzert"),
            ("xx", "streaming", "streams"),
        ] {
            let stem = indexed(&[written.to_owned()], language).remove(0);
            assert!(queried(typed).contains(&stem), "{written} {typed}");
        }
    }
}
