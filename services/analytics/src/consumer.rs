//! From the bus into the store.

mod catalogue;
mod playback;

pub(crate) use catalogue::Keeper;
pub(crate) use playback::Folder;
