use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use crate::Error;

/// Ports that are free now. They are all held until the last is found, so that none is given twice.
pub(crate) fn free<const N: usize>() -> Result<[u16; N], Error> {
    let io = |source| Error::Io {
        path: "127.0.0.1:0".into(),
        source,
    };
    let mut held = Vec::new();
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(io)?;
        *port = listener.local_addr().map_err(io)?.port();
        held.push(listener);
    }
    Ok(ports)
}

/// On this machine.
pub(crate) fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}
