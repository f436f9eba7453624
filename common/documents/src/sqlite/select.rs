//! Queries as SQL over a declared index.

use std::str::FromStr;

use rusqlite::types::Value as Sql;
use rusqlite::{Connection, Row, params_from_iter};
use serde_json::Value;

use super::cache::Cache;
use super::schema::{field, table};
use crate::backend::{Raw, RawPage};
use crate::page_token::{self, Place};
use crate::query::Bound;
use crate::{Collection, Error, Etag, Query};

/// Conditions, and the values of their parameters.
struct Filter {
    conditions: Vec<String>,
    values: Vec<Sql>,
    /// The fields that the query leaves open, which order the result.
    open: Vec<String>,
}

impl Filter {
    fn of(collection: Collection, query: &Query) -> Result<Self, Error> {
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
        let (fixed, open) = fields.split_at(query.equals.len());
        let mut filter = Self {
            conditions: Vec::new(),
            values: Vec::new(),
            open: Vec::new(),
        };
        for (path, value) in fixed.iter().zip(&query.equals) {
            filter.compare(&field(path), "=", value)?;
        }
        filter.open = open.iter().map(|path| field(path)).collect();
        for (bound, value) in &query.bounds {
            let field = filter.open[0].clone();
            filter.compare(&field, bound.operator(), value)?;
            // Null sorts before everything, and is no value that is less.
            if matches!(bound, Bound::AtMost | Bound::Below) {
                filter.conditions.push(format!("{field} IS NOT NULL"));
            }
        }
        Ok(filter)
    }

    fn compare(&mut self, field: &str, operator: &str, value: &Value) -> Result<(), Error> {
        if value.is_null() {
            self.conditions.push(format!("{field} IS NULL"));
        } else {
            self.values.push(scalar(value)?);
            self.conditions
                .push(format!("{field} {operator} ?{}", self.values.len()));
        }
        Ok(())
    }

    /// Only what comes after the place: later in the first open field, or equal there and later in the next, and so
    /// on, down to the id.
    fn after(&mut self, place: &Place, descending: bool) -> Result<(), Error> {
        if place.values.len() != self.open.len() {
            return Err(Error::InvalidPageToken);
        }
        let later = if descending { "<" } else { ">" };
        let (mut alternatives, mut equal) = (Vec::new(), String::new());
        for (field, value) in self.open.clone().iter().zip(&place.values) {
            if value.is_null() {
                if !descending {
                    alternatives.push(format!("({equal}{field} IS NOT NULL)"));
                }
                equal += &format!("{field} IS NULL AND ");
                continue;
            }
            self.values
                .push(scalar(value).map_err(|_| Error::InvalidPageToken)?);
            let parameter = format!("?{}", self.values.len());
            if alternatives.is_empty() && equal.is_empty() {
                // What the alternatives say together, said so that the index is entered at the place.
                let or_null = if descending {
                    format!(" OR {field} IS NULL")
                } else {
                    String::new()
                };
                self.conditions
                    .push(format!("({field} {later}= {parameter}{or_null})"));
            }
            let or_null = if descending {
                format!(" OR {field} IS NULL")
            } else {
                String::new()
            };
            alternatives.push(format!("({equal}({field} {later} {parameter}{or_null}))"));
            equal += &format!("{field} = {parameter} AND ");
        }
        self.values.push(Sql::Text(place.id.clone()));
        alternatives.push(format!("({equal}id {later} ?{})", self.values.len()));
        self.conditions.push(format!("({})", alternatives.join(" OR ")));
        Ok(())
    }

    fn sql(&self) -> String {
        if self.conditions.is_empty() {
            String::new()
        } else {
            format!(" WHERE {}", self.conditions.join(" AND "))
        }
    }
}

