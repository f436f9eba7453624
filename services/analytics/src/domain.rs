//! What beacons mean: reports, sessions, sums, the audience now. Pure: bytes, clocks and stores are elsewhere. Times are
//! milliseconds since 1970.

pub mod fold;
pub mod ledger;
pub mod presence;
pub mod progress;
pub mod report;
pub mod session;
pub mod spans;
pub mod timeline;
pub mod totals;

pub use fold::{Folded, Step, fold};
pub use ledger::Ledger;
pub use presence::{Presence, Rules};
pub use progress::{Ending, Progress};
pub use report::{Received, Report, SessionKey, State};
pub use session::{Session, Verdict};
pub use spans::Spans;
pub use timeline::Timeline;
pub use totals::Totals;
