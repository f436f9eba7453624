//! Filters of lists: the subset of AIP-160 that [`Condition`] names, joined by AND.

use std::fmt;

use jiff::Timestamp;

use super::event::{LiveEvent, State};
use crate::config::micros;

/// Longer filters are refused before they are read.
const MAX_LENGTH: usize = 2_000;
const ALLOWED: &str = "state, genre, language or scheduled_start_time";

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Condition {
    State(State),
    Genre(String),
    Language(String),
    Start(Comparison, Timestamp),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Below,
    AtMost,
    AtLeast,
    Above,
}

/// Conditions that must all hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter(pub(crate) Vec<Condition>);

/// Where a filter is wrong, and what would be right there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    /// In characters, from 1.
    column: usize,
    problem: String,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column {}: {}", self.column, self.problem)
    }
}

impl Condition {
    fn holds(&self, event: &LiveEvent) -> bool {
        let start = event.details.scheduled_start_time;
        match self {
            Self::State(state) => event.state == *state,
            Self::Genre(genre) => event.details.genre == *genre,
            Self::Language(language) => event.details.language.eq_ignore_ascii_case(language),
            Self::Start(Comparison::Below, at) => start < *at,
            Self::Start(Comparison::AtMost, at) => start <= *at,
            Self::Start(Comparison::AtLeast, at) => start >= *at,
            Self::Start(Comparison::Above, at) => start > *at,
        }
    }
}

impl Filter {
    /// Reads a filter; an empty one holds for everything.
    pub(crate) fn parse(text: &str) -> Result<Self, SyntaxError> {
        if text.len() > MAX_LENGTH {
            return Err(SyntaxError {
                column: 1,
                problem: format!("is longer than {MAX_LENGTH} bytes"),
            });
        }
        let mut tokens = Tokens::new(text);
        let mut conditions = Vec::new();
        if tokens.peek()?.kind == Kind::End {
            return Ok(Self::default());
        }
        loop {
            conditions.push(condition(&mut tokens)?);
            let token = tokens.next()?;
            match &token.kind {
                Kind::End => return Ok(Self(conditions)),
                Kind::Word(word) if word == "AND" => {}
                other => {
                    return Err(token.expected("AND or the end of the filter", other));
                }
            }
        }
    }

    /// True when all conditions hold for the event.
    pub(crate) fn holds(&self, event: &LiveEvent) -> bool {
        self.0.iter().all(|condition| condition.holds(event))
    }

    /// The one state that is asked for first, if any.
    pub(crate) fn state(&self) -> Option<State> {
        self.0.iter().find_map(|condition| match condition {
            Condition::State(state) => Some(*state),
            _ => None,
        })
    }

    /// The tightest lower bound of the start, and whether the bound itself is within.
    pub(crate) fn lower(&self) -> Option<(Timestamp, bool)> {
        let bounds = self.0.iter().filter_map(|condition| match condition {
            Condition::Start(Comparison::AtLeast, at) => Some((*at, true)),
            Condition::Start(Comparison::Above, at) => Some((*at, false)),
            _ => None,
        });
        bounds.max_by_key(|(at, within)| (*at, !within))
    }

    /// The tightest upper bound of the start, and whether the bound itself is within.
    pub(crate) fn upper(&self) -> Option<(Timestamp, bool)> {
        let bounds = self.0.iter().filter_map(|condition| match condition {
            Condition::Start(Comparison::AtMost, at) => Some((*at, true)),
            Condition::Start(Comparison::Below, at) => Some((*at, false)),
            _ => None,
        });
        bounds.min_by_key(|(at, within)| (*at, *within))
    }
}

