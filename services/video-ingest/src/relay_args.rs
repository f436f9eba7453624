//! Options of players over RTMP and HTTP-FLV, and of forwarding, for the programs that serve video.

use std::path::PathBuf;
use std::time::Duration;

use marquee_config::Network;

use crate::Config;

/// What is sent on as it comes.
#[derive(Debug, Clone, clap::Args)]
pub struct RelayArgs {
    /// Players over RTMP and HTTP-FLV at once; further ones are refused
    #[arg(long, value_name = "COUNT", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub max_players: u32,
    /// Seconds that such a player waits for a channel to go on the air
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(0..=60))]
    pub player_wait: u64,
    /// Seconds of a stream's newest group of pictures that are kept for such players to begin with; 0 keeps nothing while nobody
    /// plays, and they begin at the next keyframe
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(0..=120))]
    pub player_group: u64,
    /// Networks that streams may be forwarded to though they are not public, for example 10.1.0.0/16
    #[arg(long, value_name = "NETWORK", value_delimiter = ',')]
    pub forward_allow: Vec<Network>,
    /// Networks that streams may not be forwarded to
    #[arg(long, value_name = "NETWORK", value_delimiter = ',')]
    pub forward_deny: Vec<Network>,
    /// Servers that a channel's streams may be forwarded to; 0 is none
    #[arg(long, value_name = "COUNT", default_value_t = 8, value_parser = clap::value_parser!(u32).range(0..=100))]
    pub forward_targets: u32,
    /// Connections to other servers at once
    #[arg(long, value_name = "COUNT", default_value_t = 500, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub forward_connections: u32,
    /// Certificates that rtmps:// servers may be signed with, a PEM file; without it, those that browsers trust
    #[arg(long, value_name = "FILE")]
    pub forward_certificates: Option<PathBuf>,
}

impl RelayArgs {
    /// Puts them into the configuration.
    pub fn apply(&self, config: &mut Config) {
        config.plays.max_players = self.max_players as usize;
        config.plays.wait = Duration::from_secs(self.player_wait);
        config.relay.max_group = Duration::from_secs(self.player_group);
        let forwarding = &mut config.forwarding;
        forwarding.allow.clone_from(&self.forward_allow);
        forwarding.deny.clone_from(&self.forward_deny);
        forwarding.max_targets = self.forward_targets as usize;
        forwarding.max_connections = self.forward_connections as usize;
        forwarding.certificates.clone_from(&self.forward_certificates);
    }
}
