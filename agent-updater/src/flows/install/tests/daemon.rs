//! The daemon's loop and products that could not be started, on a computer that no server answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sealpost_repository::Pace;
use sealpost_service::signals::Signals;
use sealpost_test_support::folders::write_executable;
use sealpost_test_support::wait::PATIENCE;
use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;

use super::fixture::{Computer, FixedDisk, ONE, TWO};
use crate::config::DOWNLOAD_WINDOW;
use crate::domain::boot::BootMoment;
use crate::domain::cadence::Cadence;
use crate::flows::context::{Context, Host};
use crate::flows::daemon;
use crate::flows::install::ChangeEnd;
use crate::hooks::runner_of_tests::runner_of_tests;
use crate::platform::network::Network;
use crate::ports::Clock;
use crate::server::Connections;

/// A clock that goes on by its step whenever it is looked at, for a number of looks.
struct Stepping {
    begin: Timestamp,
    step: SignedDuration,
    looks: AtomicI64,
    most_looks: i64,
}

impl Clock for Stepping {
    fn now(&self) -> Timestamp {
        let looks = self.looks.fetch_add(1, Ordering::SeqCst).min(self.most_looks);
        self.begin + self.step * i32::try_from(looks).unwrap()
    }

    fn boot(&self) -> Option<BootMoment> {
        None
    }
}

fn clock(step: SignedDuration, most_looks: i64) -> Arc<Stepping> {
    let (begin, looks) = (Timestamp::now(), AtomicI64::new(0));
    Arc::new(Stepping { begin, step, looks, most_looks })
}

/// A computer whose product is stopped, after one try that failed.
fn stopped() -> Computer {
    let computer = Computer::new();
    assert_eq!(computer.install(&mut computer.publish("1", 1, ONE), 0).unwrap(), ChangeEnd::Kept);
    write_executable(&computer.root.path().join("start"), "#!/bin/sh\nexit 3\n").unwrap();
    let down = computer.install(&mut computer.publish("2", 2, TWO), 0).unwrap();
    assert!(matches!(down, ChangeEnd::Down(_)), "{down:?}");
    assert_eq!(tries(&computer), 1);
    computer
}

fn tries(computer: &Computer) -> u32 {
    computer.record().not_started.unwrap().tries
}

/// The daemon of the computer, which has no reason of its own for a second cycle within a day.
fn context(computer: &Computer, clock: Arc<Stepping>) -> Arc<Context> {
    let mut settings = computer.host.settings.clone();
    let day = 24 * 60 * 60;
    settings.cadence =
        Cadence { unlicensed_secs: day, licensed_secs: day, lost_secs: day, ..settings.cadence };
    let (stop, interrupt) = (Arc::default(), Arc::default());
    let network = Network::new(Handle::current(), &[&stop, &interrupt]);
    let pace = Pace::averaged_over(DOWNLOAD_WINDOW, settings.min_bytes_per_second);
    let host = Host {
        home: computer.host.home.clone(),
        settings,
        clock,
        disk: Box::new(FixedDisk(u64::MAX)),
        runner: runner_of_tests(),
        faults: Arc::new(computer.kill.clone()),
        stop,
    };
    Arc::new(Context {
        host,
        network,
        interrupt,
        access: watch::Sender::new(None),
        connections: Connections::default(),
        pace,
    })
}

/// Runs the daemon until `is_so`.
fn run_until(computer: &Computer, clock: &Arc<Stepping>, mut is_so: impl FnMut() -> bool) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let is_seen = runtime.block_on(async {
        let mut signals = Signals::listen().unwrap();
        let daemon = daemon::run(context(computer, Arc::clone(clock)), &mut signals, |_| false);
        let seen = async {
            while !is_so() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            end = daemon => panic!("the daemon ended: {end:?}"),
            seen = tokio::time::timeout(PATIENCE, seen) => seen.is_ok(),
        }
    });
    assert!(is_seen, "waited in vain, after {} tries", tries(computer));
}

#[test]
fn the_daemon_tries_a_stopped_product_at_its_start_though_its_pause_is_not_over() {
    let computer = stopped();
    let stands_still = clock(SignedDuration::ZERO, 0);
    run_until(&computer, &stands_still, || tries(&computer) == 2);
}

#[test]
fn the_daemon_tries_a_stopped_product_again_by_itself_when_its_pause_is_over() {
    let computer = stopped();
    // Long pauses end as soon as the clock was looked at some times, and the daemon's next contact is a day away.
    let runs_fast = clock(SignedDuration::from_secs(90), 500);
    run_until(&computer, &runs_fast, || tries(&computer) >= 4);
}

#[test]
fn a_first_cycle_that_another_process_held_up_does_not_use_up_the_try_of_the_start() {
    let computer = stopped();
    // Fast enough that the daemon comes again at once, and never as far as the end of the pause.
    let clock = clock(SignedDuration::from_secs(6), 5);
    let mut held = Some(computer.host.home.lock_cycle().unwrap());
    run_until(&computer, &clock, || {
        if clock.looks.load(Ordering::SeqCst) > 0 {
            assert!(held.is_none() || tries(&computer) == 1, "nothing begins beside another cycle");
            held = None;
        }
        tries(&computer) == 2
    });
}
