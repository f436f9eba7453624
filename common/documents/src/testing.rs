//! The suite that every backend of the store passes.
//!
//! ```ignore
//! marquee_documents::suite!(MyFixture);   // MyFixture: marquee_documents::testing::Fixture
//! marquee_documents::suite!(MyFixture, ignore = "needs a server");
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "tests, in a library so that every backend can run them"
)]

pub mod finding;
pub mod following;
pub mod killed;
pub mod sharing;
mod tools;
pub mod writing;

pub use tools::{Fixture, Show, collections, show};

/// Runs every case on a fixture, each as a test of its own. The one list of cases is here.
#[macro_export]
macro_rules! suite {
    ($fixture:ty $(, ignore = $why:literal)?) => {
        $crate::suite!(@in writing, $fixture, [$($why)?]:
            a_document_comes_out_as_it_went_in,
            an_id_is_taken_once,
            a_unique_index_is_kept_by_inserts_and_replacements,
            documents_without_the_field_are_not_compared,
            a_stale_etag_conflicts_and_changes_nothing,
            of_concurrent_replacements_one_wins_each_round,
            an_etag_of_a_deleted_document_does_not_fit_its_successor,
            what_is_gone_cannot_be_replaced_or_deleted,
            put_writes_whatever_was_there,
            counters_count_with_their_transaction,
            a_failed_transaction_leaves_nothing,
            messages_go_into_the_outbox_with_their_transaction_in_the_order_of_commits,
            a_message_that_no_bus_takes_is_refused_with_its_transaction,
            a_replayed_request_gets_the_first_answer,
            of_concurrent_requests_with_one_id_one_is_handled,
            everything_survives_a_restart
        );
        $crate::suite!(@in finding, $fixture, [$($why)?]:
            a_query_finds_by_its_index_in_order,
            bounds_cut_the_next_field,
            descending_is_the_other_way_round,
            text_sorts_by_its_bytes,
            numbers_sort_as_numbers,
            nothing_lies_between_bounds_that_cross,
            documents_without_the_field_come_first,
            pages_are_stable_while_documents_are_inserted,
            pages_go_through_equal_values_by_id,
            pages_go_through_missing_values_both_ways,
            a_page_token_of_another_query_is_refused,
            a_count_is_of_all_pages,
            of_many_ids_those_that_are_there_are_found,
            a_read_after_a_write_sees_it
        );
        $crate::suite!(@in sharing, $fixture, [$($why)?]:
            counters_of_concurrent_writers_lose_nothing,
            etags_of_concurrent_writers_lose_nothing,
            of_concurrent_inserts_with_one_unique_value_one_wins,
            pages_are_stable_while_documents_come_and_go,
            messages_of_a_key_are_in_the_order_of_its_commits
        );
        $crate::suite!(@in following, $fixture, [$($why)?]:
            who_follows_is_told_first_to_read_what_is_there,
            changes_are_told_in_the_order_of_their_commits,
            what_another_process_commits_is_told_too,
            nothing_is_told_of_what_failed_or_is_not_wanted,
            every_follower_is_told
        );
        $crate::suite!(@in killed, $fixture, [$($why)?]:
            a_killed_process_leaves_state_and_message_or_neither
        );
        #[test]
        #[ignore = "run by another test"]
        fn commits_until_it_is_killed() {
            $crate::testing::killed::child();
        }
    };
    (@in $module:ident, $fixture:ty, $why:tt: $($case:ident),+) => {
        $($crate::suite!(@case $module, $fixture, $why, $case);)+
    };
    (@case $module:ident, $fixture:ty, [$($why:literal)?], $case:ident) => {
            $(#[ignore = $why])?
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                $crate::testing::$module::$case::<$fixture>().await;
            }
    };
}
