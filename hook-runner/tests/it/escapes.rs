//! Hooks that are out to leave something behind, or do so because of a name.

use std::ffi::OsString;
use std::fs;
use std::process::Command;
use std::time::Duration;

use sealpost_hook_runner::{Ending, Leftovers, Runner, Task};
use sealpost_test_support::wait;

use crate::support::{LONG, NOBODY, Scene, is_root, is_running, let_go, runner, shell, skipped, stays, task};

const SHORT: Duration = Duration::from_millis(700);
/// The system cuts a name to 15 bytes: here in the midst of a letter.
const NAME: &str = "datenbank-stopü.sh";

/// A line of shell that starts a process whose name is no text, in a session of its own, and waits for it.
fn start_named(scene: &Scene) -> String {
    scene.script(NAME, "echo $$ > named.new; mv named.new named; sleep 1000; exit");
    format!("(setsid ./{NAME} > /dev/null 2>&1 &); while ! [ -e named ]; do sleep 0.01; done")
}

#[test]
fn a_process_whose_name_is_no_text_is_killed_at_the_end_of_its_hook() {
    let scene = Scene::new();
    let script = format!("{}; cat /proc/$(cat named)/comm", start_named(&scene));
    let finished = runner().run(&scene.task(&script, LONG, Leftovers::Kill)).unwrap();
    assert!(String::from_utf8(finished.output).is_err(), "its name is no text");
    assert!(scene.processes().is_empty() && finished.problem.is_none());
}

#[test]
fn killing_the_caller_kills_a_process_whose_name_is_no_text() {
    let scene = Scene::new();
    let script = format!("{}; {}", start_named(&scene), stays("hook"));
    let mut caller = scene.caller(&scene.task(&script, LONG, Leftovers::Kill));
    let _ = (scene.pid("hook"), scene.pid("named"));
    caller.kill().unwrap();
    caller.wait().unwrap();
    scene.wait_until_nothing_is_left();
}

#[test]
fn a_start_hook_whose_name_is_no_text_is_killed_at_its_time_limit() {
    let scene = Scene::new();
    scene.script(NAME, "sleep 1000; exit");
    let mut task = scene.task("", SHORT, Leftovers::Leave);
    (task.program, task.arguments) = (scene.path(NAME).into(), Vec::new());
    let finished = runner().run(&task).unwrap();
    assert_eq!((finished.ending, finished.problem), (Ending::TimedOut, None));
    wait::until("the hook is gone", || scene.processes().is_empty());
}

/// A runner that cannot see any process, in a name space where another disk lies on `/proc`; `None` where that may not be.
fn blind_runner() -> Option<Runner> {
    let script = "mount -t tmpfs none /proc && exec \"$0\"";
    let words = ["-m", "/bin/sh", "-c", script].map(OsString::from);
    let arguments = words.into_iter().chain([runner().program.into()]).collect();
    let mut tried = Command::new("/usr/bin/unshare");
    tried.args(["-m", "mount", "-t", "tmpfs", "none", "/proc"]);
    let may = is_root() && tried.status().is_ok_and(|status| status.success());
    let blind = Runner { program: "/usr/bin/unshare".into(), arguments };
    (may || skipped("a name space of mounts")).then_some(blind)
}

#[test]
fn a_runner_that_cannot_see_what_is_left_says_so_and_not_that_nothing_is() {
    let Some(blind) = blind_runner() else { return };
    let scene = Scene::new();
    let script = format!("{}; while ! [ -e away ]; do sleep 0.01; done", let_go("away"));
    let finished = blind.run(&scene.task(&script, LONG, Leftovers::Kill)).unwrap();
    assert!(is_running(scene.pid("away")));
    assert!(finished.problem.is_some_and(|problem| problem.contains("could not be killed")));
}

#[test]
fn a_start_hook_that_cannot_be_seen_is_killed_at_its_time_limit_and_the_rest_told_of() {
    let Some(blind) = blind_runner() else { return };
    let scene = Scene::new();
    let finished = blind.run(&scene.task(&stays("hook"), SHORT, Leftovers::Leave)).unwrap();
    assert!(!is_running(scene.pid("hook")));
    assert!(finished.ending == Ending::TimedOut && finished.problem.is_some(), "{finished:?}");
}

#[test]
fn as_root_a_hook_without_roots_rights_can_do_nothing_to_its_runner() {
    if !is_root() {
        return;
    }
    let scene = Scene::new();
    let script = format!(
        "{}; while ! [ -e away ]; do sleep 0.01; done; \
         for signal in KILL STOP TERM; do kill -$signal $PPID && echo $signal; done; \
         prlimit --pid $PPID --nofile=0:0 && echo limited; \
         renice -n 19 -p $PPID && echo slowed; \
         echo 1000 > /proc/$PPID/oom_score_adj && echo chosen; true",
        let_go("away")
    );
    let task = Task { user: Some(NOBODY), ..scene.task(&script, LONG, Leftovers::Kill) };
    let finished = runner().run(&task).unwrap();
    let output = String::from_utf8(finished.output).unwrap();
    let words = ["KILL", "STOP", "TERM", "limited", "slowed", "chosen"];
    assert!(output.lines().all(|line| !words.contains(&line)), "{output}");
    assert!(matches!(finished.ending, Ending::Exited(status) if status.success()), "{output}");
    assert!(scene.processes().is_empty() && finished.problem.is_none(), "{:?}", finished.problem);
}

/// Each starts the next, in no group of the hook's, and ends; the last of thousands leaves a file.
#[test]
fn as_root_a_chain_of_short_processes_without_roots_rights_is_ended() {
    if !is_root() {
        return;
    }
    let scene = Scene::new();
    scene.script("chain", "f() { if [ $1 = 0 ]; then touch end; else f $(($1 - 1)) & fi; }; f 30000");
    let script = "(setsid ./chain > /dev/null 2>&1 &); sleep 0.3";
    let task = Task { user: Some(NOBODY), ..scene.task(script, LONG, Leftovers::Kill) };
    let finished = runner().run(&task).unwrap();
    assert_eq!(finished.problem, None);
    assert!(scene.processes().is_empty() && !scene.path("end").exists());
}

#[test]
fn further_groups_of_the_caller_are_not_a_hooks_that_runs_as_another_user() {
    if !is_root() {
        return;
    }
    // As root itself: the groups of the caller go there too.
    let groups = "sed -n s/^Groups://p /proc/self/status";
    let mut as_nobody = task(groups, LONG, Leftovers::Kill);
    as_nobody.user = Some(NOBODY);
    let mut caller = runner();
    caller.arguments =
        ["--groups", "4,24", "--", runner().program.to_str().unwrap()].map(Into::into).to_vec();
    caller.program = "/usr/bin/setpriv".into();
    let output = caller.run(&as_nobody).unwrap().output;
    assert_eq!(String::from_utf8(output).unwrap().trim(), "");
    assert!(
        fs::metadata("/usr/bin/setpriv").is_ok() && !shell(groups, LONG, Leftovers::Kill).output.is_empty()
    );
}
