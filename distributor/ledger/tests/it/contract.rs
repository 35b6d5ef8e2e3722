//! What every ledger has to do, whatever keeps it: one suite, run against each implementation.
//!
//! Each contract is a function over a [`Bench`]; `contracts!` makes a test of each of them.

mod enrollment;
pub(super) mod fixture;
mod licensing;
mod model;
mod updates;

use std::sync::Arc;

pub(super) use self::fixture::World;
use crate::ports::ledger::Ledger;

/// Makes the ledger under test.
pub(super) trait Bench: Send + Sync {
    /// Opens the ledger; the one that was opened before was closed or dropped by then.
    fn open(&self) -> Arc<dyn Ledger>;
}

/// Makes one test per contract: `contracts!(bench)`, where `bench(&World)` makes a new, initialized ledger's bench.
macro_rules! contracts {
    ($bench:expr) => {
        $crate::ledger::contract::contracts! { $bench;
            licensing: nothing_is_reserved_before_a_grant,
            licensing: a_hundred_concurrent_reservations_of_ten_seats_take_exactly_ten,
            licensing: the_same_name_takes_no_second_seat,
            licensing: fewer_seats_than_used_take_nothing_and_give_nothing,
            licensing: a_grant_of_another_server_or_site_key_is_refused,
            licensing: a_lower_generation_is_refused_and_the_same_grant_answered_again,
            licensing: a_lapsed_grant_gives_no_new_seat_and_no_first_lease_but_renews,
            licensing: license_time_does_not_go_back_with_the_clock,
            enrollment: a_retry_of_an_enrollment_gets_the_same_answer_after_a_restart_too,
            enrollment: a_used_code_is_refused_to_another_key_and_a_wrong_code_to_all,
            enrollment: an_unknown_computer_waits_and_takes_no_seat,
            enrollment: a_new_setup_replaces_the_client_and_takes_no_second_seat,
            enrollment: a_request_for_another_server_is_refused,
            enrollment: a_retry_of_a_contact_gets_the_same_answer_after_a_restart_too,
            enrollment: a_fork_is_noted_once_and_refused_until_an_admin_decides,
            enrollment: a_contact_from_an_unknown_past_is_refused,
            enrollment: a_contact_without_news_brings_nothing_and_logs_nothing,
            enrollment: reports_are_logged_once_in_order_and_acknowledged,
            enrollment: a_lost_lease_is_sent_again_and_a_client_that_is_ahead_gets_a_higher_one,
            updates: an_approval_names_the_digest_and_reaches_the_channel_only,
            updates: each_computer_is_explained_from_review_to_success,
            updates: approving_twice_answers_the_same_and_decides_once,
            updates: a_rejected_or_unknown_release_cannot_be_approved,
            updates: a_newer_approval_supersedes_and_a_withdrawal_brings_the_older_back,
            updates: a_release_that_moves_on_keeps_the_channels_it_was_approved_for,
            updates: another_manifest_under_a_known_release_is_refused,
            updates: a_refused_release_keeps_its_problems_and_can_pass_later,
            updates: pulls_are_chained_when_something_changed,
            updates: an_assignment_covers_only_licensed_packages,
            updates: refusals_are_counted_into_one_entry_per_source_and_minute,
            updates: the_log_is_filtered_and_bounded,
            updates: a_closed_ledger_refuses_and_loses_nothing,
            model: seats_hold_under_any_interleaving,
        }
    };
    ($bench:expr; $($module:ident: $contract:ident,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $contract() {
                let world = $crate::ledger::contract::World::new();
                let bench = $bench(&world);
                $crate::ledger::contract::run::$contract(&world, &bench).await;
            }
        )*
    };
}
pub(super) use contracts;

/// The contracts by name.
pub(super) mod run {
    pub(in crate::ledger) use super::enrollment::{
        a_contact_from_an_unknown_past_is_refused, a_contact_without_news_brings_nothing_and_logs_nothing,
        a_fork_is_noted_once_and_refused_until_an_admin_decides,
        a_lost_lease_is_sent_again_and_a_client_that_is_ahead_gets_a_higher_one,
        a_new_setup_replaces_the_client_and_takes_no_second_seat, a_request_for_another_server_is_refused,
        a_retry_of_a_contact_gets_the_same_answer_after_a_restart_too,
        a_retry_of_an_enrollment_gets_the_same_answer_after_a_restart_too,
        a_used_code_is_refused_to_another_key_and_a_wrong_code_to_all,
        an_unknown_computer_waits_and_takes_no_seat, reports_are_logged_once_in_order_and_acknowledged,
    };
    pub(in crate::ledger) use super::licensing::{
        a_grant_of_another_server_or_site_key_is_refused,
        a_hundred_concurrent_reservations_of_ten_seats_take_exactly_ten,
        a_lapsed_grant_gives_no_new_seat_and_no_first_lease_but_renews,
        a_lower_generation_is_refused_and_the_same_grant_answered_again,
        fewer_seats_than_used_take_nothing_and_give_nothing, license_time_does_not_go_back_with_the_clock,
        nothing_is_reserved_before_a_grant, the_same_name_takes_no_second_seat,
    };
    pub(in crate::ledger) use super::model::seats_hold_under_any_interleaving;
    pub(in crate::ledger) use super::updates::{
        a_closed_ledger_refuses_and_loses_nothing,
        a_newer_approval_supersedes_and_a_withdrawal_brings_the_older_back,
        a_refused_release_keeps_its_problems_and_can_pass_later,
        a_rejected_or_unknown_release_cannot_be_approved,
        a_release_that_moves_on_keeps_the_channels_it_was_approved_for,
        an_approval_names_the_digest_and_reaches_the_channel_only,
        an_assignment_covers_only_licensed_packages, another_manifest_under_a_known_release_is_refused,
        approving_twice_answers_the_same_and_decides_once, each_computer_is_explained_from_review_to_success,
        pulls_are_chained_when_something_changed, refusals_are_counted_into_one_entry_per_source_and_minute,
        the_log_is_filtered_and_bounded,
    };
}
