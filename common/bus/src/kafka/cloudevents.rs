//! Messages as Kafka records: the Kafka protocol binding of CloudEvents 1.0.2, binary mode. Attributes are headers, the
//! event is the value; pure.

use std::borrow::Cow;

use bytes::Bytes;
use jiff::Timestamp;

use crate::Message;
use crate::message::damaged;

const SPECVERSION: &str = "ce_specversion";
const ID: &str = "ce_id";
const TYPE: &str = "ce_type";
const SOURCE: &str = "ce_source";
const TIME: &str = "ce_time";
const SUBJECT: &str = "ce_subject";
const CONTENT_TYPE: &str = "content-type";
const TRACEPARENT: &str = "traceparent";

/// What a value is (RFC 9694 has no type for protobuf; this is what everybody uses).
const PROTOBUF: &str = "application/protobuf";

/// The headers of a message, in order. The attributes come last, so that [`decode`], which takes the first of a name,
/// is not misled by an attribute that is called as one of ours.
pub(super) fn headers(message: &Message) -> Vec<(Cow<'_, str>, Cow<'_, str>)> {
    let mut headers: Vec<(Cow<'_, str>, Cow<'_, str>)> = vec![
        (SPECVERSION.into(), "1.0".into()),
        (ID.into(), message.id.as_str().into()),
        (TYPE.into(), message.event_type.as_str().into()),
        (SOURCE.into(), message.source.as_str().into()),
        (TIME.into(), message.time.to_string().into()),
        (SUBJECT.into(), message.key.as_str().into()),
        (CONTENT_TYPE.into(), PROTOBUF.into()),
    ];
    if let Some(traceparent) = &message.traceparent {
        headers.push((TRACEPARENT.into(), traceparent.as_str().into()));
    }
    headers.extend(message.attributes.iter().map(|(name, value)| {
        // librdkafka ends names at a NUL.
        let name = if name.contains('\0') {
            Cow::Owned(name.replace('\0', ""))
        } else {
            Cow::Borrowed(name.as_str())
        };
        (name, Cow::Borrowed(value.as_str()))
    }));
    headers
}

/// A header's name and value.
pub(super) type Header<'a> = (&'a str, Option<&'a [u8]>);

/// A record as it came from the server.
pub(super) struct Raw<'a> {
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
    /// When the server got it, in milliseconds since the epoch.
    pub(super) timestamp: Option<i64>,
    /// `None` when they cannot be read.
    pub(super) headers: Option<Vec<Header<'a>>>,
}

