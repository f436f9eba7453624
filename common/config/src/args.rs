use std::net::SocketAddr;
use std::path::PathBuf;

/// Where a process listens.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct GrpcArgs {
    /// Address for gRPC, grpc-web and REST; port 0 takes any that is free
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
}

/// Where a process keeps what it owns.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct DataArgs {
    /// Folder that everything is kept in; made when it is missing
    #[arg(long, value_name = "FOLDER", default_value = "data")]
    pub data: PathBuf,
}
