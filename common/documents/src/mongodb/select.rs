//! Queries as ranges of an index.
//!
//! Whatever a query asks for (values of the first fields, bounds of the next, the place after the last page) is one
//! range of the keys of the index that ends with the id: from `min`, which is in it, to `max`, which is not. So the order
//! is the server's order of keys (nothing, numbers, text, booleans), and a page is entered where it begins. Ranges of
//! filters would do for values of one kind only: the server's `$gt` compares numbers with numbers and leaves out text.

use std::cmp::Ordering;

use mongodb::bson::{Bson, Document, doc};
use serde_json::Value;

use super::{json, schema};
use crate::page_token::{self, Place};
use crate::query::Bound;
use crate::{Collection, Error, Query};

/// What a query comes to.
#[derive(Clone)]
pub(super) struct Range {
    pub(super) keys: Document,
    pub(super) min: Option<Document>,
    pub(super) max: Option<Document>,
    /// The place itself, which is in the range and was given out.
    pub(super) after: Option<String>,
    pub(super) sort: Document,
    /// The fields that the query leaves open, which order the result.
    pub(super) open: Vec<&'static str>,
    /// What documents must match to be counted.
    matching: Document,
}

/// One end of a range: values of the first fields, then all below or all above.
struct End {
    values: Vec<Bson>,
    rest: Bson,
}

impl End {
    fn of(values: &[Bson], rest: Bson) -> Self {
        Self {
            values: values.to_vec(),
            rest,
        }
    }

    /// `None` when it bounds nothing.
    fn keys(mut self, order: &Document) -> Option<Document> {
        if self.values.is_empty() {
            return None;
        }
        self.values.resize(order.len(), self.rest);
        Some(order.keys().cloned().zip(self.values).collect())
    }
}

impl Range {
    pub(super) fn of(collection: Collection, query: &Query) -> Result<Self, Error> {
        let fields = fields(collection, query)?;
        let (fixed, open) = fields.split_at(query.equals.len());
        let mut prefix = Vec::with_capacity(fields.len() + 1);
        let mut matching = Document::new();
        for (field, value) in fixed.iter().zip(&query.equals) {
            let value = scalar(value)?;
            matching.insert(schema::path(field), value.clone());
            prefix.push(value);
        }
        let (mut lower, mut upper) = bounds(&prefix, query)?;
        if let (Some(field), false) = (open.first(), query.bounds.is_empty()) {
            matching.insert("$expr", compared(field, query)?);
        }
        let mut after = None;
        if let Some(place) = page_token::decode(collection.name, query)? {
            let at = end_at(prefix, &place, open.len())?;
            if query.descending {
                upper = at;
            } else {
                lower = at;
                after = Some(place.id);
            }
        }
        let keys = schema::order(fields);
        let direction = if query.descending { -1 } else { 1 };
        Ok(Self {
            min: lower.keys(&keys),
            max: upper.keys(&keys),
            after,
            sort: keys
                .keys()
                .map(|key| (key.clone(), Bson::Int32(direction)))
                .collect(),
            open: open.to_vec(),
            keys,
            matching,
        })
    }

    /// Beside the range.
    pub(super) fn filter(&self) -> Document {
        match &self.after {
            Some(id) => doc! { "_id": { "$ne": id } },
            None => Document::new(),
        }
    }

    /// What documents of the query match, over all pages.
    pub(super) fn matching(&self) -> Document {
        self.matching.clone()
    }

    /// The place of a document, for the next page.
    pub(super) fn place(&self, id: &str, body: &Document) -> Result<Place, Error> {
        Ok(Place {
            values: self
                .open
                .iter()
                .map(|field| json::to_json(json::at(body, field)))
                .collect::<Result<_, _>>()?,
            id: id.to_owned(),
        })
    }
}

fn fields(collection: Collection, query: &Query) -> Result<&'static [&'static str], Error> {
    let index = match query.index {
        Some(name) => Some(collection.index(name).ok_or_else(|| {
            Error::other(format!(
                "the collection `{}` has no index `{name}`",
                collection.name
            ))
        })?),
        None => None,
    };
    let fields = Query::fields(index);
    if query.equals.len() + usize::from(!query.bounds.is_empty()) > fields.len() {
        return Err(Error::other(format!(
            "a query by {:?} names more values than fields",
            query.index
        )));
    }
    Ok(fields)
}