/// The statement of a page, and its values.
fn statement(collection: Collection, query: &Query) -> Result<(String, Filter), Error> {
    let mut filter = Filter::of(collection, query)?;
    if let Some(place) = page_token::decode(collection.name, query)? {
        filter.after(&place, query.descending)?;
    }
    let direction = if query.descending { " DESC" } else { "" };
    let order: Vec<String> = filter
        .open
        .iter()
        .map(String::as_str)
        .chain(["id"])
        .map(|field| format!("{field}{direction}"))
        .collect();
    let open: String = filter.open.iter().map(|field| format!(", {field}")).collect();
    let sql = format!(
        "SELECT id, etag, body{open} FROM {}{} ORDER BY {} LIMIT {}",
        table(collection.name),
        filter.sql(),
        order.join(", "),
        query.limit + 1,
    );
    Ok((sql, filter))
}

pub(super) fn page(
    connection: &Connection,
    cache: &Cache,
    collection: Collection,
    query: &Query,
) -> Result<RawPage, Error> {
    let (sql, filter) = statement(collection, query)?;
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(&filter.values))?;
    let (mut items, mut last) = (Vec::new(), None);
    while let Some(row) = rows.next()? {
        if items.len() == query.limit {
            let next_page_token = last
                .map(|place| page_token::encode(collection.name, query, &place))
                .transpose()?;
            return Ok(RawPage {
                items,
                next_page_token,
            });
        }
        items.push(document(cache, collection, row)?);
        if items.len() == query.limit {
            last = Some(place(row, filter.open.len())?);
        }
    }
    Ok(RawPage {
        items,
        next_page_token: None,
    })
}

pub(super) fn explain(
    connection: &Connection,
    collection: Collection,
    query: &Query,
) -> Result<String, Error> {
    let (sql, filter) = statement(collection, query)?;
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
    let lines = statement.query_map(params_from_iter(&filter.values), |row| row.get(3))?;
    Ok(lines.collect::<Result<Vec<String>, _>>()?.join("\n"))
}

pub(super) fn count(connection: &Connection, collection: Collection, query: &Query) -> Result<u64, Error> {
    let filter = Filter::of(collection, query)?;
    let sql = format!("SELECT count(*) FROM {}{}", table(collection.name), filter.sql());
    let mut statement = connection.prepare_cached(&sql)?;
    let count: i64 = statement.query_row(params_from_iter(&filter.values), |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

fn document(cache: &Cache, collection: Collection, row: &Row<'_>) -> Result<Raw, Error> {
    let text = |column| {
        row.get_ref(column)?
            .as_str()
            .map_err(|_| rusqlite::Error::InvalidQuery)
    };
    let (id, etag, body) = (text(0)?, text(1)?, text(2)?);
    if let Some(raw) = cache.in_state(collection.name, id, etag) {
        return Ok(raw);
    }
    let value = (collection.decode)(body).map_err(Error::other)?;
    let Ok(etag) = Etag::from_str(etag);
    Ok(Raw { value, etag })
}

fn place(row: &Row<'_>, open: usize) -> Result<Place, Error> {
    let values = (3..3 + open)
        .map(|column| {
            Ok(match row.get::<_, Sql>(column)? {
                Sql::Integer(number) => number.into(),
                Sql::Real(number) => number.into(),
                Sql::Text(text) => text.into(),
                Sql::Null | Sql::Blob(_) => Value::Null,
            })
        })
        .collect::<Result<_, Error>>()?;
    Ok(Place {
        values,
        id: row.get(0)?,
    })
}

fn scalar(value: &Value) -> Result<Sql, Error> {
    Ok(match value {
        Value::String(text) => Sql::Text(text.clone()),
        Value::Bool(flag) => Sql::Integer(i64::from(*flag)),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => Sql::Integer(number),
            (None, Some(number)) => Sql::Real(number),
            (None, None) => return Err(Error::other(format!("{number} is no value of an index"))),
        },
        Value::Null => Sql::Null,
        Value::Array(_) | Value::Object(_) => {
            return Err(Error::other("a list or object is no value of an index"));
        }
    })
}
