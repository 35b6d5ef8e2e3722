//! What every ledger has to do, whatever keeps its tables: one suite, run against each store.
//!
//! Each contract is a function over a [`World`] and a bench; `contracts!` makes a test of it for each store. A
//! contract that is not listed is dead code, which the compiler reports.

mod admissions;
mod approvals;
mod contacts;
mod copies;
mod deliveries;
mod ended;
mod enrollment;
mod fleet;
mod licensing;
mod log;
mod model;
mod pages;
mod port;
mod releases;
mod resolved;
mod restored;
mod restores;
mod reviews;
mod rolling;
mod rollouts;
mod schedules;
mod servers;
mod settings;
mod starts;
mod steps;
mod test_loads;
mod told;
mod undoing;

use sealpost_test_support::world::World;

use crate::bench::{MemoryBench, SqliteBench};

macro_rules! contracts {
    ($($module:ident { $($contract:ident,)* })*) => {
        contracts!(sqlite, SqliteBench, $($($module::$contract,)*)*);
        contracts!(memory, MemoryBench, $($($module::$contract,)*)*);
    };
    ($store:ident, $bench:ident, $($module:ident::$contract:ident,)*) => {
        mod $store {
            use super::{$bench, World};
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $contract() {
                    let world = World::new();
                    let bench = $bench::new(&world);
                    super::$module::$contract(&world, &bench).await;
                }
            )*
        }
    };
}

