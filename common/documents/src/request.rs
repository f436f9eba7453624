use prost::Message;
use sha2::{Digest, Sha256};

/// Which request of which caller, so that a replay gets the first answer (AIP-155). Kept for 24 hours.
#[derive(Debug, Clone)]
pub struct RequestKey {
    /// `None` when the client gave no request id.
    pub(crate) key: Option<Key>,
}

#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) caller: String,
    pub(crate) rpc: String,
    pub(crate) request_id: String,
    pub(crate) body: [u8; 32],
}

impl RequestKey {
    /// The key of a request. With an empty request id nothing is remembered and nothing replayed.
    pub fn new(caller: &str, rpc: &str, request_id: &str, request: &impl Message) -> Self {
        let key = (!request_id.is_empty()).then(|| Key {
            caller: caller.to_owned(),
            rpc: rpc.to_owned(),
            request_id: request_id.to_owned(),
            body: Sha256::digest(request.encode_to_vec()).into(),
        });
        Self { key }
    }
}
