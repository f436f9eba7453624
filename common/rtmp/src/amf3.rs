//! Action Message Format 3, as far as it stands in commands and metadata: read only, into the values of AMF0. Peers that
//! speak it (`objectEncoding` 3) take AMF0 in answers.

use std::collections::VecDeque;

use bytes::Buf;

use crate::amf0::{AmfLimits, Error, Value};

/// Reads one value and advances `data` beyond it. Objects that are sent by reference are not resolved: they become
/// [`Value::Reference`], since a copy of each would grow without bound.
///
/// # Errors
/// What is not AMF3, or is of a kind that no peer sends in a command (vectors, dictionaries, externalizable objects), or
/// exceeds `limits`.
pub fn decode(data: &mut &[u8], limits: AmfLimits) -> Result<Value, Error> {
    decode_counted(data, limits).map(|(value, _)| value)
}

/// The value, and how many values of all kinds it holds.
pub(crate) fn decode_counted(data: &mut &[u8], limits: AmfLimits) -> Result<(Value, usize), Error> {
    let mut decoder = Decoder::new(limits);
    let value = decoder.value(data, 0)?;
    Ok((value, decoder.values))
}

/// What values of one message refer back to.
#[derive(Debug)]
struct Decoder {
    limits: AmfLimits,
    values: usize,
    strings: Vec<String>,
    /// Bytes of all strings that were handed out, those by reference counted each time.
    text: usize,
    traits: Vec<Traits>,
    objects: u16,
}

/// The shape of an object (AMF3 3.12).
#[derive(Debug, Clone)]
struct Traits {
    class: String,
    names: Vec<String>,
    dynamic: bool,
}

impl Decoder {
    fn new(limits: AmfLimits) -> Self {
        Self {
            limits,
            values: 0,
            strings: Vec::new(),
            text: 0,
            traits: Vec::new(),
            objects: 0,
        }
    }

    fn value(&mut self, data: &mut &[u8], depth: usize) -> Result<Value, Error> {
        self.count(1)?;
        if depth > self.limits.depth {
            return Err(Error::TooDeep(self.limits.depth));
        }
        let marker = data.try_get_u8().map_err(|_| Error::Truncated("a marker"))?;
        Ok(match marker {
            0x00 => Value::Undefined,
            0x01 => Value::Null,
            0x02 => Value::Boolean(false),
            0x03 => Value::Boolean(true),
            0x04 => Value::Number(f64::from(integer(u29(data)?))),
            0x05 => Value::Number(data.try_get_f64().map_err(|_| Error::Truncated("a number"))?),
            0x06 => Value::String(self.string(data)?),
            0x07 | 0x0B => match self.reference(data)? {
                Ok(length) => Value::XmlDocument(self.text(data, length)?),
                Err(index) => Value::Reference(index),
            },
            0x08 => match self.reference(data)? {
                Ok(_) => Value::Date {
                    milliseconds: data.try_get_f64().map_err(|_| Error::Truncated("a date"))?,
                    time_zone: 0,
                },
                Err(index) => Value::Reference(index),
            },
            0x09 => match self.reference(data)? {
                Ok(length) => self.array(data, length, depth)?,
                Err(index) => Value::Reference(index),
            },
            0x0A => self.object(data, depth)?,
            0x0C => match self.reference(data)? {
                // Bytes mean nothing in a command.
                Ok(length) if length <= data.len() => {
                    data.advance(length);
                    Value::Unsupported
                }
                Ok(_) => return Err(Error::Truncated("a byte array")),
                Err(index) => Value::Reference(index),
            },
            other => return Err(Error::Marker(other)),
        })
    }

    fn count(&mut self, values: usize) -> Result<(), Error> {
        self.values += values;
        if self.values > self.limits.values {
            return Err(Error::TooManyValues(self.limits.values));
        }
        Ok(())
    }

    /// U29S: a new string, or one that came before (AMF3 1.3.2).
    fn string(&mut self, data: &mut &[u8]) -> Result<String, Error> {
        let head = u29(data)?;
        let (low, rest) = (head & 1, (head >> 1) as usize);
        if low == 0 {
            let known = self.strings.get(rest).ok_or(Error::NoSuchReference)?.clone();
            self.used(known.len())?;
            return Ok(known);
        }
        let text = self.text(data, rest)?;
        // The empty string is never referred to.
        if !text.is_empty() {
            self.strings.push(text.clone());
        }
        Ok(text)
    }