contracts! {
    approvals {
        two_accounts_approve_and_neither_alone_by_two_tokens_or_from_the_server,
        one_person_is_not_two_by_what_was_sent_with_a_token_before_it_was_renewed,
        a_channel_in_which_one_decides_is_no_way_into_one_in_which_two_do,
        what_became_of_the_first_person_or_of_the_release_ends_what_waits,
        another_request_another_digest_or_a_late_second_word_completes_nothing,
        nobody_switches_four_eyes_off_or_makes_the_second_pair_alone,
        a_second_person_agrees_only_while_what_is_replaced_is_what_it_was,
        what_two_approved_is_not_hastened_by_one_and_stopped_by_one,
        a_rule_wants_an_age_and_a_deferral_ends_by_itself,
        a_rule_approves_by_itself_what_it_may_and_nothing_that_needs_two,
    }
    deliveries {
        what_each_computer_tried_is_kept_when_the_next_release_goes_out,
        a_computer_that_is_told_anew_keeps_what_it_tried_and_reports_of_before_leave_nothing,
        bytes_beyond_every_bound_stop_no_contact_and_no_rollout,
    }
    licensing {
        nothing_is_reserved_before_a_grant,
        a_hundred_concurrent_reservations_of_ten_seats_take_exactly_ten,
        the_same_name_takes_no_second_seat,
        fewer_seats_than_used_take_nothing_and_give_nothing,
        seats_come_from_the_grant_that_came_first_while_it_has_any,
        a_grant_of_another_server_or_site_key_is_refused,
        a_lower_generation_is_refused_and_the_same_grant_answered_again,
        a_lapsed_grant_gives_no_new_seat_and_no_first_lease_but_renews,
        license_time_does_not_go_back_with_the_clock,
        a_later_statement_of_the_vendor_lowers_what_an_earlier_wrong_one_raised,
        a_name_holds_a_seat_of_each_serial_number_and_is_counted_with_each,
    }
    ended {
        an_ended_serial_number_gives_no_seat_and_no_lease_and_takes_nothing,
        a_kept_grant_of_another_serial_number_brings_no_ended_one_back,
        with_a_second_serial_number_nothing_is_lost_early,
        who_holds_a_seat_of_one_serial_number_alone_is_counted_and_named,
        a_raised_epoch_signs_an_ended_seat_again_and_gives_no_day_more,
    }
    schedules {
        of_many_programs_one_begins_an_install_and_its_plan_is_gone_with_the_computer,
    }
    admissions {
        a_computer_waits_until_its_key_is_admitted_and_a_stranger_of_its_name_never_enrolls,
        an_admission_voids_the_codes_before_it_ends_in_a_week_and_a_later_code_voids_it,
        who_is_enrolled_goes_on_until_the_admitted_computer_comes,
        a_name_has_three_keys_in_the_list_and_one_that_is_a_day_old_makes_room,
    }
    enrollment {
        a_retry_of_an_enrollment_gets_the_same_answer_after_a_restart_too,
        a_used_code_is_refused_to_another_key_and_a_wrong_code_to_all,
        a_code_that_nobody_used_ends_and_one_that_was_used_answers_its_key_for_ever,
        an_unknown_computer_waits_and_takes_no_seat,
        a_full_list_of_unknown_computers_makes_room_for_one_after_a_day,
        a_new_setup_replaces_the_client_and_takes_no_second_seat,
        a_client_id_keeps_its_key_and_a_computer_that_enrolls_again_gets_another_id,
        a_request_for_another_server_is_refused,
    }
    contacts {
        a_retry_of_a_contact_gets_the_same_answer_after_a_restart_too,
        a_fork_is_noted_once_and_refused_until_an_admin_decides,
        a_contact_from_an_unknown_past_is_refused,
        a_contact_without_news_brings_nothing_and_logs_nothing,
        reports_are_logged_once_in_order_and_acknowledged,
        a_contact_beyond_the_bounds_is_refused_whole,
        lost_documents_are_sent_again_and_a_claim_to_later_ones_is_refused,
        leases_and_assignments_have_orders_of_their_own_which_only_rise,
        heads_that_do_not_fit_are_logged_once_and_listed,
        an_assignment_covers_only_licensed_packages,
    }
    starts {
        the_last_sign_of_life_is_one_of_a_server_that_listens,
        a_start_is_noted_once_and_only_where_no_server_ran_for_a_quarter_of_an_hour,
        a_server_that_crashes_again_and_again_notes_nothing,
        every_start_knows_the_outages_of_those_before,
        what_a_restore_lost_is_no_pause_and_no_start_says_that_no_server_ran_then,
        a_start_after_a_clock_that_was_ahead_says_nothing,
        a_pause_that_no_outage_was_in_is_as_long_as_before,
    }
    reviews {
        an_approval_names_the_digest_and_reaches_the_channel_only,
        each_computer_is_explained_from_review_to_success,
        approving_twice_answers_the_same_and_decides_once,
        a_rejected_or_unknown_release_cannot_be_approved,
        a_signer_that_the_trust_document_does_not_list_cannot_be_approved,
    }
    test_loads {
        only_a_release_that_its_program_loaded_is_approved,
        an_admin_lets_a_release_through_with_a_reason_and_rules_wait_for_that,
    }
    releases {
        a_newer_approval_supersedes_and_a_withdrawal_brings_the_older_back,
        what_a_decision_does_to_other_releases_stands_in_its_entry,
        a_release_that_moves_on_keeps_the_channels_it_was_approved_for,
        another_manifest_under_a_known_release_is_refused,
        a_refused_release_keeps_its_problems_and_can_pass_later,
        pulls_are_chained_when_something_changed,
        a_counter_that_the_vendor_reset_lets_lower_releases_in_again,
    }
    pages {
        pages_give_every_release_once_and_in_order,
        a_page_is_bounded_whatever_is_asked_for,
        a_thousand_releases_and_more_are_listed_whole,
        a_thousand_computers_and_more_are_listed_whole,
    }
    fleet {
        silent_outdated_and_failing_computers_are_counted_and_listed_alike,
        the_list_says_of_each_computer_how_it_stands_and_what_it_runs,
        refusals_are_listed_with_who_was_answered_since_and_who_knocks_is_counted,
    }
    log {
        refusals_are_counted_into_one_entry_per_source_and_minute,
        the_log_is_filtered_and_bounded,
        a_closed_ledger_refuses_and_loses_nothing,
        a_caller_that_disconnects_does_not_hold_up_the_others,
        every_head_that_the_log_had_is_proven_and_no_other,
        the_log_alone_makes_the_same_ledger_without_what_was_only_noted,
    }
    copies {
        who_came_further_displaces_an_old_copy_of_its_disk_that_went_on_first,
        two_copies_of_one_disk_that_go_on_are_a_fork,
        an_old_disk_shows_nothing_to_a_ledger_that_lost_nothing,
        a_client_id_that_was_replaced_stays_so_after_restores_too,
    }
    resolved {
        both_copies_of_a_computer_are_noted_once_and_a_third_one_or_an_old_message_changes_nothing,
        the_copy_that_is_kept_goes_on_with_a_new_key_and_the_other_one_is_given_up,
        a_kept_copy_that_goes_on_uses_up_no_setup_file_and_no_admission_of_its_name,
        a_copy_that_was_found_before_copies_were_noted_is_noted_when_it_comes,
        what_was_decided_about_copies_outlives_a_rebuild_from_the_log,
        what_was_decided_before_a_restore_lets_no_copy_go_on_before_it_is_decided_again,
    }
    restores {
        a_restored_ledger_learns_of_its_loss_from_a_client_which_goes_on,
        an_unconfirmed_ledger_gives_no_new_license_until_the_vendor_raises_the_epoch,
        a_client_that_the_ledger_lost_comes_back_with_its_seats_and_is_counted,
        a_setup_file_that_was_used_in_the_lost_part_is_used_when_its_computer_is_back,
        what_nobody_used_before_a_restore_binds_nobody_after_it_and_gives_no_dead_key_its_name_back,
        an_order_that_nothing_can_follow_locks_no_computer_out,
        the_vendors_word_about_one_serial_number_reaches_who_holds_a_seat_of_another,
        restored_twice_and_with_other_names_in_between_it_still_serves_its_clients,
        a_ledger_that_was_made_of_its_log_serves_its_clients,
        a_halt_after_a_rebuild_leads_a_computer_back_to_what_it_ran_before,
    }
    undoing {
        without_a_rollback_in_its_strategy_a_halt_takes_the_release_from_nobody,
        a_halt_and_a_resume_at_once_leave_a_rollout_that_is_one_of_both,
        an_approval_for_one_channel_gives_nothing_to_another_that_the_pointer_moved_to,
        a_superseded_release_is_not_approved_again_without_a_word,
        a_halted_release_goes_to_nobody_and_the_one_before_is_approved_again,
        the_reason_of_a_halt_is_stored_whole,
        a_halt_with_a_rollback_leads_each_computer_to_what_it_ran_before,
        a_rollback_of_the_site_reaches_a_computer_that_a_person_led_away_from_the_release_before,
        a_retry_raises_the_attempt_of_who_failed_and_of_nobody_else,
        a_reconsidered_release_is_decided_anew_and_offered_in_a_later_attempt,
        a_computer_moved_to_another_channel_gets_what_is_approved_there,
        drift_is_logged_when_it_changes_and_shown_until_it_is_gone,
        a_computer_that_was_set_up_again_gets_its_lease_after_a_lapse_of_the_grant_too,
    }
    servers {
        a_client_learns_the_newest_ways_once_and_who_did_not_is_listed,
        who_did_not_learn_a_list_is_left_behind_until_it_is_heard_again,
        a_list_of_before_a_restore_does_not_count_although_its_sequence_is_used_again,
        a_list_that_a_client_claims_and_nobody_announced_decides_nothing,
        while_a_restored_ledger_is_not_confirmed_nobody_counts_as_having_learned_its_list,
    }
    port {
        the_latest_note_of_a_key_wins,
        what_was_undone_or_not_committed_is_not_there,
        a_reader_sees_what_was_committed_and_nothing_else,
        one_ledger_at_a_time_writes_to_a_store,
    }
    rollouts {
        a_staged_rollout_goes_ring_by_ring,
        a_cap_is_exact_when_many_contacts_come_at_once,
        so_many_are_told_in_one_hour_of_the_clock,
        what_a_person_does_with_a_rollout_is_done_once,
        a_computer_that_is_stopped_in_a_download_halts_no_rollout,
        past_its_threshold_a_rollout_halts_and_is_in_no_assignment,
        who_is_silent_counts_as_failed_until_it_installs_after_all,
        a_newer_rollout_that_passes_a_ring_takes_over_and_replaces_when_complete,
        a_computer_that_is_set_up_again_keeps_its_ring_and_counts_once_more,
        many_who_try_again_wait_behind_the_cap_of_their_ring,
        who_starts_it_by_hand_is_told_and_takes_no_room_of_others,
        who_starts_it_by_hand_is_never_silent,
        who_has_a_delay_gets_what_was_newest_so_long_ago,
        no_computer_of_a_rollout_is_left_out_between_two_pages,
        a_second_halt_says_nothing_of_the_rollout_that_was_halted_before,
    }
    settings {
        who_is_in_a_group_by_rule_or_by_name_gets_what_its_ring_gets,
        settings_that_do_not_fit_are_refused_whole,
        a_window_and_a_method_stand_in_the_assignment,
        releases_that_come_faster_than_windows_and_deadlines_begin_neither_anew,
        a_plan_is_another_one_after_each_change_of_what_it_is_made_of,
        what_was_replaced_at_its_canary_comes_back_to_nobody_but_by_a_pin,
        a_rollout_keeps_the_strategy_it_began_with_and_takes_in_who_enrolls_later,
    }
    told {
        an_emergency_waits_for_no_window_no_person_and_no_product,
        what_is_critical_goes_first_in_its_window_or_waits_for_nothing_as_the_site_says,
        how_often_and_for_how_long_an_install_is_put_off_is_as_the_site_set_it,
        who_is_told_for_a_window_is_silent_only_after_it,
        who_runs_what_is_aborted_goes_back_where_that_was_asked_for,
        a_group_by_platform_version_serial_or_channel_is_the_same_at_a_contact_in_a_look_and_in_the_sentence,
    }
    model {
        seats_hold_under_any_interleaving,
        a_seat_that_is_given_without_the_check_is_caught,
    }
    steps {
        rollouts_keep_their_bounds_under_any_interleaving,
    }
}
