use std::net::SocketAddr;

use crate::{Error, Gateway};

/// Different free ports, of those that stay free while what listens there is down.
pub(crate) fn free<const N: usize>() -> Result<[u16; N], Error> {
    let mut ports = [0; N];
    for (port, chosen) in ports.iter_mut().zip(marquee_backends::ports::choose(N)?) {
        *port = chosen;
    }
    Ok(ports)
}

/// On this machine.
pub(crate) fn local(port: u16) -> SocketAddr {
    (std::net::Ipv4Addr::LOCALHOST, port).into()
}

/// Nobody else may listen where the gateway will: an NGINX that is there already would answer in place of ours.
pub(crate) fn check(gateway: Gateway) -> Result<(), Error> {
    let taken: Vec<_> = gateway
        .ports()
        .into_iter()
        .filter(|(port, _)| !marquee_backends::ports::free(*port))
        .map(|(port, what)| format!("{port} ({what})"))
        .collect();
    if taken.is_empty() {
        return Ok(());
    }
    Err(Error::PortsTaken(taken.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_whose_port_is_taken_is_refused_with_the_port() {
        // Others who look for free ports take one for a moment.
        let mut some = std::iter::repeat_with(|| Gateway::on_free_ports().unwrap()).take(50);
        let gateway = some.find(|gateway| check(*gateway).is_ok()).expect("free ports");
        let listener = std::net::TcpListener::bind(local(gateway.rtmp)).unwrap();
        let refused = check(gateway).unwrap_err().to_string();
        assert!(refused.contains(&format!("{} (RTMP)", gateway.rtmp)), "{refused}");
        drop(listener);
        let is_free = (0..50).any(|_| check(gateway).is_ok());
        assert!(is_free, "{:?}", check(gateway));
    }
}
