//! Action Message Format 0: values, reader and writer.

use bytes::{Buf, BufMut};

pub use crate::limits::AmfLimits;

/// A value. Properties keep their order, which some peers rely on.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Marker 0x00.
    Number(f64),
    /// Marker 0x01.
    Boolean(bool),
    /// Markers 0x02 and 0x0C (longer than 65535 bytes). Bytes that are no UTF-8 become U+FFFD.
    String(String),
    /// Marker 0x03.
    Object(Vec<(String, Value)>),
    /// Marker 0x05.
    Null,
    /// Marker 0x06.
    Undefined,
    /// Marker 0x07: index of an object that came before in the same message. Not resolved.
    Reference(u16),
    /// Marker 0x08. The count on the wire is a hint only and is not kept.
    EcmaArray(Vec<(String, Value)>),
    /// Marker 0x0A.
    StrictArray(Vec<Value>),
    /// Marker 0x0B.
    Date {
        /// Milliseconds since 1970-01-01 UTC.
        milliseconds: f64,
        /// Reserved by the specification; 0.
        time_zone: i16,
    },
    /// Marker 0x0D.
    Unsupported,
    /// Marker 0x0F.
    XmlDocument(String),
    /// Marker 0x10.
    TypedObject {
        /// Alias of the class.
        class: String,
        /// Its properties.
        properties: Vec<(String, Value)>,
    },
}

/// Why bytes are not AMF0, or too much of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes end inside a value.
    #[error("ends inside {0}")]
    Truncated(&'static str),
    /// A marker that AMF0 reserves or does not have.
    #[error("marker {0:#04x} is not supported")]
    Marker(u8),
    /// More nesting than [`AmfLimits::depth`].
    #[error("nested deeper than {0}")]
    TooDeep(usize),
    /// A string longer than [`AmfLimits::string_bytes`].
    #[error("string of {length} bytes, at most {max} are taken")]
    StringTooLong {
        /// Declared length.
        length: usize,
        /// The limit.
        max: usize,
    },
    /// More values than [`AmfLimits::values`].
    #[error("more than {0} values")]
    TooManyValues(usize),
    /// A reference to something that has not come (AMF3).
    #[error("reference to what has not come")]
    NoSuchReference,
    /// An object does not end with the object end marker.
    #[error("empty property name without object end")]
    NoObjectEnd,
}

impl Value {
    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The number, also of a boolean or of a string that reads as one (encoders write either).
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Value::Number(number) => Some(*number),
            Value::Boolean(flag) => Some(f64::from(u8::from(*flag))),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// The properties of an object of any kind.
    pub fn properties(&self) -> Option<&[(String, Value)]> {
        match self {
            Value::Object(properties)
            | Value::EcmaArray(properties)
            | Value::TypedObject { properties, .. } => Some(properties),
            _ => None,
        }
    }

    /// A property by its name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.properties()?
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value)
    }

    /// An object of named values.
    pub fn object<const N: usize>(properties: [(&str, Value); N]) -> Self {
        Value::Object(
            properties
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        )
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::String(text.to_owned())
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Value::Number(number)
    }
}

/// Reads values from `data`, one after the other, until it is empty.
///
/// # Errors
/// What is not AMF0 or exceeds `limits`.
pub fn decode_all(mut data: &[u8], limits: AmfLimits) -> Result<Vec<Value>, Error> {
    let mut decoder = Decoder { limits, values: 0 };
    let mut values = Vec::new();
    while !data.is_empty() {
        values.push(decoder.value(&mut data, 0)?);
    }
    Ok(values)
}

/// Reads one value and advances `data` beyond it.
///
/// # Errors
/// What is not AMF0 or exceeds `limits`.
pub fn decode(data: &mut &[u8], limits: AmfLimits) -> Result<Value, Error> {
    Decoder { limits, values: 0 }.value(data, 0)
}

struct Decoder {
    limits: AmfLimits,
    values: usize,
}

