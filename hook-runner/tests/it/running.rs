//! What a hook gets, and what is told of it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use sealpost_hook_runner::{Ending, Leftovers, OUTPUT_TAIL_BYTES, RunError, Task};

use crate::support::{Bare, LONG, NOBODY, Scene, is_root, runner, shell, task};

#[test]
fn status_and_both_outputs_are_kept() {
    let finished = shell("echo out; echo err >&2; exit 3", LONG, Leftovers::Kill);
    assert!(matches!(finished.ending, Ending::Exited(status) if status.code() == Some(3)));
    let output = String::from_utf8(finished.output).unwrap();
    assert!(output.contains("out\n") && output.contains("err\n"));
}

#[test]
fn the_signal_that_ended_a_hook_is_told() {
    let finished = shell("kill -SEGV $$", LONG, Leftovers::Kill);
    assert!(matches!(finished.ending, Ending::Exited(status) if status.signal() == Some(11)), "{finished:?}");
}

#[test]
fn a_program_that_cannot_be_executed_is_told_apart_from_one_that_failed() {
    let missing = Task { program: "/nonexistent".into(), ..task("", LONG, Leftovers::Kill) };
    let error = runner().run(&missing).unwrap_err();
    assert!(matches!(&error, RunError::NotStarted(why) if why.raw_os_error() == Some(2)), "{error:?}");
}

/// As shells do it, and as `execvp` does.
#[test]
fn a_script_without_an_interpreter_line_is_run_by_the_shell() {
    let scene = Scene::new();
    fs::write(scene.path("hook"), "echo of $1; exit 4\n").unwrap();
    fs::set_permissions(scene.path("hook"), fs::Permissions::from_mode(0o755)).unwrap();
    let mut task = scene.task("", LONG, Leftovers::Kill);
    (task.program, task.arguments) = (scene.path("hook").into(), vec!["acme".into()]);
    let finished = runner().run(&task).unwrap();
    assert!(matches!(finished.ending, Ending::Exited(status) if status.code() == Some(4)), "{finished:?}");
    assert_eq!(finished.output, b"of acme\n");
}

/// A shell that is given nothing ends well.
#[test]
fn a_program_that_is_empty_or_no_text_is_not_given_to_a_shell() {
    let scene = Scene::new();
    for text in [&b""[..], b"\n \n", b"exit 0\n\0\0\0", b"\x7fELF"] {
        fs::write(scene.path("hook"), text).unwrap();
        fs::set_permissions(scene.path("hook"), fs::Permissions::from_mode(0o755)).unwrap();
        let task = Task { program: scene.path("hook").into(), ..scene.task("", LONG, Leftovers::Leave) };
        let error = runner().run(&task).unwrap_err();
        assert!(
            matches!(&error, RunError::NotStarted(why) if why.raw_os_error() == Some(8)),
            "{text:?}: {error:?}"
        );
    }
}

/// Else a hook could type keys, as root, into the terminal of whoever typed a command of the agent.
#[test]
fn a_hook_is_in_a_session_without_a_terminal_which_it_does_not_lead() {
    let script = "read -r pid name state parent group session terminal rest < /proc/$$/stat; \
                  echo $((parent - session)) $((group - pid)) $terminal; \
                  (true < /dev/tty) 2> /dev/null || echo none";
    let finished = shell(script, LONG, Leftovers::Kill);
    assert_eq!(String::from_utf8(finished.output).unwrap(), "0 0 0\nnone\n");
}

#[test]
fn a_hook_that_ends_its_own_process_group_ends_nothing_else() {
    let finished = shell("trap '' TERM; kill 0; echo there", LONG, Leftovers::Kill);
    assert!(matches!(finished.ending, Ending::Exited(status) if status.success()), "{finished:?}");
    assert_eq!(finished.output, b"there\n");
}

#[test]
fn only_the_tail_of_a_long_output_is_kept() {
    let finished = shell("yes 0123456789 | head -c 5000000; printf END", LONG, Leftovers::Kill);
    assert_eq!(finished.output.len(), OUTPUT_TAIL_BYTES);
    assert!(finished.output.ends_with(b"END"));
}

#[test]
fn the_environment_is_empty_but_for_what_was_given() {
    let finished = shell("env", LONG, Leftovers::Kill);
    let output = String::from_utf8(finished.output).unwrap();
    assert!(!output.contains("HOME=") && !output.contains("CARGO"), "{output}");
}

