//! Types and rules: notifications and their identity, what is remembered of the audience, cursors.

pub(crate) mod audience;
pub(crate) mod cursor;
pub(crate) mod event;
pub(crate) mod fanout;
pub(crate) mod notification;