/// The message in a record. One that is no CloudEvent comes out as far as it can be read, marked with what is wrong:
/// whoever handles it puts it to the dead letters.
///
/// `place` stands in for a missing id: it is the same for every delivery.
pub(super) fn decode(raw: Raw<'_>, place: impl FnOnce() -> String) -> Message {
    let mut message = Message {
        key: raw.key.map(text).unwrap_or_default(),
        value: raw.value.map(Bytes::copy_from_slice).unwrap_or_default(),
        time: raw
            .timestamp
            .and_then(|ms| Timestamp::from_millisecond(ms).ok())
            .unwrap_or_default(),
        ..Message::default()
    };
    let Some(headers) = raw.headers else {
        message.id = place();
        damaged(&mut message, "its headers cannot be read");
        return message;
    };
    let mut known: [(&str, Option<String>); 8] = [
        SPECVERSION,
        ID,
        TYPE,
        SOURCE,
        TIME,
        SUBJECT,
        CONTENT_TYPE,
        TRACEPARENT,
    ]
    .map(|name| (name, None));
    for (name, value) in headers {
        let value = value.map(text).unwrap_or_default();
        match known
            .iter_mut()
            .find(|(header, found)| *header == name && found.is_none())
        {
            Some((_, found)) => *found = Some(value),
            None => message.attributes.push((name.to_owned(), value)),
        }
    }
    let [version, id, event_type, source, time, _, _, traceparent] = known.map(|(_, value)| value);
    let missing = [
        (SPECVERSION, version.is_none()),
        (ID, id.as_ref().is_none_or(String::is_empty)),
        (TYPE, event_type.is_none()),
        (SOURCE, source.is_none()),
    ]
    .into_iter()
    .find_map(|(name, missing)| missing.then_some(name));
    message.id = id.filter(|id| !id.is_empty()).unwrap_or_else(place);
    message.event_type = event_type.unwrap_or_default();
    message.source = source.unwrap_or_default();
    message.traceparent = traceparent;
    // `time` is optional in CloudEvents; one that is no time is damage.
    let time = time.map(|text| text.parse());
    match (missing, version, time) {
        (Some(name), _, _) => damaged(&mut message, &format!("it has no header `{name}`")),
        (_, Some(version), _) if !version.starts_with("1.") => {
            damaged(&mut message, &format!("it is a CloudEvent {version}, not 1.0"));
        }
        (_, _, Some(Err(_))) => damaged(&mut message, "its `ce_time` is no time"),
        (_, _, Some(Ok(time))) => message.time = time,
        (_, _, None) => {}
    }
    message
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(message: &Message) -> Message {
        let headers = headers(message);
        let raw = Raw {
            key: Some(message.key.as_bytes()),
            value: Some(&message.value),
            timestamp: Some(0),
            headers: Some(
                headers
                    .iter()
                    .map(|(name, value)| (&**name, Some(value.as_bytes())))
                    .collect(),
            ),
        };
        decode(raw, || "t/0/0".to_owned())
    }

    fn foreign(headers: Vec<Header<'_>>) -> Message {
        let raw = Raw {
            key: Some(b"k"),
            value: Some(b"v"),
            timestamp: Some(1_000),
            headers: Some(headers),
        };
        decode(raw, || "t/0/7".to_owned())
    }

    const OURS: [Header<'static>; 5] = [
        ("ce_specversion", Some(b"1.0")),
        ("ce_id", Some(b"i")),
        ("ce_type", Some(b"t")),
        ("ce_source", Some(b"s")),
        ("ce_time", Some(b"2026-01-02T03:04:05Z")),
    ];

    proptest! {
        #[test]
        fn a_message_comes_out_of_its_headers_as_it_went_in(
            (id, key, event_type, source) in (".+", ".*", ".*", ".*"),
            traceparent in proptest::option::of("[0-9a-f-]{1,55}"),
            micros in -1_000_000_000_000i64..1_000_000_000_000,
            value in any::<Vec<u8>>(),
            attributes in proptest::collection::vec(("[a-z_]{0,9}", ".*"), 0..4),
        ) {
            let time = Timestamp::from_microsecond(micros).unwrap();
            let message =
                Message { id, key, event_type, source, time, traceparent, value: value.into(), attributes };
            prop_assert_eq!(read(&message), message);
        }

        #[test]
        fn whatever_headers_a_record_has_it_is_read_without_a_panic(
            headers in proptest::collection::vec((".*", proptest::option::of(any::<Vec<u8>>())), 0..6)
        ) {
            let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
            prop_assert!(foreign(headers).damage().is_some());
        }
    }

    #[test]
    fn an_attribute_that_is_called_as_one_of_ours_stays_an_attribute() {
        let message = Message {
            id: "i".to_owned(),
            attributes: vec![("ce_id".to_owned(), "j".to_owned())],
            ..Message::default()
        };
        assert_eq!(read(&message), message);
    }

    #[test]
    fn what_is_no_cloud_event_is_marked_and_keeps_its_bytes() {
        for (at, (name, _)) in OURS[..4].iter().enumerate() {
            let mut headers = OURS.to_vec();
            headers.remove(at);
            let message = foreign(headers);
            assert!(message.damage().unwrap().contains(name), "{message:?}");
            assert_eq!((&*message.key, &*message.value), ("k", &b"v"[..]));
        }
        assert!(foreign(OURS.to_vec()).damage().is_none());
        assert_eq!(foreign(Vec::new()).id, "t/0/7");
    }

    #[test]
    fn other_versions_and_ill_formed_times_are_marked() {
        let mut headers = OURS.to_vec();
        headers[0].1 = Some(b"0.3");
        assert!(foreign(headers).damage().unwrap().contains("0.3"));
        let mut headers = OURS.to_vec();
        headers[4].1 = Some(b"yesterday");
        assert!(foreign(headers).damage().unwrap().contains("ce_time"));
    }

    #[test]
    fn without_a_time_of_its_own_a_message_has_that_of_its_record() {
        let message = foreign(OURS[..4].to_vec());
        assert!(message.damage().is_none());
        assert_eq!(message.time, Timestamp::from_second(1).unwrap());
    }
}
