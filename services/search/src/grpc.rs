//! `marquee.search.v1.SearchService`: decode, ask, encode.

use marquee_error::{Invalid, Violations};
use marquee_proto::search::v1::search_service_server::SearchService;
use marquee_proto::search::v1::{
    Result as SearchResult, ResultKind, SearchRequest, SearchResponse, SuggestRequest, SuggestResponse,
    Suggestion,
};
use marquee_proto::time::{from_proto, to_proto};
use tonic::{Request, Response, Status};

use crate::Error;
use crate::app::Search;
use crate::domain::{Document, Filter, Kind, Query, State};
use crate::store::Hit;

const QUERY_CHARACTERS: usize = 200;
const PREFIX_CHARACTERS: usize = 100;
const GENRE_CHARACTERS: usize = 40;
const LANGUAGE_CHARACTERS: usize = 35;

/// The gRPC face.
pub(crate) struct SearchGrpc {
    search: Search,
}

impl SearchGrpc {
    pub(crate) fn new(search: Search) -> Self {
        Self { search }
    }
}

#[tonic::async_trait]
impl SearchService for SearchGrpc {
    async fn search(&self, request: Request<SearchRequest>) -> Result<Response<SearchResponse>, Status> {
        let request = request.into_inner();
        let (query, limit) = decode(&request).map_err(Error::from)?;
        let found = self.search.search(&query, &request.page_token, limit).await?;
        Ok(Response::new(SearchResponse {
            results: found.hits.into_iter().map(encode).collect(),
            next_page_token: found.next_page_token,
            total_size: i64::try_from(found.total).unwrap_or(i64::MAX),
        }))
    }

    async fn suggest(&self, request: Request<SuggestRequest>) -> Result<Response<SuggestResponse>, Status> {
        let request = request.into_inner();
        let mut violations = Violations::default();
        check_text(&mut violations, "prefix", &request.prefix, PREFIX_CHARACTERS);
        violations.check(!request.prefix.trim().is_empty(), "prefix", || {
            format!("must have 1 to {PREFIX_CHARACTERS} characters")
        });
        let limit = size(&mut violations, "limit", request.limit, 8, 20);
        violations.finish().map_err(Error::from)?;

        let suggestions = self.search.suggest(&request.prefix, limit).await?;
        let suggestions = suggestions
            .into_iter()
            .map(|found| Suggestion {
                text: found.text,
                name: found.name,
                kind: kind(found.kind).into(),
            })
            .collect();
        Ok(Response::new(SuggestResponse { suggestions }))
    }
}

fn decode(request: &SearchRequest) -> Result<(Query, usize), Invalid> {
    let mut violations = Violations::default();
    check_text(&mut violations, "query", &request.query, QUERY_CHARACTERS);
    check_text(&mut violations, "genre", &request.genre, GENRE_CHARACTERS);
    let kind = match ResultKind::try_from(request.kind) {
        Ok(ResultKind::Unspecified) => None,
        Ok(ResultKind::Channel) => Some(Kind::Channel),
        Ok(ResultKind::Event) => Some(Kind::Event),
        Err(_) => {
            violations.push(
                "kind",
                "must be RESULT_KIND_CHANNEL, RESULT_KIND_EVENT or not set",
            );
            None
        }
    };
    let state = set(&request.state).and_then(|text| {
        let state = State::parse(&text);
        violations.check(state.is_some(), "state", || {
            "must be `scheduled`, `live`, `ended`, `cancelled` or not set".to_owned()
        });
        state
    });
    let language = set(&request.language);
    let is_tag = language.as_ref().is_none_or(|tag| {
        tag.len() <= LANGUAGE_CHARACTERS
            && tag
                .split('-')
                .all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric()))
    });
    violations.check(is_tag, "language", || {
        "must be a BCP 47 tag such as `en` or `pt-BR`, or not set".to_owned()
    });
    let mut time = |field: &str, time: Option<&prost_types::Timestamp>| {
        let time = time?;
        let valid = from_proto(time);
        violations.check(valid.is_some(), field, || {
            "must be a time of the years -9999 to 9999".to_owned()
        });
        valid
    };
    let start_after = time("start_after", request.start_after.as_ref());
    let start_before = time("start_before", request.start_before.as_ref());
    if let (Some(after), Some(before)) = (start_after, start_before) {
        violations.check(after < before, "start_before", || {
            "must be later than `start_after`".to_owned()
        });
    }
    let limit = size(&mut violations, "page_size", request.page_size, 20, 100);
    violations.finish()?;

    let filter = Filter {
        kind,
        state,
        genre: set(&request.genre),
        language,
        start_after,
        start_before,
    };
    Ok((
        Query {
            text: request.query.trim_start().to_owned(),
            filter,
        },
        limit,
    ))
}

fn set(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn check_text(violations: &mut Violations, field: &str, text: &str, most: usize) {
    violations.check(text.chars().count() <= most, field, || {
        format!("must have at most {most} characters")
    });
    violations.check(
        !text.chars().any(|c| c.is_control() && !c.is_whitespace()),
        field,
        || "must have no control characters".to_owned(),
    );
}

/// A page size: 0 means the default, more than the most is the most.
fn size(violations: &mut Violations, field: &str, asked: i32, default: usize, most: usize) -> usize {
    match usize::try_from(asked) {
        Ok(0) => default,
        Ok(asked) => asked.min(most),
        Err(_) => {
            violations.push(field, format!("must be 0 (for {default}) to {most}"));
            default
        }
    }
}

fn kind(kind: Kind) -> ResultKind {
    match kind {
        Kind::Channel => ResultKind::Channel,
        Kind::Event => ResultKind::Event,
    }
}

fn encode(hit: Hit) -> SearchResult {
    let Hit {
        document,
        score,
        snippet,
    } = hit;
    let event = match &document {
        Document::Event(event) => Some(event),
        Document::Channel(_) => None,
    };
    SearchResult {
        name: document.name().to_owned(),
        kind: kind(document.kind()).into(),
        title: document.title().to_owned(),
        snippet,
        channel_display_name: document.channel().display_name.clone(),
        genre: event.map(|event| event.genre.clone()).unwrap_or_default(),
        language: document.language().to_owned(),
        state: event
            .map(|event| event.state.as_str().to_owned())
            .unwrap_or_default(),
        scheduled_start_time: event.and_then(|event| event.start).map(to_proto),
        score,
    }
}
