//! Ports that stay free until they are used, and while their server is down.
//!
//! A port of the range from which the kernel takes the near end of outgoing connections will not do: while a killed
//! server is down, one of its own clients that tries to connect again may be given that very port (and then even be
//! connected to itself). So ports are taken from below that range.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::net::{Ipv4Addr, TcpListener};

use crate::{Error, Result};

/// Below this live the well-known servers that a developer may have running.
const LOWEST: u16 = 20_000;

/// As many different free ports as are asked for.
///
/// # Errors
/// [`Error::NoPort`] when there are not as many.
pub fn choose(count: usize) -> Result<Vec<u16>> {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let (from, to) = range(&text);
    let span = to - from;
    // Somewhere else each time, so that two runs at once seldom meet; if they do, the server's own bind finds out.
    let random = RandomState::new().build_hasher().finish();
    let start = u16::try_from(random % u64::from(span)).unwrap_or(0);
    let mut held = Vec::new();
    let mut ports = Vec::new();
    for step in 0..span {
        if ports.len() == count {
            break;
        }
        let port = from + (start + step) % span;
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            held.push(listener);
            ports.push(port);
        }
    }
    if ports.len() < count {
        return Err(Error::NoPort { from, to });
    }
    Ok(ports)
}

/// Whether nobody listens there.
#[must_use]
pub fn free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// The ports to choose from, given the kernel's range of ports for outgoing connections.
fn range(kernel: &str) -> (u16, u16) {
    let low = kernel
        .split_whitespace()
        .next()
        .and_then(|low| low.parse().ok())
        .unwrap_or(32_768_u16);
    if low >= LOWEST + 1000 {
        (LOWEST, low)
    } else {
        // A machine that gives nearly all ports to outgoing connections.
        (LOWEST, 32_768)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_below_those_of_outgoing_connections() {
        assert_eq!(range("32768\t60999\n"), (20_000, 32_768));
        assert_eq!(range("25000 60999"), (20_000, 25_000));
    }

    #[test]
    fn a_machine_without_such_a_range_has_ports_too() {
        assert_eq!(range(""), (20_000, 32_768));
        assert_eq!(range("1024 65535"), (20_000, 32_768));
    }

    #[test]
    fn chosen_ports_are_different_and_free() {
        let ports = choose(3).unwrap();
        assert_eq!(ports.len(), 3);
        assert!(ports[0] != ports[1] && ports[1] != ports[2] && ports[0] != ports[2]);
        assert!(ports.iter().all(|port| free(*port)));
    }

    #[test]
    fn a_port_with_a_listener_is_not_free() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        assert!(!free(listener.local_addr().unwrap().port()));
    }
}
