//! Queries in the index's terms: what matches, and what each kind of match is worth.
//!
//! Scores are multiples of a quarter. A word counts once, by its best match: in the title 8, the handle 6, the channel's
//! name or an inflected form in the title 5, the tags 4, the description 2; a beginning or a misspelling less than any of
//! them where it stands.

use std::ops::Bound;

use tantivy::query::{
    AllQuery, BooleanQuery, ConstScoreQuery, DisjunctionMaxQuery, EmptyQuery, FuzzyTermQuery, Occur,
    PhraseQuery, Query as IndexQuery, RangeQuery, TermQuery, TermSetQuery,
};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{DateTime, Term};

use super::schema::Fields;
use crate::domain::distance::forgiven;
use crate::domain::fold::fold;
use crate::domain::words::key;
use crate::domain::{Filter, Kind, Prefix, Query, State};
use crate::store::stems;

type Clause = (Occur, Box<dyn IndexQuery>);

/// Words of one query that are looked up with mistakes; the rest has to be right. An automaton is made for each.
const MOST_FORGIVEN: usize = 8;

/// What a search matches.
pub(super) fn search(fields: &Fields, query: &Query) -> BooleanQuery {
    let terms = query.terms();
    let mut clauses = filters(fields, &query.filter);
    if terms.is_empty() {
        if query.text.trim().is_empty() {
            clauses.push((Occur::Must, worth(AllQuery, 0.0)));
            clauses.extend(order_of_kinds(fields, 1.0));
        } else {
            // Something was typed, but nothing that could be found: `!?`.
            clauses.push((Occur::Must, Box::new(EmptyQuery)));
        }
        return BooleanQuery::new(clauses);
    }

    let last = terms.len() - 1;
    let words = terms.iter().enumerate().map(|(at, term)| {
        let open = at == last && query.last_is_open();
        Box::new(word(fields, term, open, at < MOST_FORGIVEN)) as Box<dyn IndexQuery>
    });
    let required = Query::required(terms.len());
    let words = BooleanQuery::union_with_minimum_required_clauses(words.collect(), required);
    clauses.push((Occur::Must, Box::new(words)));

    if terms.len() > 1 {
        let phrase = terms.iter().map(|term| text(fields.title, term)).collect();
        clauses.push((Occur::Should, worth(PhraseQuery::new(phrase), 4.0)));
    }
    clauses.push((
        Occur::Should,
        exactly(text(fields.title_key, &key(&query.text)), 8.0),
    ));
    clauses.extend(
        [State::Live, State::Scheduled]
            .into_iter()
            .zip([1.0, 0.5])
            .map(|(state, score)| {
                let term = text(fields.state, state.as_str());
                (Occur::Should, exactly(term, score))
            }),
    );
    BooleanQuery::new(clauses)
}

/// What a prefix completes to. Well-typed words come before misspelt ones, then [`order_of_kinds`] decides, then whether
/// the text begins with what was typed.
pub(super) fn suggest(fields: &Fields, prefix: &Prefix) -> BooleanQuery {
    let mut clauses = vec![(Occur::Must, of_kind(fields, None))];
    for term in &prefix.complete {
        clauses.push((Occur::Must, one_of(near(fields.title, term, &[16.0, 8.0, 4.0]))));
    }
    let open = text(fields.title, &prefix.open);
    let mut beginnings = vec![worth(FuzzyTermQuery::new_prefix(open.clone(), 0, true), 16.0)];
    if prefix.forgiven() > 0 {
        beginnings.push(worth(
            FuzzyTermQuery::new_prefix(open, prefix.forgiven(), true),
            8.0,
        ));
    }
    clauses.push((Occur::Must, one_of(beginnings)));
    clauses.extend(order_of_kinds(fields, 0.5));
    let whole = FuzzyTermQuery::new_prefix(text(fields.title_key, &prefix.key()), 0, true);
    clauses.push((Occur::Should, worth(whole, 0.25)));
    BooleanQuery::new(clauses)
}