impl Decoder {
    fn value(&mut self, data: &mut &[u8], depth: usize) -> Result<Value, Error> {
        self.values += 1;
        if self.values > self.limits.values {
            return Err(Error::TooManyValues(self.limits.values));
        }
        if depth > self.limits.depth {
            return Err(Error::TooDeep(self.limits.depth));
        }
        let marker = need(data.try_get_u8(), "a marker")?;
        Ok(match marker {
            0x00 => Value::Number(need(data.try_get_f64(), "a number")?),
            0x01 => Value::Boolean(need(data.try_get_u8(), "a boolean")? != 0),
            0x02 => Value::String(self.short_string(data)?),
            0x03 => Value::Object(self.properties(data, depth)?),
            0x05 => Value::Null,
            0x06 => Value::Undefined,
            0x07 => Value::Reference(need(data.try_get_u16(), "a reference")?),
            0x08 => {
                need(data.try_get_u32(), "an array's count")?;
                Value::EcmaArray(self.properties(data, depth)?)
            }
            0x0A => {
                let count = need(data.try_get_u32(), "an array's count")?;
                let mut elements = Vec::new();
                for _ in 0..count {
                    elements.push(self.value(data, depth + 1)?);
                }
                Value::StrictArray(elements)
            }
            0x0B => Value::Date {
                milliseconds: need(data.try_get_f64(), "a date")?,
                time_zone: need(data.try_get_i16(), "a date")?,
            },
            0x0C => Value::String(self.long_string(data)?),
            0x0D => Value::Unsupported,
            0x0F => Value::XmlDocument(self.long_string(data)?),
            0x10 => Value::TypedObject {
                class: self.short_string(data)?,
                properties: self.properties(data, depth)?,
            },
            // avmplus-object: the value is AMF3 (AMF0 3.1).
            0x11 => self.amf3(data)?,
            other => return Err(Error::Marker(other)),
        })
    }

    fn amf3(&mut self, data: &mut &[u8]) -> Result<Value, Error> {
        let left = AmfLimits {
            values: self.limits.values - self.values,
            ..self.limits
        };
        let (value, count) = crate::amf3::decode_counted(data, left)?;
        // The marker was counted as a value already.
        self.values += count.saturating_sub(1);
        Ok(value)
    }

    fn properties(&mut self, data: &mut &[u8], depth: usize) -> Result<Vec<(String, Value)>, Error> {
        let mut properties = Vec::new();
        loop {
            let name = self.short_string(data)?;
            if name.is_empty() {
                // Only the object end marker may follow an empty name (AMF0 2.11).
                return match need(data.try_get_u8(), "an object's end")? {
                    0x09 => Ok(properties),
                    _ => Err(Error::NoObjectEnd),
                };
            }
            properties.push((name, self.value(data, depth + 1)?));
        }
    }

    fn short_string(&self, data: &mut &[u8]) -> Result<String, Error> {
        let length = need(data.try_get_u16(), "a string's length")?;
        self.text(data, usize::from(length))
    }

    fn long_string(&self, data: &mut &[u8]) -> Result<String, Error> {
        let length = need(data.try_get_u32(), "a string's length")?;
        self.text(data, usize::try_from(length).unwrap_or(usize::MAX))
    }

    fn text(&self, data: &mut &[u8], length: usize) -> Result<String, Error> {
        if length > self.limits.string_bytes {
            return Err(Error::StringTooLong {
                length,
                max: self.limits.string_bytes,
            });
        }
        let (text, rest) = data
            .split_at_checked(length)
            .ok_or(Error::Truncated("a string"))?;
        *data = rest;
        Ok(String::from_utf8_lossy(text).into_owned())
    }
}

fn need<T>(read: Result<T, bytes::TryGetError>, what: &'static str) -> Result<T, Error> {
    read.map_err(|_| Error::Truncated(what))
}

/// Writes a value. A property name longer than 65535 bytes is cut, since the format cannot carry it.
pub fn encode(value: &Value, out: &mut impl BufMut) {
    match value {
        Value::Number(number) => {
            out.put_u8(0x00);
            out.put_f64(*number);
        }
        Value::Boolean(flag) => out.put_slice(&[0x01, u8::from(*flag)]),
        Value::String(text) => match u16::try_from(text.len()) {
            Ok(length) => {
                out.put_u8(0x02);
                out.put_u16(length);
                out.put_slice(text.as_bytes());
            }
            Err(_) => {
                out.put_u8(0x0C);
                put_long(text, out);
            }
        },
        Value::Object(properties) => {
            out.put_u8(0x03);
            put_properties(properties, out);
        }
        Value::Null => out.put_u8(0x05),
        Value::Undefined => out.put_u8(0x06),
        Value::Reference(index) => {
            out.put_u8(0x07);
            out.put_u16(*index);
        }
        Value::EcmaArray(properties) => {
            out.put_u8(0x08);
            out.put_u32(count(properties.len()));
            put_properties(properties, out);
        }
        Value::StrictArray(elements) => {
            out.put_u8(0x0A);
            out.put_u32(count(elements.len()));
            for element in elements {
                encode(element, out);
            }
        }
        Value::Date {
            milliseconds,
            time_zone,
        } => {
            out.put_u8(0x0B);
            out.put_f64(*milliseconds);
            out.put_i16(*time_zone);
        }
        Value::Unsupported => out.put_u8(0x0D),
        Value::XmlDocument(text) => {
            out.put_u8(0x0F);
            put_long(text, out);
        }
        Value::TypedObject { class, properties } => {
            out.put_u8(0x10);
            put_name(class, out);
            put_properties(properties, out);
        }
    }
}

