//! What is left of a hook at its end, at its time limit, and after the end of its caller.

use std::time::Duration;

use rustix::process::{Signal, kill_process};
use sealpost_hook_runner::{Ending, Leftovers, RunError, Task};
use sealpost_test_support::wait;

use crate::support::{Bare, LONG, NOBODY, Scene, is_root, is_running, let_go, runner, stays};

const SHORT: Duration = Duration::from_millis(700);

#[test]
fn what_a_hook_leaves_in_the_background_is_killed_and_does_not_hold_it_up() {
    let scene = Scene::new();
    let task = scene.task("sleep 1000 &", LONG, Leftovers::Kill);
    let finished = runner().run(&task).unwrap();
    assert!(matches!(finished.ending, Ending::Exited(status) if status.success()));
    assert!(scene.processes().is_empty() && finished.problem.is_none());
}

#[test]
fn what_left_the_session_of_a_hook_is_killed_at_its_end() {
    let scene = Scene::new();
    let script = format!("{}; while ! [ -e away ]; do sleep 0.01; done", let_go("away"));
    let finished = runner().run(&scene.task(&script, LONG, Leftovers::Kill)).unwrap();
    assert!(matches!(finished.ending, Ending::Exited(status) if status.success()), "{finished:?}");
    assert!(!is_running(scene.pid("away")) && scene.processes().is_empty());
}

#[test]
fn a_hook_that_hangs_is_killed_together_with_all_that_it_started() {
    let scene = Scene::new();
    let script = format!("sleep 1000 & {}; sleep 1000", let_go("away"));
    let finished = runner().run(&scene.task(&script, SHORT, Leftovers::Kill)).unwrap();
    assert_eq!((finished.ending, finished.problem), (Ending::TimedOut, None));
    assert!(scene.processes().is_empty());
}

/// Each forks two, in sessions of their own in part, until there are some hundreds.
#[test]
fn a_fork_bomb_ends() {
    let scene = Scene::new();
    let bomb = "f() { if [ $1 -gt 0 ]; then f $(($1 - 1)) & f $(($1 - 1)) & fi; \
                if [ $1 = 4 ]; then setsid sleep 1000; fi; while :; do sleep 0.01; done; }; f 7";
    let finished = runner().run(&scene.task(bomb, Duration::from_secs(2), Leftovers::Kill)).unwrap();
    assert_eq!((finished.ending, finished.problem), (Ending::TimedOut, None));
    assert!(scene.processes().is_empty());
}

#[test]
fn killing_the_caller_leaves_no_process_of_a_hook_that_is_to_leave_none() {
    let scene = Scene::new();
    let script = format!("{}; {}", let_go("away"), stays("hook"));
    let mut caller = scene.caller(&scene.task(&script, LONG, Leftovers::Kill));
    let (hook, away) = (scene.pid("hook"), scene.pid("away"));
    assert!(is_running(hook) && is_running(away));
    caller.kill().unwrap();
    caller.wait().unwrap();
    scene.wait_until_nothing_is_left();
}

#[test]
fn as_root_killing_the_caller_leaves_no_process_of_a_hook_without_roots_rights() {
    if !is_root() {
        return;
    }
    let scene = Scene::new();
    let script = format!("{}; {}", let_go("away"), stays("hook"));
    let task = Task { user: Some(NOBODY), ..scene.task(&script, LONG, Leftovers::Kill) };
    let mut caller = scene.caller(&task);
    let _ = (scene.pid("hook"), scene.pid("away"));
    caller.kill().unwrap();
    caller.wait().unwrap();
    scene.wait_until_nothing_is_left();
}

/// Whoever changes its user loses the death signal: the runner does not change its own.
#[test]
fn the_death_signal_alone_ends_all_also_without_roots_rights() {
    let users = if is_root() { vec![None, Some(NOBODY)] } else { vec![None] };
    for user in users {
        let scene = Scene::new();
        let script = format!("{}; {}", let_go("away"), stays("hook"));
        let task = Task { user, ..scene.task(&script, LONG, Leftovers::Kill) };
        let mut bare = Bare::new();
        bare.order(bare.parent.id(), &task);
        let _ = (scene.pid("hook"), scene.pid("away"));
        bare.parent.kill().unwrap();
        bare.parent.wait().unwrap();
        scene.wait_until_nothing_is_left();
        bare.wait_for_end();
    }
}

