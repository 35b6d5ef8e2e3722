//! What a start hook leaves running, after its runner and its caller.

use std::fs;
use std::path::PathBuf;

use rustix::process::{Pid, Signal, kill_process};
use sealpost_hook_runner::{Ending, Leftovers};
use sealpost_test_support::wait;

use crate::support::{LONG, Scene, is_running, runner, stays};

/// A line of shell that leaves a product running, which prints without end, and writes a file for each line that it could.
const PRINTS: &str = "(setsid /bin/sh -c 'echo $$ > product.new; mv product.new product; n=0; \
                      while :; do echo $n; echo $n >&2; echo $n >> printed; n=$(($n + 1)); sleep 0.01; done' &); \
                      while ! [ -e printed ]; do sleep 0.01; done";

fn wait_until_it_prints_on(scene: &Scene) {
    let lines = || fs::read_to_string(scene.path("printed")).unwrap_or_default().lines().count();
    let before = lines();
    wait::until("the product prints on", || lines() > before + 10);
}

/// The process that has the read end of a process's output as its input.
fn reader_of(pid: Pid) -> Option<Pid> {
    let link = |pid: &str, fd: u32| fs::read_link(PathBuf::from(format!("/proc/{pid}/fd/{fd}"))).ok();
    let pipe = link(&pid.as_raw_pid().to_string(), 1)?;
    let mut entries =
        fs::read_dir("/proc").ok()?.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let found = entries.find(|pid| link(pid, 0).as_ref() == Some(&pipe))?;
    found.parse().ok().and_then(Pid::from_raw)
}

/// Its first line would end it otherwise.
#[test]
fn a_service_that_a_start_hook_leaves_may_print_for_as_long_as_it_lives() {
    let scene = Scene::new();
    let finished = runner().run(&scene.task(PRINTS, LONG, Leftovers::Leave)).unwrap();
    assert!(matches!(finished.ending, Ending::Exited(status) if status.success()));
    assert!(finished.output.starts_with(b"0\n"));
    let product = scene.pid("product");
    wait_until_it_prints_on(&scene);
    let reader = reader_of(product).unwrap();
    kill_process(product, Signal::KILL).unwrap();
    wait::until("the reader has ended with it", || !is_running(reader));
}

#[test]
fn a_service_that_prints_lives_through_the_end_of_the_caller_inside_its_start_hook() {
    let scene = Scene::new();
    let mut caller =
        scene.caller(&scene.task(&format!("{PRINTS}; {}", stays("hook")), LONG, Leftovers::Leave));
    let (hook, product) = (scene.pid("hook"), scene.pid("product"));
    caller.kill().unwrap();
    caller.wait().unwrap();
    wait::until("the hook is gone", || !is_running(hook));
    wait_until_it_prints_on(&scene);
    assert!(is_running(product));
}

#[test]
fn nothing_reads_on_for_a_service_that_has_an_output_of_its_own() {
    let scene = Scene::new();
    let script =
        format!("(/bin/sh -c '{}' > log 2>&1 &); while ! [ -e far ]; do sleep 0.01; done", stays("far"));
    runner().run(&scene.task(&script, LONG, Leftovers::Leave)).unwrap();
    assert!(is_running(scene.pid("far")) && reader_of(scene.pid("far")).is_none());
}

/// Some ask for a signal at the end of whoever is their parent then. It is not the runner.
#[test]
fn a_service_that_ends_with_its_parent_does_not_end_with_the_runner() {
    let scene = Scene::new();
    let script = "(setsid /bin/sh -c 'sleep 0.3; exec setpriv --pdeathsig KILL \
                  /bin/sh -c \"echo \\$\\$ > far.new; mv far.new far; exec sleep 1000\"' > /dev/null 2>&1 &); \
                  while ! [ -e far ]; do sleep 0.01; done";
    let finished = runner().run(&scene.task(script, LONG, Leftovers::Leave)).unwrap();
    assert!(matches!(finished.ending, Ending::Exited(status) if status.success()), "{finished:?}");
    assert!(is_running(scene.pid("far")));
}
