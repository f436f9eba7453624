//! What is known about every RPC: its trace, how long it took, how it ended.

mod body;
mod client;
mod methods;
mod server;

pub use self::body::RpcBody;
pub use self::client::ClientCalls;
pub use self::methods::Call;
pub use self::server::{Rpc, RpcFuture, RpcLayer};

#[cfg(test)]
mod tests;
