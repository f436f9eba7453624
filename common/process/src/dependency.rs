use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long one address may take to take a connection.
const CONNECT: Duration = Duration::from_millis(750);

/// A server that a service cannot be built without.
#[derive(Debug, Clone)]
pub struct Dependency {
    name: &'static str,
    addresses: Vec<String>,
}

impl Dependency {
    /// A server, or servers of which one is enough, each `host:port`. Without any, whether it can be reached is found out
    /// by the service alone.
    pub fn new(name: &'static str, addresses: Vec<String>) -> Self {
        Self { name, addresses }
    }

    /// For example `mongodb`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whether any of the addresses takes a connection: what can be said before there is a driver that says more.
    pub(crate) async fn reach(&self) -> Result<(), String> {
        let mut problems = Vec::new();
        for address in &self.addresses {
            match timeout(CONNECT, TcpStream::connect(address)).await {
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(error)) => problems.push(format!("{address}: {error}")),
                Err(_) => problems.push(format!("{address}: no answer within {CONNECT:?}")),
            }
        }
        if problems.is_empty() {
            return Ok(());
        }
        Err(format!("{}: {}", self.name, problems.join("; ")))
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn one_address_that_answers_is_enough() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let there = listener.local_addr().unwrap().to_string();
        let gone = "127.0.0.1:1".to_owned();
        let store = |addresses| Dependency::new("mongodb", addresses);
        assert_eq!(store(vec![gone.clone(), there]).reach().await, Ok(()));
        let error = store(vec![gone]).reach().await.unwrap_err();
        assert!(error.starts_with("mongodb: 127.0.0.1:1: "), "{error}");
    }
}