    fn text(&mut self, data: &mut &[u8], length: usize) -> Result<String, Error> {
        if length > self.limits.string_bytes {
            return Err(Error::StringTooLong {
                length,
                max: self.limits.string_bytes,
            });
        }
        self.used(length)?;
        let (text, rest) = data
            .split_at_checked(length)
            .ok_or(Error::Truncated("a string"))?;
        *data = rest;
        Ok(String::from_utf8_lossy(text).into_owned())
    }

    /// All strings together may be as long as sixteen of the longest.
    fn used(&mut self, length: usize) -> Result<(), Error> {
        let max = self.limits.string_bytes.saturating_mul(16);
        self.text += length;
        if self.text > max {
            return Err(Error::StringTooLong {
                length: self.text,
                max,
            });
        }
        Ok(())
    }

    /// The number in front of what may be an object that came before: `Err` with its index then.
    fn reference(&mut self, data: &mut &[u8]) -> Result<Result<usize, u16>, Error> {
        let head = u29(data)?;
        if head & 1 == 0 {
            return self.earlier(head >> 1).map(Err);
        }
        self.objects = self.objects.saturating_add(1);
        Ok(Ok((head >> 1) as usize))
    }

    fn earlier(&self, index: u32) -> Result<u16, Error> {
        let index = u16::try_from(index).ok();
        index
            .filter(|index| *index < self.objects)
            .ok_or(Error::NoSuchReference)
    }

    /// Named values until an empty name, then so many without a name (AMF3 3.11).
    fn array(&mut self, data: &mut &[u8], length: usize, depth: usize) -> Result<Value, Error> {
        let mut named = self.named(data, depth)?;
        let mut dense = VecDeque::new();
        for _ in 0..length {
            dense.push_back(self.value(data, depth + 1)?);
        }
        if named.is_empty() {
            return Ok(Value::StrictArray(dense.into()));
        }
        named.extend(
            dense
                .into_iter()
                .enumerate()
                .map(|(index, value)| (index.to_string(), value)),
        );
        Ok(Value::EcmaArray(named))
    }

    fn named(&mut self, data: &mut &[u8], depth: usize) -> Result<Vec<(String, Value)>, Error> {
        let mut properties = Vec::new();
        loop {
            let name = self.string(data)?;
            if name.is_empty() {
                return Ok(properties);
            }
            properties.push((name, self.value(data, depth + 1)?));
        }
    }

    fn object(&mut self, data: &mut &[u8], depth: usize) -> Result<Value, Error> {
        let head = u29(data)?;
        if head & 1 == 0 {
            return self.earlier(head >> 1).map(Value::Reference);
        }
        self.objects = self.objects.saturating_add(1);
        let traits = self.traits(head >> 1, data)?;
        let mut properties = Vec::new();
        for name in traits.names {
            properties.push((name, self.value(data, depth + 1)?));
        }
        if traits.dynamic {
            properties.extend(self.named(data, depth)?);
        }
        Ok(if traits.class.is_empty() {
            Value::Object(properties)
        } else {
            Value::TypedObject {
                class: traits.class,
                properties,
            }
        })
    }

    /// U29O-traits, or a reference to earlier ones.
    fn traits(&mut self, head: u32, data: &mut &[u8]) -> Result<Traits, Error> {
        if head & 1 == 0 {
            let known = self
                .traits
                .get((head >> 1) as usize)
                .ok_or(Error::NoSuchReference)?
                .clone();
            self.count(known.names.len())?;
            self.used(known.class.len() + known.names.iter().map(String::len).sum::<usize>())?;
            return Ok(known);
        }
        // Externalizable: only its class knows how long it is.
        if head & 2 != 0 {
            return Err(Error::Marker(0x0A));
        }
        let dynamic = head & 4 != 0;
        let class = self.string(data)?;
        let mut names = Vec::new();
        for _ in 0..head >> 3 {
            self.count(1)?;
            names.push(self.string(data)?);
        }
        let traits = Traits {
            class,
            names,
            dynamic,
        };
        self.traits.push(traits.clone());
        Ok(traits)
    }
}