/// Else a hook without root's rights reads and writes what root had open when the agent was started.
#[test]
fn a_hook_gets_no_open_files_but_its_input_and_its_outputs() {
    let folder = tempfile::tempdir().unwrap();
    let open = fs::File::create(folder.path().join("of_root")).unwrap();
    rustix::io::fcntl_setfd(&open, rustix::io::FdFlags::empty()).unwrap();
    // The last one is the shell's own, of the folder that it lists.
    let finished = shell("for fd in /proc/$$/fd/*; do echo ${fd##*/}; done", LONG, Leftovers::Kill);
    assert_eq!(String::from_utf8(finished.output).unwrap(), "0\n1\n2\n3\n");
    let finished = shell("readlink /proc/$$/fd/*", LONG, Leftovers::Kill);
    let output = String::from_utf8(finished.output).unwrap();
    assert!(output.starts_with("/dev/null\n") && !output.contains("of_root"), "{output}");
}

#[test]
fn as_root_a_hook_can_be_run_without_roots_rights() {
    if !is_root() {
        return;
    }
    let script = "id -u; id -G; grep -E '^(Uid|Gid|Cap(Inh|Prm|Eff|Amb)|NoNewPrivs)' /proc/self/status";
    let mut task = task(script, LONG, Leftovers::Kill);
    task.user = Some(NOBODY);
    let output = String::from_utf8(runner().run(&task).unwrap().output).unwrap();
    let four = "65534\t65534\t65534\t65534";
    let none = ["CapInh", "CapPrm", "CapEff", "CapAmb"].map(|set| format!("{set}:\t{:016}\n", 0)).concat();
    assert_eq!(output, format!("65534\n65534\nUid:\t{four}\nGid:\t{four}\n{none}NoNewPrivs:\t1\n"));
}

/// The runner has the caller's files open, and root's memory.
#[test]
fn a_hook_without_roots_rights_cannot_look_into_its_runner() {
    if !is_root() {
        return;
    }
    let mut task = task("ls /proc/$PPID/fd; cat /proc/$PPID/environ", LONG, Leftovers::Kill);
    task.user = Some(NOBODY);
    let finished = runner().run(&task).unwrap();
    let output = String::from_utf8(finished.output).unwrap();
    assert_eq!(output.matches("Permission denied").count(), 2, "{output}");
}

#[test]
fn an_order_that_is_too_long_is_refused_before_anything_runs() {
    let mut task = task("exit 0", Duration::from_secs(1), Leftovers::Kill);
    task.arguments.push("x".repeat(1024 * 1024).into());
    assert!(matches!(runner().run(&task), Err(RunError::Runner(_))));
}

#[test]
fn a_time_limit_that_no_clock_reaches_is_refused_before_anything_runs() {
    let scene = Scene::new();
    let task = scene.task("touch ran", Duration::MAX, Leftovers::Kill);
    assert!(matches!(runner().run(&task), Err(RunError::NotStarted(_))));
    let mut bare = Bare::new();
    bare.order(bare.parent.id(), &task);
    assert!(bare.answer().contains("NotStarted"));
    bare.wait_for_end();
    assert!(!scene.path("ran").exists());
}

#[test]
fn a_program_that_is_no_runner_is_told_at_once() {
    let mut other = runner();
    other.program = "/bin/false".into();
    assert!(matches!(other.run(&task("", LONG, Leftovers::Kill)), Err(RunError::Died(_))));
}

#[test]
fn a_process_with_more_memory_than_it_may_have_ends_and_its_runner_does_not() {
    // The whole input is one line, which the shell's `read` keeps.
    let takes = "head -c 300000000 /dev/zero | tr '\\0' x | { read -r line; echo ${#line}; }";
    let bounded = Task { memory_bytes: Some(64 * 1024 * 1024), ..task(takes, LONG, Leftovers::Kill) };
    let finished = runner().run(&bounded).unwrap();
    let printed = String::from_utf8_lossy(&finished.output).into_owned();
    assert!(!printed.contains("300000000"), "{printed}");
    assert!(matches!(finished.ending, Ending::Exited(_)) && finished.problem.is_none(), "{finished:?}");
    // What needs little runs.
    let small = Task { memory_bytes: Some(64 * 1024 * 1024), ..task("echo small", LONG, Leftovers::Kill) };
    assert_eq!(runner().run(&small).unwrap().output, b"small\n");
}
