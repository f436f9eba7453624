//! The suite that every adapter of the bus passes.
//!
//! ```ignore
//! marquee_bus::suite!(MyFixture);                            // MyFixture: marquee_bus::testing::Fixture
//! marquee_bus::suite!(MyFixture, ignore = "needs kafka");    // on a server that has to be there
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "tests, in a library so that every adapter can run them"
)]

pub mod consuming;
pub mod log;
pub mod rebalancing;
pub mod replaying;
mod tools;

pub use tools::{Fixture, collect, message, topic, values};

/// Runs every case on a fixture, each as a test of its own. The one list of cases is here.
#[macro_export]
macro_rules! suite {
    ($fixture:ty $(, ignore = $reason:literal)?) => {
        $crate::suite!(@in log, $fixture, [$($reason)?]:
            a_message_comes_out_as_it_went_in,
            messages_of_one_key_stay_in_order,
            concurrent_publishers_leave_no_gap_and_lose_nothing,
            every_group_reads_everything,
            what_was_published_survives_a_restart,
            a_group_goes_on_where_it_committed_after_a_restart,
            what_was_not_committed_comes_again,
            seeking_replays_from_the_offset,
            a_group_says_where_it_goes_on,
            what_is_committed_is_known_while_the_member_goes_on,
            a_new_owner_may_begin_elsewhere_than_the_group_committed,
            what_expired_is_gone_and_a_group_goes_on_at_the_earliest,
            everything_of_a_long_backlog_comes_in_order_to_a_reader_who_stops_now_and_then,
            a_paused_partition_waits_while_others_go_on,
            a_slow_group_holds_up_neither_publishers_nor_other_groups,
            an_undeclared_topic_is_refused,
            a_topic_declared_otherwise_is_reported
        );
        $crate::suite!(@in consuming, $fixture, [$($reason)?]:
            a_former_owner_cannot_commit,
            the_consumer_handles_each_partition_in_order,
            a_failing_handler_is_retried_in_order_until_it_succeeds,
            poison_goes_to_the_dead_letters_and_the_partition_moves_on,
            an_error_whose_text_panics_is_poison_too,
            one_stuck_partition_does_not_stop_the_others,
            shutdown_finishes_the_record_in_hand_and_commits_it
        );
        $crate::suite!(@in rebalancing, $fixture, [$($reason)?]:
            members_share_the_partitions_and_lose_nothing_when_they_come_and_go,
            only_what_a_member_did_not_commit_comes_again,
            a_backlog_is_read_on_after_a_partition_went_and_came_back,
            consumers_come_and_go_under_load_and_each_key_stays_in_order
        );
        $crate::suite!(@in replaying, $fixture, [$($reason)?]:
            dead_letters_are_published_again_as_the_messages_that_they_were,
            a_replay_is_bounded_and_the_next_goes_on_where_it_stopped,
            letters_that_come_while_a_replay_runs_are_for_the_next
        );
    };
    (@in $module:ident, $fixture:ty, []: $($case:ident),+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                $crate::testing::$module::$case::<$fixture>().await;
            }
        )+
    };
    (@in $module:ident, $fixture:ty, [$reason:literal]: $($case:ident),+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            #[ignore = $reason]
            async fn $case() {
                $crate::testing::$module::$case::<$fixture>().await;
            }
        )+
    };
}
