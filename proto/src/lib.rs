//! The contracts that Marquee's services meet on: gRPC services, bus events, and the names of resources.
//!
//! The modules are generated from the `.proto` files beside this crate; [`name`] parses the resource names that
//! travel in them, [`topic`] declares which event travels on which topic.

pub mod name;
pub mod time;
pub mod topic;

use std::sync::LazyLock;

use prost_reflect::DescriptorPool;

/// Encoded `FileDescriptorSet` of every proto, with source info, for reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/marquee.bin"));

/// Every service and message, with the options that `google.api.http` and `marquee.auth.v1.access` set.
pub static DESCRIPTORS: LazyLock<DescriptorPool> = LazyLock::new(|| {
    #[expect(
        clippy::expect_used,
        reason = "the set was written by this crate's build script"
    )]
    DescriptorPool::decode(FILE_DESCRIPTOR_SET).expect("the compiled descriptor set is well formed")
});

macro_rules! package {
    ($(#[$doc:meta])* $module:ident, $package:literal) => {
        $(#[$doc])*
        pub mod $module {
            /// Version 1.
            #[allow(clippy::all, missing_docs, unreachable_pub)]
            pub mod v1 {
                tonic::include_proto!($package);
            }
        }
    };
}

package!(
    /// Channels and live events.
    events, "marquee.events.v1"
);
package!(
    /// Stream keys, live streams, recordings.
    video_ingest, "marquee.video_ingest.v1"
);
package!(
    /// Accounts, sessions, plans, memberships, payments, follows, reminders.
    subscriptions, "marquee.subscriptions.v1"
);
package!(
    /// The inbox.
    notifications, "marquee.notifications.v1"
);
package!(
    /// Search and suggestions.
    search, "marquee.search.v1"
);
package!(
    /// Playback beacons and the audience.
    analytics, "marquee.analytics.v1"
);
