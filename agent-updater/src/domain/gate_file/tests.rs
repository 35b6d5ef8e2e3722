use super::*;
use crate::domain::gate::End;

const BOOT: &str = "8f7e9a34-1111-4a2b-9c3d-000000000001";
const OTHER_BOOT: &str = "8f7e9a34-1111-4a2b-9c3d-000000000002";
const OPEN: &str = include_str!("../../../tests/golden/gate-open.v2");
const CLOSED: &str = include_str!("../../../tests/golden/gate-closed.v2");

fn gate() -> Gate {
    let end = Opening::Until(End { until_boot: Some(500), until_wall: 1_000 });
    Gate { run: Opening::Open, upload: end, remote_management: end }
}

#[test]
fn the_file_has_its_frozen_form() {
    let package = PackageName::new("acme-av").unwrap();
    let boot = BootId::new(BOOT).unwrap();
    assert_eq!(to_text(&package, Some(&boot), &gate()), OPEN);
    let closed = Gate { run: Opening::Closed, upload: Opening::Closed, remote_management: Opening::Closed };
    assert_eq!(to_text(&package, None, &closed), CLOSED);
}

#[test]
fn a_permission_is_over_past_either_end_or_after_another_start_of_the_computer() {
    let upload = |wall, boot, secs| is_open(OPEN, Permission::Upload, wall, boot, secs);
    assert!(upload(1_000, BOOT, 500));
    assert!(!upload(1_001, BOOT, 500) && !upload(1_000, BOOT, 501) && !upload(1_000, OTHER_BOOT, 1));
    assert!(!upload(i64::MIN, BOOT, 501), "a clock that was set back opens nothing again");
    let run = OpenNow { run: true, ..OpenNow::default() };
    assert_eq!(open_now(OPEN, 1_001, OTHER_BOOT, 0), run, "a named product goes on");
    assert_eq!(open_now(OPEN, 0, BOOT, 0), OpenNow { run: true, upload: true, remote_management: true });
}

#[test]
fn an_end_on_one_clock_is_enough_and_only_run_may_have_none() {
    let with = |lines: &str| format!("format=2\nboot_id={BOOT}\nrun=true\nupload=true\n{lines}");
    let upload = |lines: &str, wall, secs| is_open(&with(lines), Permission::Upload, wall, BOOT, secs);
    assert!(!upload("", 0, 0));
    assert!(upload("upload_until_wall=7\n", 7, u64::MAX) && !upload("upload_until_wall=7\n", 8, 0));
    assert!(upload("upload_until_boot=7\n", i64::MAX, 7) && !upload("upload_until_boot=7\n", 0, 8));
    let run = |lines: &str, wall| is_open(&with(lines), Permission::Run, wall, BOOT, 0);
    assert!(run("", 0) && run("run_until_wall=7\n", 7) && !run("run_until_wall=7\n", 8));
}

#[test]
fn a_hostile_or_torn_text_opens_nothing() {
    let torn = (0..OPEN.len()).map(|length| OPEN[..length].to_owned());
    let hostile = [
        String::new(),
        "{\"run\":true}".to_owned(),
        OPEN.replace("format=2", "format=3"),
        OPEN.replace("format=2\n", ""),
        format!("{OPEN}run=true\n"),
        format!("{OPEN}upload_until_wall=9999999999\n"),
        format!("{OPEN}note=$(reboot)\n"),
        format!("{OPEN}note=`reboot`\n"),
        format!("{OPEN}note=a b\n"),
        format!("{OPEN}reboot\n"),
        format!("{OPEN}\n"),
        format!("{OPEN}=\n"),
        format!("{OPEN}n\u{00f6}te=1\n"),
        OPEN.replace('\n', "\r\n"),
        format!("{OPEN}{}", "x=1\n".repeat(2_000)),
        format!("{OPEN}pad={}\n", "x".repeat(5_000)),
    ];
    for text in torn.clone().chain(hostile) {
        // A torn text that ends with a line is a shorter text; then only what it says is open.
        if text.ends_with('\n') && OPEN.starts_with(&text) {
            continue;
        }
        assert_eq!(open_now(&text, 0, BOOT, 0), OpenNow::default(), "{text:?}");
    }
    for value in ["TRUE", "1", "yes", "truetrue"] {
        let text = OPEN.replace("run=true", &format!("run={value}"));
        assert!(!is_open(&text, Permission::Run, 0, BOOT, 0), "{value}");
    }
    for value in ["-1", "18446744073709551616", "0x10", "later"] {
        let text = OPEN.replace("upload_until_boot=500", &format!("upload_until_boot={value}"));
        assert!(!is_open(&text, Permission::Upload, 0, BOOT, 0), "{value}");
    }
}

#[test]
fn a_key_of_a_later_agent_is_passed_over() {
    let text = format!("{OPEN}spool_used=4096\n");
    assert!(is_open(&text, Permission::Run, 0, BOOT, 0));
}
