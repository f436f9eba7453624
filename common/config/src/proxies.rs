use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// The networks (RFC 4632) of the proxies that a process stands behind; what they say about their clients is believed.
///
/// ```
/// let proxies: marquee_config::TrustedProxies = "10.0.0.0/8,127.0.0.1".parse().unwrap();
/// assert!(proxies.contains("10.1.2.3".parse().unwrap()));
/// assert!(!proxies.contains("192.0.2.1".parse().unwrap()));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<Network>);

/// A network (RFC 4632), or one address, which is a network of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl TrustedProxies {
    /// Whether an address belongs to a proxy; an IPv4 address mapped into IPv6 (RFC 4291 section 2.5.5.2) is what it maps.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(address))
    }

    /// True when no proxy is trusted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Network {
    /// Whether an address is in it; an IPv4 address mapped into IPv6 is what it maps.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let differing = network.to_bits() ^ address.to_bits();
                differing.checked_shr(32 - u32::from(self.prefix)).unwrap_or(0) == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let differing = network.to_bits() ^ address.to_bits();
                differing.checked_shr(128 - u32::from(self.prefix)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address
            .parse()
            .map_err(|_| format!("{text:?} is no network; write 10.0.0.0/8 or fd00::/8, or one address"))?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix.map(str::parse::<u8>) {
            None => longest,
            Some(Ok(prefix)) if prefix <= longest => prefix,
            Some(_) => {
                return Err(format!(
                    "{text:?} has no such prefix; it must be from 0 to {longest}"
                ));
            }
        };
        Ok(Self { address, prefix })
    }
}

impl FromStr for TrustedProxies {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let networks = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        networks.map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

/// As it is written in [`FromStr`]: an address alone without its prefix.
impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let longest = if self.address.is_ipv4() { 32 } else { 128 };
        if self.prefix == longest {
            write!(f, "{}", self.address)
        } else {
            write!(f, "{}/{}", self.address, self.prefix)
        }
    }
}

impl fmt::Display for TrustedProxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, network) in self.0.iter().enumerate() {
            let comma = if n == 0 { "" } else { "," };
            write!(f, "{comma}{}/{}", network.address, network.prefix)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(proxies: &str, address: &str) -> bool {
        let proxies: TrustedProxies = proxies.parse().unwrap();
        proxies.contains(address.parse().unwrap())
    }

    #[test]
    fn a_network_holds_the_addresses_with_its_prefix() {
        assert!(contains("10.0.0.0/8", "10.255.0.1"));
        assert!(!contains("10.0.0.0/8", "11.0.0.1"));
        assert!(contains("192.0.2.128/25", "192.0.2.129"));
        assert!(!contains("192.0.2.128/25", "192.0.2.127"));
        assert!(contains("fd00::/8", "fd12::1"));
        assert!(!contains("fd00::/8", "fe80::1"));
        assert!(contains("0.0.0.0/0,::/0", "192.0.2.1") && contains("0.0.0.0/0,::/0", "2001:db8::1"));
    }

    #[test]
    fn one_address_is_a_network_of_one() {
        assert!(contains("127.0.0.1", "127.0.0.1"));
        assert!(!contains("127.0.0.1", "127.0.0.2"));
        assert!(
            contains("127.0.0.1", "::ffff:127.0.0.1"),
            "as a dual-stack socket tells it"
        );
    }

    #[test]
    fn without_a_list_nobody_is_trusted() {
        assert!(!contains("", "127.0.0.1"));
    }

    #[test]
    fn what_is_no_network_is_named() {
        for (text, complaint) in [
            (
                "proxy",
                "\"proxy\" is no network; write 10.0.0.0/8 or fd00::/8, or one address",
            ),
            (
                "10.0.0.0/33",
                "\"10.0.0.0/33\" has no such prefix; it must be from 0 to 32",
            ),
            (
                "10.0.0.0/",
                "\"10.0.0.0/\" has no such prefix; it must be from 0 to 32",
            ),
        ] {
            assert_eq!(text.parse::<TrustedProxies>().unwrap_err(), complaint);
        }
    }
}
