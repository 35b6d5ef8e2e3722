//! Each code with which a server refuses is reached through a real server.

use std::fs;
use std::path::Path;

use jiff::SignedDuration;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_test_support::ports::free_port;
use serde_json::json;

use crate::agent::{Agent, send};
use crate::site::{Site, code, configure};
use crate::vendor::start_vendor;

/// Where each code is reached: the file among these tests, and the test in it. A new code needs a line here.
const REACHED: &[(ProblemCode, &str, &str)] = &[
    (
        ProblemCode::NotEntitled,
        "setups",
        "no_code_is_issued_for_which_there_is_no_file_and_what_lies_there_stays",
    ),
    (ProblemCode::BadRequest, "refusals", "unknown_paths_methods_and_bodies_are_problems_too"),
    (ProblemCode::NotFound, "refusals", "unknown_paths_methods_and_bodies_are_problems_too"),
    (ProblemCode::TooLarge, "refusals", "unknown_paths_methods_and_bodies_are_problems_too"),
    (
        ProblemCode::Busy,
        "strangers",
        "requests_without_a_token_and_wrong_codes_do_not_keep_a_neighbor_from_enrolling",
    ),
    (
        ProblemCode::Internal,
        "switching",
        "a_switch_that_fails_says_why_and_one_that_the_server_does_by_itself_is_answered_with_what_it_presents",
    ),
    (
        ProblemCode::Unauthenticated,
        "admin",
        "over_the_network_the_admin_api_wants_a_token_and_the_log_names_it",
    ),
    (
        ProblemCode::TokenExpired,
        "refusals",
        "a_lease_that_has_ended_and_a_token_that_has_ended_are_told_apart",
    ),
    (
        ProblemCode::UnknownComputer,
        "enrollment",
        "a_contact_by_another_key_or_of_an_unknown_client_is_refused",
    ),
    (
        ProblemCode::EnrollmentCodeWrong,
        "enrollment",
        "a_wrong_name_a_used_code_and_an_unknown_computer_are_refused_and_take_no_seat",
    ),
    (
        ProblemCode::EnrollmentCodeUsed,
        "enrollment",
        "a_wrong_name_a_used_code_and_an_unknown_computer_are_refused_and_take_no_seat",
    ),
    (ProblemCode::EnrollmentCodeExpired, "codes", "a_code_that_nobody_used_in_time_is_refused"),
    (
        ProblemCode::WrongServer,
        "enrollment",
        "an_enrollment_that_is_signed_by_another_key_or_meant_for_another_server_is_refused",
    ),
    (
        ProblemCode::BadSignature,
        "enrollment",
        "an_enrollment_that_is_signed_by_another_key_or_meant_for_another_server_is_refused",
    ),
    (ProblemCode::ContactForked, "enrollment", "a_cloned_disk_is_found_as_a_fork"),
    (
        ProblemCode::CopyKept,
        "copies",
        "the_copy_that_is_kept_goes_on_with_a_key_of_its_own_and_the_other_one_is_told_how_to_get_a_seat",
    ),
    (
        ProblemCode::CopyGivenUp,
        "copies",
        "the_copy_that_is_kept_goes_on_with_a_key_of_its_own_and_the_other_one_is_told_how_to_get_a_seat",
    ),
    (
        ProblemCode::NonceUnknown,
        "restored",
        "what_others_signed_or_what_belongs_to_another_client_shows_nothing",
    ),
    (
        ProblemCode::NotReserved,
        "refusals",
        "every_agent_route_refuses_whoever_may_not_have_it_and_nothing_changes",
    ),
    (
        ProblemCode::NoLease,
        "refusals",
        "every_agent_route_refuses_whoever_may_not_have_it_and_nothing_changes",
    ),
    (
        ProblemCode::NotAssigned,
        "refusals",
        "every_agent_route_refuses_whoever_may_not_have_it_and_nothing_changes",
    ),
    (
        ProblemCode::NoSeatFree,
        "enrollment",
        "before_an_unlock_nothing_can_be_reserved_and_without_the_vendor_the_code_goes_by_hand",
    ),
    (
        ProblemCode::NotUnlocked,
        "enrollment",
        "before_an_unlock_nothing_can_be_reserved_and_without_the_vendor_the_code_goes_by_hand",
    ),
    (ProblemCode::GrantExpired, "codes", "a_lapsed_grant_gives_no_new_seat"),
    (
        ProblemCode::SerialEnded,
        "seats",
        "the_license_summary_says_what_is_free_what_was_refused_and_where_a_serial_number_stands",
    ),
    (
        ProblemCode::GrantRefused,
        "enrollment",
        "a_grant_for_another_server_or_by_another_vendor_is_refused_and_a_typing_error_is_named",
    ),
    (
        ProblemCode::SerialBound,
        "vendor_lies",
        "a_refusals_texts_are_cut_and_shown_without_their_control_characters",
    ),
    (
        ProblemCode::SerialUnknown,
        "enrollment",
        "a_serial_number_that_the_vendor_does_not_know_is_his_no_and_not_a_network_fault",
    ),
    (
        ProblemCode::DigestMismatch,
        "rollout",
        "an_approval_wakes_the_connected_computer_and_its_contact_brings_the_assignment",
    ),
    (ProblemCode::WrongState, "approvals", "a_rule_approves_by_itself_what_is_old_enough_and_not_deferred"),
    (ProblemCode::PullFailed, "codes", "a_vendor_that_cannot_be_reached_fails_the_pull"),
    (
        ProblemCode::AlreadyExists,
        "seats",
        "a_name_that_is_spelled_nearly_as_another_is_asked_back_and_taken_when_it_is_meant",
    ),
    (
        ProblemCode::Forbidden,
        "approvals",
        "two_people_approve_with_tokens_of_their_own_and_what_waits_is_told_everywhere",
    ),
    (ProblemCode::Unconfirmed, "restored", "the_same_grant_again_and_a_restart_confirm_nothing"),
    (
        ProblemCode::LedgerBehind,
        "restored",
        "a_computer_that_lies_about_the_head_that_it_holds_freezes_no_site",
    ),
    (
        ProblemCode::Displaced,
        "restored",
        "a_stolen_old_disk_that_is_resumed_first_is_displaced_by_the_computer_that_went_on",
    ),
    (
        ProblemCode::LinkBusy,
        "links",
        "a_third_download_over_a_link_of_two_waits_its_turn_and_nothing_else_does",
    ),
    (
        ProblemCode::WaitsForAdmission,
        "knocking",
        "a_computer_waits_until_its_key_is_admitted_and_the_stranger_of_its_name_never_enrolls",
    ),
];

