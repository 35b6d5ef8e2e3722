//! A setup file that is made to keep a computer busy.

use std::fs;

use jiff::SignedDuration;
use sealpost_agent_updater::flows::enroll::{EnrollError, OtherName};
use sealpost_manifests::ids::{ClientId, ServerId};
use sealpost_test_support::web::{Fault, Times};

use super::Two;

#[test]
fn a_hostile_setup_file_is_tried_in_bounds_and_leaves_no_key_of_who_never_answered() {
    let two = Two::not_added();
    let keys = || fs::read_dir(two.agent.home().client_key().parent().unwrap()).unwrap().count();
    let before = keys();
    let unreachable = |number: u8| {
        let mut listed = two.listed.clone();
        listed.server.server_id = ServerId::from_random([number; 16]);
        listed.server.port = 1;
        listed
    };
    let many = two.setup_of(|setup| setup.servers = (0..9).map(unreachable).collect());
    let error = two.agent.add_server(&many, None, OtherName::Refuse).unwrap_err();
    assert!(matches!(error, EnrollError::TooManyServers { count: 9, .. }), "{error}");
    let addresses =
        two.setup_of(|setup| setup.servers[0].server.addresses = vec!["127.0.0.1".to_owned(); 33]);
    let error = two.agent.add_server(&addresses, None, OtherName::Refuse).unwrap_err().to_string();
    assert!(error.contains("33 addresses, and at most 32 are tried"), "{error}");
    let silent = two.setup_of(|setup| setup.servers = (0..8).map(unreachable).collect());
    let error = two.agent.add_server(&silent, None, OtherName::Refuse).unwrap_err();
    assert!(matches!(error, EnrollError::AllFailed(_)), "{error}");
    assert_eq!(keys(), before, "nobody has seen a key");
    // Whoever may have seen it knows the computer by it.
    two.web.fail("enroll", Fault::Answer(500, Vec::new()), Times::Always);
    two.agent.add_server(&two.second_setup(), None, OtherName::Refuse).unwrap_err();
    assert_eq!(keys(), before + 1);
    let kept = fs::read(two.agent.home().server_key(&two.id(2))).unwrap();
    two.web.make_no_faults();
    two.agent.add_server(&two.second_setup(), None, OtherName::Refuse).unwrap();
    assert_eq!(fs::read(two.agent.home().server_key(&two.id(2))).unwrap(), kept);
}

#[test]
fn a_further_server_that_wants_a_new_key_and_then_answers_byte_by_byte_is_not_waited_for() {
    let two = Two::new();
    assert_eq!(two.cycle(), 1);
    two.second.lock().unwrap().keeps = Some(ClientId::from_random([55; 16]));
    two.web.fail("enroll", Fault::StallAfter(1), Times::Always);
    two.clock.forward(SignedDuration::from_hours(48));
    assert_eq!(two.cycle(), 1, "the first serves");
    let servers = two.agent.servers().unwrap();
    let problem = servers[1].problem.as_deref().unwrap();
    // The bound of all that it asks for; the enrollment by itself would have waited for a minute and a half.
    assert!(problem.contains("no answer was there within 20 seconds"), "{problem}");
    assert!(servers[0].problem.is_none(), "{servers:?}");
    // It loses nothing by it: with the next contact it goes on with the same key.
    two.web.make_no_faults();
    two.clock.forward(SignedDuration::from_hours(48));
    assert_eq!(two.cycle(), 1);
    assert!(two.agent.servers().unwrap()[1].problem.is_none());
}