/// One to four bytes; the first three tell by their highest bit whether another follows (AMF3 1.3.1).
fn u29(data: &mut &[u8]) -> Result<u32, Error> {
    let mut value = 0;
    for index in 0..4 {
        let byte = u32::from(data.try_get_u8().map_err(|_| Error::Truncated("an integer"))?);
        if index == 3 {
            return Ok(value << 8 | byte);
        }
        value = value << 7 | byte & 0x7F;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Ok(value)
}

/// 29 bits, two's complement.
fn integer(value: u32) -> i32 {
    (value << 3).cast_signed() >> 3
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: &[u8]) -> Result<Value, Error> {
        decode(&mut &bytes[..], AmfLimits::default())
    }

    #[test]
    fn simple_values() {
        assert_eq!(read(&[0x00]), Ok(Value::Undefined));
        assert_eq!(read(&[0x01]), Ok(Value::Null));
        assert_eq!(read(&[0x03]), Ok(Value::Boolean(true)));
        assert_eq!(read(&[0x04, 0x7F]), Ok(Value::Number(127.0)));
        assert_eq!(read(&[0x04, 0x81, 0x00]), Ok(Value::Number(128.0)));
        assert_eq!(read(&[0x04, 0xFF, 0xFF, 0xFF, 0xFF]), Ok(Value::Number(-1.0)));
        assert_eq!(read(b"\x05\x3f\xf0\0\0\0\0\0\0"), Ok(Value::Number(1.0)));
        assert_eq!(read(b"\x06\x07abc"), Ok("abc".into()));
    }

    #[test]
    fn a_dynamic_object_with_a_string_by_reference() {
        let object = read(b"\x0a\x0b\x01\x07app\x06\x09live\x07tag\x06\x02\x01").unwrap();
        assert_eq!(
            object,
            Value::object([("app", "live".into()), ("tag", "live".into())])
        );
    }

    #[test]
    fn sealed_objects_share_their_traits() {
        // Array of two objects {x}, the second with the first one's traits.
        let array = read(b"\x09\x05\x01\x0a\x13\x03P\x03x\x04\x01\x0a\x01\x04\x02").unwrap();
        let point = |x| Value::TypedObject {
            class: "P".into(),
            properties: vec![("x".into(), Value::Number(x))],
        };
        assert_eq!(array, Value::StrictArray(vec![point(1.0), point(2.0)]));
    }

    #[test]
    fn an_object_by_reference_is_not_copied() {
        let array = read(b"\x09\x05\x01\x0a\x0b\x01\x01\x0a\x02").unwrap();
        assert_eq!(
            array,
            Value::StrictArray(vec![Value::Object(Vec::new()), Value::Reference(1)])
        );
        assert_eq!(read(&[0x0A, 0x08]), Err(Error::NoSuchReference));
        assert_eq!(read(&[0x06, 0x00]), Err(Error::NoSuchReference));
    }

    #[test]
    fn what_no_command_has_is_refused() {
        for marker in [0x0D, 0x10, 0x11, 0x20] {
            assert_eq!(read(&[marker, 1]), Err(Error::Marker(marker)));
        }
    }

    #[test]
    fn nesting_counts_and_strings_are_bounded() {
        assert_eq!(read(&[0x09, 0x03, 0x01].repeat(1_000)), Err(Error::TooDeep(16)));
        assert_eq!(
            read(&[&[0x09, 0x9F, 0x01, 0x01][..], &[1; 5_000]].concat()),
            Err(Error::TooManyValues(1024))
        );
        assert!(matches!(
            read(&[0x06, 0xFF, 0xFF, 0xFF, 0xFF]),
            Err(Error::StringTooLong { .. })
        ));
        // One long string, and a thousand references to it.
        let mut bytes = vec![0x09, 0x8F, 0x51, 0x01, 0x06, 0x83, 0xFF, 0x7F];
        bytes.extend([b'x'; 0xFFBF].iter().take(65_471));
        bytes.extend([0x06, 0x00].repeat(1_000));
        assert!(read(&bytes).is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
            let _ = read(&bytes);
        }

        #[test]
        fn integers_read_back(value in -(1i32 << 28)..1 << 28) {
            let bits = value.cast_unsigned() & 0x1FFF_FFFF;
            let bytes = [
                0x04,
                (bits >> 22) as u8 | 0x80,
                (bits >> 15) as u8 | 0x80,
                (bits >> 8) as u8 | 0x80,
                bits as u8,
            ];
            prop_assert_eq!(read(&bytes), Ok(Value::Number(f64::from(value))));
        }
    }
}