#[test]
fn every_code_that_a_server_gives_was_reached() {
    for known in ProblemCode::KNOWN {
        let lines = REACHED.iter().filter(|(code, ..)| code == known).count();
        assert_eq!(lines, 1, "{known}: name the test that reaches it through a real server");
    }
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    for (code, file, test) in REACHED {
        let text = fs::read_to_string(tests.join(file).with_extension("rs")).unwrap();
        let Some((before, after)) = text.split_once(&format!("fn {test}(")) else {
            panic!("{code}: there is no test {test} in {file}.rs")
        };
        let attributes: Vec<&str> = before.lines().rev().take(3).collect();
        assert!(attributes.iter().any(|line| line.contains("test")), "{code}: {test} is no test");
        assert!(attributes.iter().all(|line| !line.contains("ignore")), "{code}: {test} never runs");
        let body = after.split_once("\n}\n").map_or(after, |(body, _)| body);
        let variant = format!("ProblemCode::{code:?}");
        let word = code.as_str();
        let names_it = body.contains(&variant)
            || body.contains(&format!("{word}\""))
            || body.contains(&format!("[{word}]"));
        assert!(names_it, "{code}: {test} does not speak of it");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lapsed_grant_gives_no_new_seat() {
    let vendor = start_vendor(2).await;
    let site = Site::licensed(&vendor).await;
    site.clock.forward(SignedDuration::from_hours(24 * 367));
    let refused = site.post_refused("/clients", &json!({ "name": "pc-1" })).await;
    assert_eq!(refused.code, ProblemCode::GrantExpired);
    assert!(refused.hint.contains("computers that hold a seat keep it"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_that_nobody_used_in_time_is_refused() {
    let vendor = start_vendor(2).await;
    let site = Site::licensed(&vendor).await;
    site.reserve("pc-1").await;
    let agent = Agent::new(site.setup("pc-1").await);
    site.clock.forward(SignedDuration::from_hours(24 * 200));
    let refused = send(&site, "/agent/v1/enroll", &agent.enroll_request(&agent.enrollment())).await;
    assert_eq!(code(refused).await, ProblemCode::EnrollmentCodeExpired);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vendor_that_cannot_be_reached_fails_the_pull() {
    let vendor = start_vendor(2).await;
    let site = Site::licensed(&vendor).await;
    let nobody = format!("vendor_url = \"http://127.0.0.1:{}\"\n", free_port());
    let site = site.between(async |home| configure(home, &nobody)).await;
    let refused = site.post_refused("/pull", &json!({})).await;
    assert_eq!(refused.code, ProblemCode::PullFailed);
}