/// The ends that the query's values and bounds make.
fn bounds(prefix: &[Bson], query: &Query) -> Result<(End, End), Error> {
    let mut lower: Option<(Bound, &Value)> = None;
    let mut upper: Option<(Bound, &Value)> = None;
    for (bound, value) in &query.bounds {
        // The narrower of two bounds of one side counts.
        match bound {
            Bound::AtLeast | Bound::Above => {
                if lower.is_none_or(|(other, than)| {
                    compare(value, than).then(open(*bound).cmp(&open(other))) == Ordering::Greater
                }) {
                    lower = Some((*bound, value));
                }
            }
            Bound::AtMost | Bound::Below => {
                if upper.is_none_or(|(other, than)| {
                    compare(than, value).then(open(*bound).cmp(&open(other))) == Ordering::Greater
                }) {
                    upper = Some((*bound, value));
                }
            }
        }
    }
    let end = |value: &Value, rest: Bson| -> Result<End, Error> {
        let mut end = End::of(prefix, rest);
        end.values.push(scalar(value)?);
        Ok(end)
    };
    let low = match (lower, upper) {
        (Some((Bound::AtLeast, value)), _) => end(value, Bson::MinKey)?,
        (Some((_, value)), _) => end(value, Bson::MaxKey)?,
        // Nothing sorts before everything, and is no value that is less.
        (None, Some(_)) => end(&Value::Null, Bson::MaxKey)?,
        (None, None) => End::of(prefix, Bson::MinKey),
    };
    let high = match upper {
        Some((Bound::AtMost, value)) => end(value, Bson::MaxKey)?,
        Some((_, value)) => end(value, Bson::MinKey)?,
        None => End::of(prefix, Bson::MaxKey),
    };
    Ok((low, high))
}

/// Whether the bound leaves its value out.
fn open(bound: Bound) -> bool {
    matches!(bound, Bound::Above | Bound::Below)
}

fn end_at(mut values: Vec<Bson>, place: &Place, open: usize) -> Result<End, Error> {
    if place.values.len() != open {
        return Err(Error::InvalidPageToken);
    }
    for value in &place.values {
        values.push(scalar(value).map_err(|_| Error::InvalidPageToken)?);
    }
    values.push(Bson::String(place.id.clone()));
    Ok(End {
        values,
        rest: Bson::MinKey,
    })
}

/// The bounds as an expression, which compares values of all kinds in the order of the index.
fn compared(field: &str, query: &Query) -> Result<Document, Error> {
    let field = format!("${}", schema::path(field));
    let mut conditions = vec![doc! { "$gt": [&field, Bson::Null] }];
    for (bound, value) in &query.bounds {
        let operator = match bound {
            Bound::AtLeast => "$gte",
            Bound::Above => "$gt",
            Bound::AtMost => "$lte",
            Bound::Below => "$lt",
        };
        conditions.push(doc! { operator: [&field, { "$literal": scalar(value)? }] });
    }
    Ok(doc! { "$and": conditions })
}

/// The order of the index's keys.
fn compare(one: &Value, other: &Value) -> Ordering {
    fn kind(value: &Value) -> u8 {
        match value {
            Value::Null => 0,
            Value::Number(_) => 1,
            Value::String(_) => 2,
            Value::Bool(_) | Value::Array(_) | Value::Object(_) => 3,
        }
    }
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => match (one.as_i64(), other.as_i64()) {
            (Some(one), Some(other)) => one.cmp(&other),
            _ => one
                .as_f64()
                .partial_cmp(&other.as_f64())
                .unwrap_or(Ordering::Equal),
        },
        (Value::String(one), Value::String(other)) => one.cmp(other),
        (Value::Bool(one), Value::Bool(other)) => one.cmp(other),
        _ => kind(one).cmp(&kind(other)),
    }
}

fn scalar(value: &Value) -> Result<Bson, Error> {
    if value.is_array() || value.is_object() {
        return Err(Error::other("a list or object is no value of an index"));
    }
    json::to_bson(value.clone())
}
