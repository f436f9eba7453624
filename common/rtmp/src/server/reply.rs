//! The answer to `connect`.

use crate::amf0::Value;
use crate::caps_ex;
use crate::command::Command;

/// What a `connect` asked that its answer must repeat.
#[derive(Debug, Clone)]
pub(super) struct ConnectAsked {
    pub(super) transaction: f64,
    pub(super) object_encoding: f64,
    /// E-RTMP properties, when the client has any.
    pub(super) enhanced: bool,
}

/// FourCCs of what is taken: an encoder that has several codecs chooses among these.
const VIDEO: [&str; 4] = ["avc1", "hvc1", "av01", "vp09"];
const AUDIO: [&str; 2] = ["mp4a", "Opus"];

/// E-RTMP "FourCC info map" flag: we hand it on without decoding.
const CAN_FORWARD: f64 = 4.0;

/// `_result` of an accepted connect. E-RTMP has the capabilities among the properties; some clients look for them in the
/// information object, so that both have them.
pub(super) fn connect_result(asked: &ConnectAsked) -> Command {
    let mut properties = vec![
        ("fmsVer".to_owned(), "FMS/3,5,7,7009".into()),
        ("capabilities".to_owned(), Value::Number(31.0)),
        ("mode".to_owned(), Value::Number(1.0)),
    ];
    let mut information = vec![
        ("level".to_owned(), "status".into()),
        ("code".to_owned(), "NetConnection.Connect.Success".into()),
        ("description".to_owned(), "Connection succeeded.".into()),
        ("objectEncoding".to_owned(), Value::Number(asked.object_encoding)),
    ];
    if asked.enhanced {
        properties.extend(enhanced());
        information.extend(enhanced());
    }
    Command::new(
        "_result",
        asked.transaction,
        Value::Object(properties),
        vec![Value::Object(information)],
    )
}

fn enhanced() -> [(String, Value); 4] {
    let list = VIDEO
        .iter()
        .chain(&AUDIO)
        .map(|four_cc| Value::from(*four_cc))
        .collect();
    let map = |codecs: &[&str]| {
        Value::Object(
            codecs
                .iter()
                .map(|four_cc| ((*four_cc).to_owned(), Value::Number(CAN_FORWARD)))
                .collect(),
        )
    };
    [
        ("capsEx".to_owned(), Value::Number(f64::from(caps_ex::ALL))),
        ("fourCcList".to_owned(), Value::StrictArray(list)),
        ("videoFourCcInfoMap".to_owned(), map(&VIDEO)),
        ("audioFourCcInfoMap".to_owned(), map(&AUDIO)),
    ]
}
