//! Where the servers of a connection string are, for those who only want to know whether they can be reached.

use super::check::{authority, host_port};
use super::{ElasticsearchArgs, MongoArgs, PostgresArgs};

impl MongoArgs {
    /// The members of the replica set that the string names, each `host:port`; none when they are found by DNS
    /// (`mongodb+srv`).
    pub fn hosts(&self) -> Vec<String> {
        let rest = self.mongodb_uri.expose().strip_prefix("mongodb://");
        rest.map_or_else(Vec::new, |rest| with_port(authority(rest).1, 27_017))
    }
}

impl MongoArgs {
    /// The database: the one that is named, else that of the service.
    pub fn database(&self, service: &str) -> String {
        self.mongodb_database
            .clone()
            .unwrap_or_else(|| service.to_owned())
    }
}

impl PostgresArgs {
    /// The server, `host:port`.
    pub fn hosts(&self) -> Vec<String> {
        let url = self.postgres_url.expose();
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        with_port(authority(rest).1, 5_432)
    }
}

impl ElasticsearchArgs {
    /// The server, `host:port`.
    pub fn hosts(&self) -> Vec<String> {
        let (scheme, rest) = self.elasticsearch_url.split_once("://").unwrap_or_default();
        with_port(authority(rest).1, if scheme == "https" { 443 } else { 80 })
    }
}

fn with_port(hosts: &str, port: u16) -> Vec<String> {
    let hosts = hosts.split(',').filter(|host| !host.is_empty());
    hosts
        .map(|host| match host_port(host) {
            Some(_) => host.to_owned(),
            None => format!("{host}:{port}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_have_the_ports_that_the_drivers_take() {
        let mongodb = |uri: &str| {
            let args = MongoArgs {
                mongodb_uri: crate::Secret::new(uri),
                mongodb_database: None,
            };
            args.hosts()
        };
        assert_eq!(
            mongodb("mongodb://u:p@a:1,b/admin?replicaSet=rs0"),
            ["a:1", "b:27017"]
        );
        assert!(mongodb("mongodb+srv://cluster.example.org").is_empty());
        let postgres = PostgresArgs {
            postgres_url: crate::Secret::new("postgres://it:p@[::1]/db"),
            postgres_connections: 1,
        };
        assert_eq!(postgres.hosts(), ["[::1]:5432"]);
    }
}
