//! Groups of options that binaries flatten: one per thing that a process talks to.

mod check;
mod hosts;

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::{Secret, TrustedProxies};

/// Where a process listens.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
#[command(next_help_heading = "Listening")]
pub struct GrpcArgs {
    /// Address for gRPC, grpc-web and REST; port 0 takes any that is free
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Networks of the proxies in front, for example 10.0.0.0/8,127.0.0.1: from them alone X-Forwarded-For, X-Real-IP,
    /// X-Request-Id and the PROXY protocol are believed
    #[arg(long, value_name = "CIDR,...", default_value = "")]
    pub trusted_proxies: TrustedProxies,
}

/// Where a process keeps what it owns.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct DataArgs {
    /// Folder that everything is kept in; made when it is missing
    #[arg(long, value_name = "FOLDER", default_value = "data")]
    pub data: PathBuf,
}

/// The bus.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Kafka, the bus")]
pub struct KafkaArgs {
    /// Brokers to begin with: host:port, more of them after commas; the cluster tells the others
    #[arg(long, value_name = "HOST:PORT,...", value_parser = check::brokers)]
    pub kafka_brokers: String,
    /// Put before the names of all topics and groups, so that several installations can share a cluster
    #[arg(long, value_name = "NAME", default_value = "", value_parser = check::topic_prefix)]
    pub kafka_prefix: String,
    /// Copies of each topic that is made, one per broker at most
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(i16).range(1..=32))]
    pub kafka_replication: i16,
    /// What to do about topics: create makes those that are missing, check only says what is missing or otherwise than
    /// declared
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = Topics::Create)]
    pub kafka_topics: Topics,
}

/// What a process does about the topics that it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Topics {
    /// Makes those that are missing.
    Create,
    /// Only compares.
    Check,
}

/// A store on MongoDB.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "MongoDB, the store")]
pub struct MongoArgs {
    /// Where the replica set is: mongodb://user:password@host:port/?replicaSet=name, or file:PATH to read it from a file
    #[arg(long, value_name = "URI", value_parser = check::mongodb_uri)]
    pub mongodb_uri: Secret,
    /// Database in it; one of its own for each service, by default of the service's name
    #[arg(long, value_name = "NAME", value_parser = check::database_name)]
    pub mongodb_database: Option<String>,
}

/// A store on PostgreSQL.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "PostgreSQL, the store")]
pub struct PostgresArgs {
    /// Where the database is: postgres://user:password@host:port/database, or file:PATH to read it from a file
    #[arg(long, value_name = "URL", value_parser = check::postgres_url)]
    pub postgres_url: Secret,
    /// Connections that are kept open at most
    #[arg(long, value_name = "COUNT", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub postgres_connections: u32,
}

/// An index on Elasticsearch.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Elasticsearch, the index")]
pub struct ElasticsearchArgs {
    /// Where the cluster answers HTTP: http://host:port
    #[arg(long, value_name = "URL", value_parser = check::elasticsearch_url)]
    pub elasticsearch_url: String,
    /// Beginning of the names of all indices and aliases
    #[arg(long, value_name = "NAME", default_value = "marquee", value_parser = check::index_prefix)]
    pub elasticsearch_index_prefix: String,
    /// Copies of each index beside the first; on one node there is no place for any
    #[arg(long, value_name = "COUNT", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=10))]
    pub elasticsearch_replicas: u32,
    /// API key in its encoded form, or file:PATH
    #[arg(long, value_name = "KEY", conflicts_with = "elasticsearch_username")]
    pub elasticsearch_api_key: Option<Secret>,
    /// Who to sign in as, where there is no API key
    #[arg(long, value_name = "NAME", requires = "elasticsearch_password")]
    pub elasticsearch_username: Option<String>,
    /// Its password, or file:PATH
    #[arg(long, value_name = "PASSWORD", requires = "elasticsearch_username")]
    pub elasticsearch_password: Option<Secret>,
}

#[cfg(test)]
mod tests;