#[test]
fn a_parent_that_had_ended_before_the_death_signal_was_set_is_noticed() {
    let scene = Scene::new();
    let mut bare = Bare::new();
    bare.parent.kill().unwrap();
    bare.parent.wait().unwrap();
    let parent = bare.parent.id();
    bare.order(parent, &scene.task(&stays("hook"), LONG, Leftovers::Kill));
    bare.wait_for_end();
    assert!(!scene.path("hook").exists() && scene.processes().is_empty());
}

#[test]
fn a_service_that_a_start_hook_leaves_lives_through_the_end_of_the_hook() {
    let scene = Scene::new();
    let script = format!(
        "sleep 1000 > /dev/null 2>&1 & echo $! > near; {}; while ! [ -e far ]; do sleep 0.01; done",
        let_go("far")
    );
    let finished = runner().run(&scene.task(&script, LONG, Leftovers::Leave)).unwrap();
    assert!(matches!(finished.ending, Ending::Exited(status) if status.success()));
    assert!(is_running(scene.pid("near")) && is_running(scene.pid("far")));
}

/// It holds the hook's outputs open.
#[test]
fn a_service_that_goes_on_printing_does_not_hold_up_its_start_hook() {
    let scene = Scene::new();
    let script = "while :; do echo on; sleep 0.01; done & echo $! > on";
    let finished = runner().run(&scene.task(script, LONG, Leftovers::Leave)).unwrap();
    assert!(matches!(finished.ending, Ending::Exited(status) if status.success()));
}

#[test]
fn killing_the_caller_inside_a_start_hook_kills_the_hook_and_not_what_it_let_go_of() {
    let scene = Scene::new();
    let script = format!("{}; while ! [ -e far ]; do sleep 0.01; done; {}", let_go("far"), stays("hook"));
    let mut caller = scene.caller(&scene.task(&script, LONG, Leftovers::Leave));
    let (hook, far) = (scene.pid("hook"), scene.pid("far"));
    caller.kill().unwrap();
    caller.wait().unwrap();
    wait::until("the hook is gone", || !is_running(hook));
    wait::until("the service alone is left", || scene.processes() == [far]);
    assert!(is_running(far));
}

#[test]
fn a_start_hook_that_hangs_is_killed_with_what_is_attached_and_not_with_what_it_let_go_of() {
    let scene = Scene::new();
    let script = format!(
        "{}; while ! [ -e far ]; do sleep 0.01; done; /bin/sh -c 'sleep 1000 & echo $! > deep; wait' & {}",
        let_go("far"),
        stays("hook")
    );
    let finished = runner().run(&scene.task(&script, SHORT, Leftovers::Leave)).unwrap();
    assert_eq!((finished.ending, finished.problem), (Ending::TimedOut, None));
    let far = scene.pid("far");
    wait::until("the service alone is left", || scene.processes() == [far]);
    assert!(!is_running(scene.pid("hook")) && !is_running(scene.pid("deep")) && is_running(far));
}

#[test]
fn who_ends_a_runner_by_mistake_ends_nothing_and_who_kills_it_ends_the_hook_too() {
    let scene = Scene::new();
    let script = "kill -TERM $PPID; kill -INT $PPID; kill -HUP $PPID; exit 5";
    let finished = runner().run(&scene.task(script, LONG, Leftovers::Kill)).unwrap();
    assert!(matches!(finished.ending, Ending::Exited(status) if status.code() == Some(5)), "{finished:?}");

    let script = "sleep 1000 & kill -KILL $PPID; sleep 1000";
    let error = runner().run(&scene.task(script, LONG, Leftovers::Kill)).unwrap_err();
    assert!(matches!(error, RunError::Died(_)), "{error:?}");
    scene.wait_until_nothing_is_left();
}

#[test]
fn a_caller_that_ends_while_the_rest_is_killed_changes_nothing() {
    let scene = Scene::new();
    let mut caller =
        scene.caller(&scene.task(&format!("{}; sleep 0.1", let_go("away")), LONG, Leftovers::Kill));
    let away = scene.pid("away");
    let _ = kill_process(rustix::process::Pid::from_child(&caller), Signal::KILL);
    caller.wait().unwrap();
    wait::until("it is gone", || !is_running(away));
    scene.wait_until_nothing_is_left();
}