fn condition(tokens: &mut Tokens<'_>) -> Result<Condition, SyntaxError> {
    let field = tokens.next()?;
    let name = match &field.kind {
        Kind::Word(word)
            if matches!(
                word.as_str(),
                "state" | "genre" | "language" | "scheduled_start_time"
            ) =>
        {
            word.clone()
        }
        other => return Err(field.expected(&format!("one of the fields {ALLOWED}"), other)),
    };
    let operator = tokens.next()?;
    let symbol = match &operator.kind {
        Kind::Operator(symbol) => *symbol,
        other => return Err(operator.expected("a comparison", other)),
    };
    let is_time = name == "scheduled_start_time";
    let comparison = match symbol {
        "<" => Some(Comparison::Below),
        "<=" => Some(Comparison::AtMost),
        ">=" => Some(Comparison::AtLeast),
        ">" => Some(Comparison::Above),
        _ => None,
    };
    if is_time != comparison.is_some() || symbol == "!=" {
        let allowed = if is_time { "<, <=, >= or >" } else { "=" };
        return Err(operator.expected(&format!("{allowed} after `{name}`"), &operator.kind));
    }
    let value = tokens.next()?;
    let text = match &value.kind {
        Kind::Word(text) | Kind::Quoted(text) => text.clone(),
        other => return Err(value.expected("a value", other)),
    };
    match (name.as_str(), comparison) {
        ("state", _) => {
            let bare = text.strip_prefix("EVENT_STATE_").unwrap_or(&text);
            let state = State::ALL.iter().find(|state| state.as_filter() == bare);
            let state = state
                .ok_or_else(|| value.expected("a state: SCHEDULED, LIVE, ENDED or CANCELLED", &value.kind))?;
            Ok(Condition::State(*state))
        }
        ("genre", _) => Ok(Condition::Genre(text)),
        ("language", _) => Ok(Condition::Language(text)),
        (_, comparison) => {
            let time: Timestamp = text.parse().map_err(|_| {
                value.expected(
                    "a time as in RFC 3339, for example \"2026-01-01T00:00:00Z\"",
                    &value.kind,
                )
            })?;
            Ok(Condition::Start(
                comparison.unwrap_or(Comparison::AtLeast),
                micros(time),
            ))
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Word(String),
    Quoted(String),
    Operator(&'static str),
    Other(char),
    End,
}

#[derive(Debug, Clone)]
struct Token {
    column: usize,
    kind: Kind,
}

impl Token {
    fn expected(&self, expected: &str, found: &Kind) -> SyntaxError {
        let found = match found {
            Kind::Word(word) => format!("`{}`", cut(word)),
            Kind::Quoted(text) => format!("\"{}\"", cut(text)),
            Kind::Operator(symbol) => format!("`{symbol}`"),
            Kind::Other(c) => format!("`{c}`"),
            Kind::End => "the end".to_owned(),
        };
        SyntaxError {
            column: self.column,
            problem: format!("expected {expected}, found {found}"),
        }
    }
}

fn cut(text: &str) -> String {
    text.chars().take(40).collect()
}

struct Tokens<'a> {
    rest: std::iter::Peekable<std::iter::Enumerate<std::str::Chars<'a>>>,
    length: usize,
    peeked: Option<Token>,
}

impl<'a> Tokens<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            rest: text.chars().enumerate().peekable(),
            length: text.chars().count(),
            peeked: None,
        }
    }

    fn peek(&mut self) -> Result<&Token, SyntaxError> {
        let token = match self.peeked.take() {
            Some(token) => token,
            None => self.read()?,
        };
        Ok(self.peeked.insert(token))
    }

    fn next(&mut self) -> Result<Token, SyntaxError> {
        match self.peeked.take() {
            Some(token) => Ok(token),
            None => self.read(),
        }
    }

    fn read(&mut self) -> Result<Token, SyntaxError> {
        while self.rest.next_if(|(_, c)| c.is_whitespace()).is_some() {}
        let Some((position, first)) = self.rest.next() else {
            return Ok(Token {
                column: self.length + 1,
                kind: Kind::End,
            });
        };
        let column = position + 1;
        let equals_follows = |tokens: &mut Self| tokens.rest.next_if(|(_, c)| *c == '=').is_some();
        let kind = match first {
            '=' => Kind::Operator("="),
            '<' if equals_follows(self) => Kind::Operator("<="),
            '<' => Kind::Operator("<"),
            '>' if equals_follows(self) => Kind::Operator(">="),
            '>' => Kind::Operator(">"),
            '!' if equals_follows(self) => Kind::Operator("!="),
            '"' => Kind::Quoted(self.quoted(column)?),
            c if is_word(c) => {
                let mut word = String::from(c);
                while let Some((_, c)) = self.rest.next_if(|(_, c)| is_word(*c)) {
                    word.push(c);
                }
                Kind::Word(word)
            }
            c => Kind::Other(c),
        };
        Ok(Token { column, kind })
    }

    /// The text up to the closing quote; `\"` and `\\` stand for the characters themselves.
    fn quoted(&mut self, column: usize) -> Result<String, SyntaxError> {
        let mut text = String::new();
        loop {
            match self.rest.next() {
                Some((_, '"')) => return Ok(text),
                Some((_, '\\')) => match self.rest.next() {
                    Some((_, c @ ('"' | '\\'))) => text.push(c),
                    _ => {
                        let problem = "after a backslash comes a quote or a backslash".to_owned();
                        return Err(SyntaxError { column, problem });
                    }
                },
                Some((_, c)) => text.push(c),
                None => {
                    return Err(SyntaxError {
                        column,
                        problem: "the quote is not closed".to_owned(),
                    });
                }
            }
        }
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '+' | ':')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::event::tests::{at, sample};
    use super::*;

    fn wrong(text: &str) -> String {
        Filter::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn what_the_proto_promises_is_understood() {
        let filter = Filter::parse(
            r#"state = LIVE AND genre = "music" AND language = "en" AND scheduled_start_time >= "2026-01-01T00:00:00Z""#,
        );
        let start = "2026-01-01T00:00:00Z".parse().unwrap();
        assert_eq!(
            filter.unwrap().0,
            [
                Condition::State(State::Live),
                Condition::Genre("music".into()),
                Condition::Language("en".into()),
                Condition::Start(Comparison::AtLeast, start),
            ]
        );
    }

    #[test]
    fn an_empty_filter_holds_for_everything() {
        assert!(Filter::parse("  ").unwrap().holds(&sample("e", 100)));
    }

    #[test]
    fn quotes_are_optional_and_may_hold_quotes() {
        assert_eq!(
            Filter::parse("genre=music"),
            Filter::parse(r#" genre = "music" "#)
        );
        assert_eq!(
            Filter::parse("state = EVENT_STATE_LIVE"),
            Filter::parse(r#"state = "LIVE""#)
        );
        let filter = Filter::parse(r#"genre = "a \"b\" \\ c""#).unwrap();
        assert_eq!(filter.0, [Condition::Genre(r#"a "b" \ c"#.into())]);
    }

    #[test]
    fn all_conditions_must_hold() {
        let event = sample("e", 100);
        for (text, expected) in [
            ("state = SCHEDULED AND genre = music", true),
            ("state = SCHEDULED AND genre = news", false),
            ("state = LIVE AND state = SCHEDULED", false),
            ("scheduled_start_time > 1970-01-01T00:01:40Z", false),
            ("scheduled_start_time >= 1970-01-01T00:01:40Z", true),
            ("scheduled_start_time <= 1970-01-01T00:01:40Z", true),
            ("scheduled_start_time < 1970-01-01T00:01:40Z", false),
        ] {
            assert_eq!(Filter::parse(text).unwrap().holds(&event), expected, "{text}");
        }
    }

    #[test]
    fn the_tightest_bounds_count() {
        let filter = Filter::parse(
            "scheduled_start_time >= 1970-01-01T00:00:10Z AND scheduled_start_time > 1970-01-01T00:00:10Z \
             AND scheduled_start_time < 1970-01-01T00:00:30Z AND scheduled_start_time <= 1970-01-01T00:00:40Z",
        )
        .unwrap();
        assert_eq!(filter.lower(), Some((at(10), false)));
        assert_eq!(filter.upper(), Some((at(30), false)));
    }

    #[test]
    fn an_error_says_the_column_and_what_is_allowed() {
        assert_eq!(
            wrong("genre = music AND titel = x"),
            "column 19: expected one of the fields state, genre, language or scheduled_start_time, found `titel`"
        );
        assert_eq!(
            wrong("state = ON"),
            "column 9: expected a state: SCHEDULED, LIVE, ENDED or CANCELLED, found `ON`"
        );
        assert_eq!(
            wrong("state != LIVE"),
            "column 7: expected = after `state`, found `!=`"
        );
        assert_eq!(
            wrong("scheduled_start_time = 2026-01-01T00:00:00Z"),
            "column 22: expected <, <=, >= or > after `scheduled_start_time`, found `=`"
        );
        assert_eq!(wrong("genre = "), "column 9: expected a value, found the end");
        assert_eq!(
            wrong("genre = a OR genre = b"),
            "column 11: expected AND or the end of the filter, found `OR`"
        );
        assert_eq!(
            wrong("ä genre"),
            "column 1: expected one of the fields state, genre, language or scheduled_start_time, found `ä`"
        );
        assert_eq!(wrong("genre = \"mus"), "column 9: the quote is not closed");
        assert!(
            wrong("scheduled_start_time > tomorrow").starts_with("column 24: expected a time as in RFC 3339")
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,200}") {
            let _ = Filter::parse(&text);
        }

        #[test]
        fn any_genre_can_be_asked_for(genre in "[^\\p{Cc}]{1,40}") {
            let quoted = genre.replace('\\', "\\\\").replace('"', "\\\"");
            let filter = Filter::parse(&format!("genre = \"{quoted}\"")).unwrap();
            prop_assert_eq!(filter.0, vec![Condition::Genre(genre)]);
        }
    }
}