/// The best match of one word.
fn word(fields: &Fields, term: &str, open: bool, forgive: bool) -> DisjunctionMaxQuery {
    let mut matches = vec![
        exactly(text(fields.title, term), 8.0),
        exactly(text(fields.handle, term), 6.0),
        exactly(text(fields.channel, term), 5.0),
        exactly(text(fields.labels, term), 4.0),
        exactly(text(fields.description, term), 2.0),
    ];
    let inflected = stems::queried(term);
    let any = |field: Field| TermSetQuery::new(inflected.iter().map(move |stem| text(field, stem)));
    matches.push(worth(any(fields.title_stems), 5.0));
    matches.push(worth(any(fields.stems), 1.5));
    if open && term.chars().count() >= 2 {
        matches.push(worth(
            FuzzyTermQuery::new_prefix(text(fields.title, term), 0, true),
            4.5,
        ));
        matches.push(worth(
            FuzzyTermQuery::new_prefix(text(fields.words, term), 0, true),
            1.25,
        ));
    }
    if forgive {
        matches.extend(near(fields.title, term, &[8.0, 2.5, 1.75]));
        matches.extend(near(fields.words, term, &[1.5, 1.0, 0.5]));
    }
    DisjunctionMaxQuery::new(matches)
}

/// The word with no, one and two mistakes, as far as its length forgives them, each worth what `scores` says.
fn near(field: Field, term: &str, scores: &[f32; 3]) -> Vec<Box<dyn IndexQuery>> {
    (0..=forgiven(term))
        .zip(scores)
        .map(|(mistakes, score)| match mistakes {
            0 => exactly(text(field, term), *score),
            _ => worth(FuzzyTermQuery::new(text(field, term), mistakes, true), *score),
        })
        .collect()
}

/// Live first, then announced, then channels, then what is over, then what was called off.
fn order_of_kinds(fields: &Fields, step: f32) -> Vec<Clause> {
    let order = [
        (text(fields.state, State::Live.as_str()), 4.0),
        (text(fields.state, State::Scheduled.as_str()), 3.0),
        (text(fields.kind, Kind::Channel.as_str()), 2.0),
        (text(fields.state, State::Ended.as_str()), 1.0),
    ];
    order
        .into_iter()
        .map(|(term, rank)| (Occur::Should, exactly(term, rank * step)))
        .collect()
}

fn filters(fields: &Fields, filter: &Filter) -> Vec<Clause> {
    let mut clauses = vec![(Occur::Must, of_kind(fields, filter.kind))];
    let mut must = |term: Term| clauses.push((Occur::Must, exactly(term, 0.0)));
    if let Some(state) = filter.state {
        must(text(fields.state, state.as_str()));
    }
    if let Some(genre) = &filter.genre {
        must(text(fields.genre, &key(genre)));
    }
    if let Some(language) = &filter.language {
        must(text(fields.language, &fold(language)));
    }
    if filter.start_after.is_some() || filter.start_before.is_some() {
        let at = |time: jiff::Timestamp| {
            Term::from_field_date(
                fields.start,
                DateTime::from_timestamp_millis(time.as_millisecond()),
            )
        };
        let from = filter
            .start_after
            .map_or(Bound::Unbounded, |time| Bound::Included(at(time)));
        let until = filter
            .start_before
            .map_or(Bound::Unbounded, |time| Bound::Excluded(at(time)));
        clauses.push((Occur::Must, worth(RangeQuery::new(from, until), 0.0)));
    }
    clauses
}

fn of_kind(fields: &Fields, kind: Option<Kind>) -> Box<dyn IndexQuery> {
    let kinds = kind.map_or(vec![Kind::Channel, Kind::Event], |kind| vec![kind]);
    worth(
        TermSetQuery::new(kinds.into_iter().map(|kind| text(fields.kind, kind.as_str()))),
        0.0,
    )
}

fn text(field: Field, text: &str) -> Term {
    Term::from_field_text(field, text)
}

fn exactly(term: Term, score: f32) -> Box<dyn IndexQuery> {
    worth(TermQuery::new(term, IndexRecordOption::Basic), score)
}

fn worth(query: impl IndexQuery, score: f32) -> Box<dyn IndexQuery> {
    Box::new(ConstScoreQuery::new(Box::new(query), score))
}

fn one_of(queries: Vec<Box<dyn IndexQuery>>) -> Box<dyn IndexQuery> {
    Box::new(DisjunctionMaxQuery::new(queries))
}
