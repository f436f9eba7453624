//! The server as its clients see it: real sockets, real tonic clients, plain HTTP.

mod bounds;
mod forwarded;
mod lifecycle;
mod protocols;
mod rest;
mod stage;
mod starting;
