//! Who a request is from and what it is called, as the proxies in front tell it.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, HeaderValue};
use marquee_config::TrustedProxies;

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static(marquee_client::REQUEST_ID_HEADER);
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
/// Proxies that one request may pass through.
const MAX_HOPS: usize = 16;
/// A request id is shown in logs, errors and traces.
const MAX_ID: usize = 128;

/// The client that `headers` name, when `peer` is a proxy that is trusted; else the peer, and what it claims is removed
/// so that nobody behind believes it.
///
/// Each proxy appends to `X-Forwarded-For` the address that it was called from: the client is the last address that is
/// no proxy of ours, whatever it wrote before. `X-Real-IP` is for proxies that say only that.
pub(crate) fn client(proxies: &TrustedProxies, peer: SocketAddr, headers: &mut HeaderMap) -> SocketAddr {
    if !proxies.contains(peer.ip()) {
        headers.remove(FORWARDED_FOR);
        headers.remove(REAL_IP);
        return peer;
    }
    let mut client = None;
    let hops = headers.get_all(FORWARDED_FOR).iter().rev();
    let hops = hops
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.rsplit(','));
    for hop in hops.take(MAX_HOPS) {
        let Some(address) = address(hop.trim()) else { break };
        client = Some(address);
        if !proxies.contains(address.ip()) {
            break;
        }
    }
    let real = || address(headers.get(REAL_IP)?.to_str().ok()?.trim());
    client.or_else(real).unwrap_or(peer)
}

/// An address with or without a port; one that is not told is 0.
fn address(text: &str) -> Option<SocketAddr> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let address = match bare.parse::<IpAddr>() {
        Ok(ip) => SocketAddr::new(ip, 0),
        Err(_) => text.parse().ok()?,
    };
    Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
}

/// The id of a request: what a trusted proxy calls it, else a new one. It is in the headers afterwards.
pub(crate) fn request_id(proxies: &TrustedProxies, peer: SocketAddr, headers: &mut HeaderMap) -> HeaderValue {
    let given = headers.get(REQUEST_ID).filter(|id| well_formed(id.as_bytes()));
    if let Some(id) = given.filter(|_| proxies.contains(peer.ip())) {
        return id.clone();
    }
    let mut digits = uuid::Uuid::encode_buffer();
    // `new_v4` asks the kernel each time; an id needs to be unique, not secret.
    let id = uuid::Builder::from_random_bytes(rand::random()).into_uuid();
    let id = id.simple().encode_lower(&mut digits);
    let id = HeaderValue::from_str(id).unwrap_or_else(|_| HeaderValue::from_static("-"));
    headers.insert(REQUEST_ID, id.clone());
    id
}

fn well_formed(id: &[u8]) -> bool {
    (1..=MAX_ID).contains(&id.len())
        && id
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: &str = "10.0.0.9:4711";

    fn seen(peer: &str, headers: &[(&'static str, &str)]) -> (String, HeaderMap) {
        let proxies = "10.0.0.0/8".parse().unwrap();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let client = client(&proxies, peer.parse().unwrap(), &mut map);
        (client.ip().to_string(), map)
    }

    #[test]
    fn a_trusted_proxy_names_its_client() {
        for value in [
            "192.0.2.1",
            "192.0.2.1:80",
            "::ffff:192.0.2.1",
            "[::ffff:192.0.2.1]:80",
        ] {
            assert_eq!(
                seen(PROXY, &[("x-forwarded-for", value)]).0,
                "192.0.2.1",
                "{value}"
            );
        }
        assert_eq!(seen(PROXY, &[("x-real-ip", "2001:db8::1")]).0, "2001:db8::1");
    }

    #[test]
    fn what_a_client_wrote_itself_is_not_believed() {
        let claimed = "203.0.113.7, 192.0.2.1, 10.0.0.8";
        assert_eq!(seen(PROXY, &[("x-forwarded-for", claimed)]).0, "192.0.2.1");
        let lines = [
            ("x-forwarded-for", "203.0.113.7"),
            ("x-forwarded-for", "192.0.2.1"),
        ];
        assert_eq!(seen(PROXY, &lines).0, "192.0.2.1", "lines are one list");
        assert_eq!(
            seen(PROXY, &[("x-forwarded-for", "203.0.113.7, nonsense")]).0,
            "10.0.0.9"
        );
    }

    #[test]
    fn a_stranger_is_who_it_is_and_its_claims_go() {
        let headers = [("x-forwarded-for", "10.0.0.1"), ("x-real-ip", "10.0.0.1")];
        let (client, headers) = seen("192.0.2.1:80", &headers);
        assert_eq!(client, "192.0.2.1");
        assert!(headers.is_empty());
    }

    #[test]
    fn among_proxies_alone_the_first_is_the_client() {
        assert_eq!(
            seen(PROXY, &[("x-forwarded-for", "10.1.1.1, 10.0.0.8")]).0,
            "10.1.1.1"
        );
        assert_eq!(seen(PROXY, &[]).0, "10.0.0.9");
    }

    #[test]
    fn a_request_id_is_taken_over_from_a_proxy_alone() {
        let proxies = "10.0.0.0/8".parse().unwrap();
        let id = |peer: &str, given: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, given.parse().unwrap());
            let id = request_id(&proxies, peer.parse().unwrap(), &mut headers);
            assert_eq!(headers[REQUEST_ID], id);
            id.to_str().unwrap().to_owned()
        };
        assert_eq!(id(PROXY, "6f1c-a.b:1"), "6f1c-a.b:1");
        for (peer, given) in [
            ("192.0.2.1:80", "mine"),
            (PROXY, "two words"),
            (PROXY, "\"quoted\""),
            (PROXY, &"x".repeat(129)),
        ] {
            let made = id(peer, given);
            assert!(made != given && made.len() == 32, "{made}");
        }
    }
}
