//! The watchdog, with a child that ends at once: the program of a test does not know the option of a trial.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use sealpost_manifests::wire::report::ReasonCode;
use sealpost_repository::Pace;
use sealpost_service::signals::Signals;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::fixture::Computer;
use crate::domain::self_update::record::{How, SelfRecord};
use crate::domain::self_update::trial::Bounds;
use crate::flows::context::Context;
use crate::flows::self_update::watch::{WatchEnd, watch};
use crate::flows::self_update::{LaunchError, OwnCommand};
use crate::platform::network::Network;
use crate::server::Connections;

fn impatient(computer: &mut Computer) -> OwnCommand {
    computer.host.settings.self_update =
        Bounds { confirm_within: Duration::from_secs(60), probation: Duration::ZERO, exits: 1 };
    OwnCommand { home: computer.host.home.path().to_owned(), config: None }
}

async fn watched(computer: &Computer, own: &OwnCommand, record: SelfRecord) -> Result<WatchEnd, LaunchError> {
    let network = Network::new(Handle::current(), &[]);
    let context = Context {
        host: computer.same_host(),
        network,
        interrupt: Arc::default(),
        access: watch::Sender::new(None),
        connections: Connections::default(),
        pace: Pace::at_least(0),
    };
    watch(&Arc::new(context), own, record, &mut Signals::listen().unwrap()).await
}

#[tokio::test]
async fn a_program_that_ends_again_and_again_is_given_back_without_any_server() {
    let mut computer = Computer::new();
    let own = impatient(&mut computer);
    computer.on_trial(&mut computer.publish("1.0", 1, "/bin/true"));
    let end = watched(&computer, &own, computer.state()).await.unwrap();
    let WatchEnd::GivenBack(record) = end else { panic!("{end:?}") };
    assert_eq!(*record, computer.state());
    let ended = record.ended.unwrap();
    assert_eq!((ended.how, ended.reason), (How::GivenBack, ReasonCode::AgentFailed));
    assert!(ended.detail.contains("2 times"), "{}", ended.detail);
    computer.settle().unwrap();
    assert_eq!(computer.agreed("given back"), None, "the packaged program");
}

#[tokio::test]
async fn what_was_counted_before_a_restart_counts_after_it() {
    let mut computer = Computer::new();
    let own = impatient(&mut computer);
    computer.on_trial(&mut computer.publish("1.0", 1, "/bin/true"));
    let mut record = computer.state();
    record.trial.as_mut().unwrap().exits = 1;
    computer.write(&record);
    let WatchEnd::GivenBack(record) = watched(&computer, &own, computer.state()).await.unwrap() else {
        panic!("not given back")
    };
    assert!(record.ended.unwrap().detail.contains("2 times"), "one before, and one now");
}

#[tokio::test]
async fn a_disk_that_takes_no_record_does_not_keep_the_program_of_before_from_coming_back() {
    let mut computer = Computer::new();
    let own = impatient(&mut computer);
    computer.on_trial(&mut computer.publish("1.0", 1, "/bin/true"));
    let record = computer.state();
    // In the place of the record: what cannot be replaced by a file.
    let state = computer.host.home.self_state();
    fs::remove_file(&state).unwrap();
    fs::create_dir(&state).unwrap();
    fs::write(state.join("x"), b"x").unwrap();
    let WatchEnd::GivenBack(kept) = watched(&computer, &own, record).await.unwrap() else {
        panic!("not given back")
    };
    assert!(kept.trial.is_none() && kept.ended.is_some(), "it is known in this process");
}

#[tokio::test]
async fn a_kill_while_something_is_counted_leaves_the_trial_open() {
    let mut computer = Computer::new();
    let own = impatient(&mut computer);
    computer.on_trial(&mut computer.publish("1.0", 1, "/bin/true"));
    for (point, exits) in [("before-counted", 0), ("after-counted", 1)] {
        *computer.kill.0.lock().unwrap() = Some(point.to_owned());
        assert!(watched(&computer, &own, computer.state()).await.is_err());
        assert_eq!(computer.state().trial.unwrap().exits, exits, "{point}");
    }
}
