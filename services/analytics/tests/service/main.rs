//! The analytics service as players, pages, owners and the bus see it.

mod audience;
mod beacons;
mod fixture;
mod killed;
mod summaries;