fn put_properties(properties: &[(String, Value)], out: &mut impl BufMut) {
    // An empty name would read as the end of the object.
    for (name, value) in properties.iter().filter(|(name, _)| !name.is_empty()) {
        put_name(name, out);
        encode(value, out);
    }
    out.put_slice(&[0, 0, 0x09]);
}

fn put_name(name: &str, out: &mut impl BufMut) {
    let bytes = &name.as_bytes()[..name.len().min(usize::from(u16::MAX))];
    // The cut above makes the length fit.
    #[expect(clippy::cast_possible_truncation, reason = "cut to u16::MAX above")]
    out.put_u16(bytes.len() as u16);
    out.put_slice(bytes);
}

fn put_long(text: &str, out: &mut impl BufMut) {
    let bytes = &text.as_bytes()[..count(text.len()) as usize];
    out.put_u32(count(bytes.len()));
    out.put_slice(bytes);
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value() -> impl Strategy<Value = Value> {
        let name = "[a-zA-Zé]{1,12}";
        let leaf = prop_oneof![
            (-1e12f64..1e12).prop_map(Value::Number),
            any::<bool>().prop_map(Value::Boolean),
            ".{0,40}".prop_map(Value::String),
            Just(Value::Null),
            Just(Value::Undefined),
            Just(Value::Unsupported),
            any::<u16>().prop_map(Value::Reference),
            ".{0,40}".prop_map(Value::XmlDocument),
            (-1e12f64..1e12, any::<i16>()).prop_map(|(milliseconds, time_zone)| Value::Date {
                milliseconds,
                time_zone
            }),
        ];
        leaf.prop_recursive(4, 48, 6, move |inner| {
            let properties = prop::collection::vec((name, inner.clone()), 0..6);
            prop_oneof![
                properties.clone().prop_map(Value::Object),
                properties.clone().prop_map(Value::EcmaArray),
                prop::collection::vec(inner, 0..6).prop_map(Value::StrictArray),
                (name, properties).prop_map(|(class, properties)| Value::TypedObject { class, properties }),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(values in prop::collection::vec(value(), 0..4)) {
            let mut bytes = Vec::new();
            values.iter().for_each(|value| encode(value, &mut bytes));
            prop_assert_eq!(decode_all(&bytes, AmfLimits::default()).unwrap(), values);
        }

        #[test]
        fn a_cut_value_is_an_error_and_no_panic(value in value(), cut in any::<prop::sample::Index>()) {
            let mut bytes = Vec::new();
            encode(&value, &mut bytes);
            let cut = cut.index(bytes.len());
            prop_assert!(decode(&mut &bytes[..cut], AmfLimits::default()).is_err());
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
            let _ = decode_all(&bytes, AmfLimits::default());
        }
    }

    #[test]
    fn a_string_beyond_16_bits_takes_the_long_form() {
        let value = Value::String("x".repeat(70_000));
        let mut bytes = Vec::new();
        encode(&value, &mut bytes);
        assert_eq!(bytes[0], 0x0C);
        let limits = AmfLimits {
            string_bytes: 70_000,
            ..AmfLimits::default()
        };
        assert_eq!(decode(&mut &bytes[..], limits), Ok(value));
    }

    #[test]
    fn nesting_beyond_the_limit_is_refused_before_the_stack_is_used_up() {
        let bytes = [0x0A, 0, 0, 0, 1].repeat(100_000);
        assert_eq!(decode_all(&bytes, AmfLimits::default()), Err(Error::TooDeep(16)));
    }

    #[test]
    fn a_huge_declared_count_allocates_nothing() {
        let bytes = [0x0A, 0xFF, 0xFF, 0xFF, 0xFF];
        assert_eq!(
            decode_all(&bytes, AmfLimits::default()),
            Err(Error::Truncated("a marker"))
        );
    }

    #[test]
    fn more_values_than_allowed_are_refused() {
        let bytes = [0x05].repeat(1025);
        assert_eq!(
            decode_all(&bytes, AmfLimits::default()),
            Err(Error::TooManyValues(1024))
        );
    }

    #[test]
    fn a_string_beyond_the_limit_is_refused_by_its_length_alone() {
        let bytes = [0x0C, 0x7F, 0xFF, 0xFF, 0xFF];
        let expected = Error::StringTooLong {
            length: 0x7FFF_FFFF,
            max: 64 << 10,
        };
        assert_eq!(decode_all(&bytes, AmfLimits::default()), Err(expected));
    }
}
