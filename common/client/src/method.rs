use std::collections::HashMap;
use std::sync::LazyLock;

use marquee_proto::DESCRIPTORS;
use marquee_telemetry::ClientCalls;
use prost_types::method_options::IdempotencyLevel;

/// What a call to a path is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One request, one answer. Reads change nothing, however often they are repeated.
    Unary { reads: bool },
    /// A stream on either side.
    Stream,
}

static SHAPES: LazyLock<HashMap<String, Shape>> = LazyLock::new(|| {
    let methods = DESCRIPTORS
        .services()
        .flat_map(|service| service.methods().collect::<Vec<_>>());
    methods
        .map(|method| {
            let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
            let shape = if method.is_client_streaming() || method.is_server_streaming() {
                Shape::Stream
            } else {
                let options = method.method_descriptor_proto().options.as_ref();
                let level = options.map(|options| options.idempotency_level());
                Shape::Unary {
                    reads: reads(method.name())
                        || matches!(
                            level,
                            Some(IdempotencyLevel::NoSideEffects | IdempotencyLevel::Idempotent)
                        ),
                }
            };
            (path, shape)
        })
        .collect()
});

/// AIP-131, 132, 136: these verbs have no side effects. What else has none says so in its `idempotency_level`.
fn reads(method: &str) -> bool {
    [
        "Get", "BatchGet", "List", "Search", "Suggest", "Check", "Resolve", "Count",
    ]
    .iter()
    .any(|verb| {
        method
            .strip_prefix(verb)
            .is_some_and(|rest| !rest.starts_with(char::is_lowercase))
    })
}

/// Calls are measured per RPC; what is not ours is one.
pub(crate) fn calls() -> &'static ClientCalls {
    static CALLS: LazyLock<ClientCalls> = LazyLock::new(|| ClientCalls::new(SHAPES.keys()));
    &CALLS
}

/// What is not ours may be anything, so it is left alone like a stream.
pub(crate) fn shape(path: &str) -> Shape {
    SHAPES.get(path).copied().unwrap_or(Shape::Stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shape_is_read_from_the_descriptors() {
        assert_eq!(
            shape("/marquee.events.v1.EventService/GetEvent"),
            Shape::Unary { reads: true }
        );
        assert_eq!(
            shape("/marquee.subscriptions.v1.AccountService/CreateAccount"),
            Shape::Unary { reads: false }
        );
        assert_eq!(shape("/marquee.events.v1.EventService/WatchEvent"), Shape::Stream);
        assert_eq!(shape("/other.Service/Get"), Shape::Stream);
    }

    #[test]
    fn a_verb_is_a_whole_word() {
        assert!(reads("ListEvents") && reads("Search"));
        assert!(!reads("Checkout") && !reads("Getaway") && !reads("CreateList"));
    }
}
