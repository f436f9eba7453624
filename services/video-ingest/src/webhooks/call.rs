//! What a call says, as a form.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{PlayCall, PublishCall};

/// What stands in a form as it is (application/x-www-form-urlencoded, but for the space, which is `%20`).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'*');
/// Longer arguments of an encoder are not passed on.
const ARGUMENTS_MAX: usize = 2_000;

/// A body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Form(pub(super) String);

impl Form {
    /// As nginx-rtmp has it: `call`, `addr`, `app`, `flashver`, `swfurl`, `tcurl`, `pageurl`, `name`, `type`, then the
    /// encoder's own arguments; and, of ours, `stream_key`.
    pub(super) fn publish(call: &str, publish: &PublishCall) -> Self {
        let mut form = Self::of(&[
            ("call", call),
            ("addr", &publish.address.to_string()),
            ("app", &publish.app),
            ("flashver", &publish.flash_version),
            ("swfurl", ""),
            ("tcurl", &publish.tc_url),
            ("pageurl", ""),
            ("name", &publish.name),
            ("type", "live"),
            ("stream_key", &publish.stream_key),
        ]);
        // Last, and as they came: where a name comes twice, the first counts.
        if !publish.arguments.is_empty() && publish.arguments.len() <= ARGUMENTS_MAX {
            let clean = publish.arguments.bytes().all(|byte| byte.is_ascii_graphic());
            if clean {
                form.0.push('&');
                form.0.push_str(&publish.arguments);
            }
        }
        form
    }

    /// The same for a viewer; `name` is the channel's id.
    pub(super) fn play(play: &PlayCall<'_>) -> Self {
        Self::of(&[
            ("call", "play"),
            ("addr", &play.address.to_string()),
            ("app", "live"),
            ("name", &play.stream.channel),
            ("live_stream", &play.stream.to_string()),
            ("account", play.account),
            ("playback_session", play.session),
        ])
    }

    fn of(fields: &[(&str, &str)]) -> Self {
        let pairs: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, ESCAPED)))
            .collect();
        Self(pairs.join("&"))
    }
}

/// The channel that a redirect names: its id, `channels/{channel}`, or the last segment of an RTMP address.
pub(super) fn renamed(location: &str) -> Option<String> {
    let path = location.split(['?', '#']).next().unwrap_or_default();
    let id = path.rsplit('/').next().unwrap_or_default();
    marquee_proto::name::is_valid_id(id).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call() -> PublishCall {
        PublishCall {
            address: "192.0.2.1".parse().unwrap(),
            app: "live".to_owned(),
            tc_url: "rtmp://host/live".to_owned(),
            flash_version: "FMLE/3.0 (compatible; Lavf)".to_owned(),
            name: "c1".to_owned(),
            stream_key: "channels/c1/streamKeys/k".to_owned(),
            arguments: "user=me&x=1%202".to_owned(),
        }
    }

    #[test]
    fn it_is_the_form_of_nginx_rtmp() {
        assert_eq!(
            Form::publish("publish", &call()).0,
            "call=publish&addr=192.0.2.1&app=live&flashver=FMLE%2F3.0%20%28compatible%3B%20Lavf%29&swfurl=\
             &tcurl=rtmp%3A%2F%2Fhost%2Flive&pageurl=&name=c1&type=live&stream_key=channels%2Fc1%2FstreamKeys%2Fk\
             &user=me&x=1%202"
        );
    }

    #[test]
    fn arguments_that_could_break_the_form_are_left_out() {
        for arguments in ["a b", "a\r\nb", "ä", &"x".repeat(ARGUMENTS_MAX + 1)] {
            let call = PublishCall {
                arguments: arguments.to_owned(),
                ..call()
            };
            assert!(
                Form::publish("publish", &call).0.ends_with("streamKeys%2Fk"),
                "{arguments:?}"
            );
        }
    }

    #[test]
    fn a_redirect_names_a_channel() {
        for (location, channel) in [
            ("c1", Some("c1")),
            ("channels/c1", Some("c1")),
            ("rtmp://127.0.0.1/live/c1?x=1", Some("c1")),
            ("", None),
            ("http://host/", None),
            ("a b", None),
            ("-", None),
        ] {
            assert_eq!(renamed(location).as_deref(), channel, "{location:?}");
        }
    }
}
