//! What a server has acknowledged, written and read with the server's own programs or over HTTP.

use marquee_backends::Backend;

pub(crate) fn write(_backend: Backend, _address: &str) -> String {
    String::new()
}

pub(crate) fn read(_backend: Backend, _address: &str, _written: &str) {}
