//! JSON as BSON and back, natively: numbers stay numbers, and an `i64` stays exact.

use std::str::FromStr;

use mongodb::bson::{Bson, Decimal128, Document};
use serde_json::{Map, Number, Value};

use crate::Error;

/// The value in BSON. A number above `i64::MAX` becomes a decimal, which is exact and compares as a number.
pub(super) fn to_bson(value: Value) -> Result<Bson, Error> {
    Ok(match value {
        Value::Null => Bson::Null,
        Value::Bool(flag) => Bson::Boolean(flag),
        Value::String(text) => Bson::String(text),
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), _, _) => Bson::Int64(number),
            (None, Some(number), _) => {
                Bson::Decimal128(Decimal128::from_str(&number.to_string()).map_err(Error::other)?)
            }
            (None, None, Some(number)) => Bson::Double(number),
            (None, None, None) => return Err(Error::other(format!("{number} cannot be stored"))),
        },
        Value::Array(values) => Bson::Array(values.into_iter().map(to_bson).collect::<Result<_, _>>()?),
        Value::Object(fields) => Bson::Document(
            fields
                .into_iter()
                .map(|(name, value)| {
                    // BSON ends names with it.
                    if name.contains('\0') {
                        return Err(Error::other("the name of a field has a NUL"));
                    }
                    Ok((name, to_bson(value)?))
                })
                .collect::<Result<Document, Error>>()?,
        ),
    })
}

/// The value in JSON; of what [`to_bson`] makes, the same as before.
pub(super) fn to_json(value: Bson) -> Result<Value, Error> {
    Ok(match value {
        Bson::Null => Value::Null,
        Bson::Boolean(flag) => Value::Bool(flag),
        Bson::String(text) => Value::String(text),
        Bson::Int32(number) => number.into(),
        Bson::Int64(number) => number.into(),
        Bson::Double(number) => Number::from_f64(number).map_or(Value::Null, Value::Number),
        Bson::Decimal128(number) => {
            Value::Number(Number::from_str(&number.to_string()).map_err(Error::other)?)
        }
        Bson::Array(values) => Value::Array(values.into_iter().map(to_json).collect::<Result<_, _>>()?),
        Bson::Document(fields) => Value::Object(
            fields
                .into_iter()
                .map(|(name, value)| Ok((name, to_json(value)?)))
                .collect::<Result<Map<_, _>, Error>>()?,
        ),
        other => {
            return Err(Error::other(format!(
                "a document has a field of a kind that it was not written with: {:?}",
                other.element_type()
            )));
        }
    })
}

/// The value at a path like `time.start`; null where there is none.
pub(super) fn at(body: &Document, path: &str) -> Bson {
    let mut segments = path.split('.');
    let mut found = segments.next().and_then(|segment| body.get(segment));
    for segment in segments {
        found = found
            .and_then(Bson::as_document)
            .and_then(|inner| inner.get(segment));
    }
    found.cloned().unwrap_or(Bson::Null)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".*".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::hash_map("[^\0]*", inner, 0..6)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn json_comes_back_as_it_went(value in json()) {
            prop_assert_eq!(to_json(to_bson(value.clone()).unwrap()).unwrap(), value);
        }
    }

    #[test]
    fn integers_are_exact_up_to_the_largest() {
        for number in [i64::MAX as u64, i64::MAX as u64 + 1, u64::MAX] {
            let back = to_json(to_bson(number.into()).unwrap()).unwrap();
            assert_eq!(back.as_u64(), Some(number));
        }
        assert_eq!(to_bson(7.into()).unwrap(), Bson::Int64(7));
    }

    #[test]
    fn a_path_leads_into_the_body() {
        let body = mongodb::bson::doc! { "time": { "start": 5 } };
        assert_eq!(at(&body, "time.start"), Bson::Int32(5));
        assert_eq!(at(&body, "time.end"), Bson::Null);
        assert_eq!(at(&body, "time.start.hour"), Bson::Null);
    }
}
