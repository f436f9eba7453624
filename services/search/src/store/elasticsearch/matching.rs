//! Queries in the server's terms. What each kind of match is worth is as in the embedded index: constant scores in
//! quarters, which `f32` sums exactly in any order, so that a score depends on the document and the query alone.

use serde_json::{Value, json};

use super::schema::{LANGUAGES, LONGEST_BEGINNING};
use crate::domain::distance::forgiven;
use crate::domain::fold::fold;
use crate::domain::words::key;
use crate::domain::{Filter, Kind, Prefix, Query, State};

/// Words of one query that are looked up with mistakes; the rest has to be right.
const MOST_FORGIVEN: usize = 8;

/// What a search matches.
pub(super) fn search(query: &Query) -> Value {
    let terms = query.terms();
    let filter = filters(&query.filter);
    let Some(last) = terms.len().checked_sub(1) else {
        if !query.text.trim().is_empty() {
            // Something was typed, but nothing that could be found: `!?`.
            return json!({ "match_none": {} });
        }
        return json!({ "bool": {
            "filter": filter,
            "must": worth(json!({ "match_all": {} }), 0.0),
            "should": order_of_kinds(1.0),
        } });
    };

    let words: Vec<Value> = terms
        .iter()
        .enumerate()
        .map(|(at, term)| word(term, at == last && query.last_is_open(), at < MOST_FORGIVEN))
        .collect();
    let mut extra = vec![
        exactly("title_key", &key(&query.text), 8.0),
        exactly("state", State::Live.as_str(), 1.0),
        exactly("state", State::Scheduled.as_str(), 0.5),
    ];
    if terms.len() > 1 {
        extra.push(worth(
            json!({ "match_phrase": { "title": terms.join(" ") } }),
            4.0,
        ));
    }
    json!({ "bool": {
        "filter": filter,
        "must": { "bool": { "should": words, "minimum_should_match": Query::required(terms.len()) } },
        "should": extra,
    } })
}

/// What a prefix completes to. Well-typed words come before misspelt ones, then [`order_of_kinds`] decides, then whether the text
/// begins with what was typed.
pub(super) fn suggest(prefix: &Prefix) -> Value {
    let mut must: Vec<Value> = prefix
        .complete
        .iter()
        .map(|term| best_of(&near("title", term, &[16.0, 8.0, 4.0])))
        .collect();
    let open = &prefix.open;
    let mut beginnings = vec![worth(begins("title.beginnings", "title", open), 16.0)];
    if prefix.forgiven() > 0 {
        beginnings.push(worth(misspelt("title.beginnings", open, prefix.forgiven()), 8.0));
    }
    must.push(best_of(&beginnings));
    let mut should = order_of_kinds(0.5);
    should.push(worth(
        json!({ "prefix": { "title_key": { "value": prefix.key() } } }),
        0.25,
    ));
    json!({ "bool": { "filter": [of_kind(None)], "must": must, "should": should } })
}

/// The best match of one word.
fn word(term: &str, open: bool, forgive: bool) -> Value {
    let mut matches = vec![
        worth(matching("title", term), 8.0),
        worth(matching("handle", term), 6.0),
        worth(matching("channel", term), 5.0),
        worth(matching("labels", term), 4.0),
        worth(matching("description", term), 2.0),
        worth(inflected("title_stems", term), 5.0),
        worth(inflected("stems", term), 1.5),
    ];
    if open && term.chars().count() >= 2 {
        matches.push(worth(begins("title.beginnings", "title", term), 4.5));
        matches.push(worth(json!({ "prefix": { "words": { "value": term } } }), 1.25));
    }
    if forgive {
        matches.extend(near("title", term, &[8.0, 2.5, 1.75]));
        matches.extend(near("words", term, &[1.5, 1.0, 0.5]));
    }
    best_of(&matches)
}

/// The word with no, one and two mistakes, as far as its length forgives them, each worth what `scores` says.
fn near(field: &str, term: &str, scores: &[f32; 3]) -> Vec<Value> {
    (0..=forgiven(term))
        .zip(scores)
        .map(|(mistakes, score)| match mistakes {
            0 => worth(matching(field, term), *score),
            _ => worth(misspelt(field, term, mistakes), *score),
        })
        .collect()
}

fn matching(field: &str, term: &str) -> Value {
    json!({ "match": { field: { "query": term } } })
}

/// At most so many mistakes away. All such terms of the index count, not only the first fifty.
fn misspelt(field: &str, term: &str, mistakes: u8) -> Value {
    json!({ "match": { field: {
        "query": term,
        "fuzziness": mistakes,
        "fuzzy_transpositions": true,
        "fuzzy_rewrite": "constant_score",
    } } })
}

/// A word that begins so. Beginnings are terms of their own up to a length.
fn begins(beginnings: &str, field: &str, open: &str) -> Value {
    if open.chars().count() <= LONGEST_BEGINNING {
        matching(beginnings, open)
    } else {
        json!({ "prefix": { field: { "value": open } } })
    }
}

/// The word in any form. Nobody knows the language of a query: it is stemmed as each.
fn inflected(field: &str, term: &str) -> Value {
    let fields: Vec<String> = LANGUAGES
        .iter()
        .map(|(tag, _)| format!("{field}.{tag}"))
        .collect();
    json!({ "multi_match": { "query": term, "type": "best_fields", "fields": fields } })
}

/// Live first, then announced, then channels, then what is over, then what was called off.
fn order_of_kinds(step: f32) -> Vec<Value> {
    vec![
        exactly("state", State::Live.as_str(), 4.0 * step),
        exactly("state", State::Scheduled.as_str(), 3.0 * step),
        exactly("kind", Kind::Channel.as_str(), 2.0 * step),
        exactly("state", State::Ended.as_str(), step),
    ]
}

fn filters(filter: &Filter) -> Vec<Value> {
    let mut clauses = vec![of_kind(filter.kind)];
    let mut must = |field: &str, value: String| clauses.push(json!({ "term": { field: value } }));
    if let Some(state) = filter.state {
        must("state", state.as_str().to_owned());
    }
    if let Some(genre) = &filter.genre {
        must("genre", key(genre));
    }
    if let Some(language) = &filter.language {
        must("language", fold(language));
    }
    let mut range = serde_json::Map::new();
    if let Some(after) = filter.start_after {
        range.insert("gte".to_owned(), after.as_millisecond().into());
    }
    if let Some(before) = filter.start_before {
        range.insert("lt".to_owned(), before.as_millisecond().into());
    }
    if !range.is_empty() {
        clauses.push(json!({ "range": { "start": range } }));
    }
    clauses
}

fn of_kind(kind: Option<Kind>) -> Value {
    let kinds = kind.map_or(vec![Kind::Channel, Kind::Event], |kind| vec![kind]);
    let kinds: Vec<_> = kinds.into_iter().map(Kind::as_str).collect();
    json!({ "terms": { "kind": kinds } })
}

fn exactly(field: &str, value: &str, score: f32) -> Value {
    worth(json!({ "term": { field: value } }), score)
}

fn worth(query: Value, score: f32) -> Value {
    json!({ "constant_score": { "filter": query, "boost": score } })
}

fn best_of(queries: &[Value]) -> Value {
    json!({ "dis_max": { "queries": queries } })
}
