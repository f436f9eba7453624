//! Where we may connect to. Owners of channels write addresses; without a guard they could reach what only this machine
//! can (server-side request forgery).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use marquee_config::Network;
use tokio::net::lookup_host;

/// Why there is no address.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The name leads nowhere.
    #[error("its name cannot be resolved")]
    Unknown(#[source] io::Error),
    /// All that it leads to is not for us.
    #[error("this service does not connect to its address")]
    Refused,
}

/// Which addresses may be connected to: public ones and those that are allowed, but none that is denied.
#[derive(Debug, Clone)]
pub(crate) struct Addresses {
    allow: Vec<Network>,
    deny: Vec<Network>,
}

impl Addresses {
    pub(crate) fn new(allow: Vec<Network>, deny: Vec<Network>) -> Self {
        Self { allow, deny }
    }

    /// Whether this one may be connected to; an IPv4 address mapped into IPv6 is what it maps.
    pub(crate) fn allows(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let has = |networks: &[Network]| networks.iter().any(|network| network.contains(address));
        !has(&self.deny) && (has(&self.allow) || is_public(address))
    }

    /// Whether a host may be connected to as far as can be told without asking anybody: names may.
    pub(crate) fn may_allow(&self, host: &str) -> bool {
        host.parse().map_or(true, |address| self.allows(address))
    }

    /// An address of the host. Connect to this one: the name may lead elsewhere a moment later.
    pub(crate) async fn resolve(&self, host: &str, port: u16) -> Result<SocketAddr, Error> {
        let mut found = lookup_host((host, port)).await.map_err(Error::Unknown)?;
        found
            .find(|address| self.allows(address.ip()))
            .ok_or(Error::Refused)
    }
}

/// Whether an address is reachable from everywhere (IANA's special-purpose registries, RFC 6890).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !matches!(
        address.octets(),
        [0 | 10 | 127, ..]
            | [100, 64..=127, ..]
            | [169, 254, ..]
            | [172, 16..=31, ..]
            | [192, 0, 0 | 2, _]
            | [192, 88, 99, _]
            | [192, 168, ..]
            | [198, 18..=19, ..]
            | [198, 51, 100, _]
            | [203, 0, 113, _]
            | [224..=255, ..]
    )
}

/// Global unicast without what carries an IPv4 address (Teredo, 6to4) or is for protocols and documents.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let is_global = matches!(address.segments(), [0x2000..=0x3fff, ..]);
    let is_special = matches!(
        address.segments(),
        [0x2001, 0..=0x01ff, ..] | [0x2001, 0x0db8, ..] | [0x2002, ..] | [0x3fff, 0..=0x0fff, ..]
    );
    is_global && !is_special
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(allow: &[&str], deny: &[&str]) -> Addresses {
        let networks = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        Addresses::new(networks(allow), networks(deny))
    }

    #[test]
    fn only_public_addresses_are_allowed() {
        let addresses = addresses(&[], &[]);
        for public in [
            "1.1.1.1",
            "100.63.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "2606:4700::1111",
            "2001:4860::8888",
        ] {
            assert!(addresses.allows(public.parse().unwrap()), "{public}");
        }
        for private in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.31.255.255",
            "192.0.0.8",
            "192.168.1.1",
            "198.19.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::7f00:1",
            "64:ff9b::7f00:1",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
        ] {
            assert!(!addresses.allows(private.parse().unwrap()), "{private}");
        }
    }

    #[test]
    fn what_is_denied_is_denied_even_if_it_is_allowed() {
        let addresses = addresses(&["10.0.0.0/8"], &["10.9.0.0/16", "1.1.1.1"]);
        for (address, allowed) in [
            ("10.1.1.1", true),
            ("10.9.1.1", false),
            ("1.1.1.1", false),
            ("1.1.1.2", true),
        ] {
            assert_eq!(addresses.allows(address.parse().unwrap()), allowed, "{address}");
        }
    }

    #[tokio::test]
    async fn a_name_that_leads_to_this_machine_is_refused() {
        let refused = addresses(&[], &[]).resolve("localhost", 1935).await;
        assert!(matches!(refused, Err(Error::Refused)), "{refused:?}");
        let allowed = addresses(&["127.0.0.0/8"], &[]).resolve("localhost", 1935).await;
        assert_eq!(allowed.unwrap(), "127.0.0.1:1935".parse().unwrap());
    }
}
