//! What `servers list` says of the leases: which is not renewed, which is held back, and why.

use std::process::Command;

use serde_json::Value;

use super::*;
use crate::self_update::PACKAGED;

/// What is printed, and the JSON of the first and of the second server.
fn listed(two: &Two) -> (Vec<String>, [Value; 2]) {
    let home = two.agent.home().path().to_owned();
    let printed = |options: &[&str]| {
        let said =
            Command::new(PACKAGED).arg("--home").arg(&home).args(["servers", "list"]).args(options).output();
        let said = said.unwrap();
        assert!(said.status.success(), "{said:?}");
        String::from_utf8(said.stdout).unwrap()
    };
    let json: Vec<Value> = serde_json::from_str(&printed(&["--json"])).unwrap();
    (printed(&[]).lines().map(str::to_owned).collect(), json.try_into().unwrap())
}

#[test]
fn the_list_says_of_each_server_that_its_lease_is_not_renewed_or_held_back_and_why() {
    let two = Two::new();
    two.agent.cycle();
    let (lines, [first, second]) = listed(&two);
    for (line, json) in lines.iter().zip([&first, &second]) {
        assert!(line.contains(", lease until 2") && !line.contains("renewed"), "{line}");
        assert_eq!(json["lease"]["live"], true);
        assert_eq!(json["lease_until"], json["lease"]["not_after"]);
        assert_eq!(json["lease"]["server_says"], Value::Array(Vec::new()));
    }

    // The vendor ends the serial number of the first, and the second one has no seat any more.
    let end = two.site.server.lock().unwrap().now() + SignedDuration::from_hours(1);
    two.site.server.lock().unwrap().renew_grant(&two.site.vendor.license_key, |grant| {
        grant.not_after = end;
        grant.ends_at = Some(end);
    });
    {
        let mut second = two.second.lock().unwrap();
        second.withholds = true;
        second.notice =
            Some("this computer gets no lease: \u{1b}[2Jmore names hold seats than there are".to_owned());
    }
    two.clock.forward(SignedDuration::from_hours(25));
    two.agent.cycle();
    let (lines, [first, second]) = listed(&two);
    assert!(lines[0].contains(" and not renewed from 2") && lines[0].contains("serial number"), "{lines:?}");
    assert!(
        lines[1].contains("(the server says: this computer gets no lease: ")
            && lines[1].contains("more names hold seats than there are)")
            && !lines[1].contains('\u{1b}'),
        "{lines:?}"
    );
    let shown = two.agent.status();
    assert_eq!(first["lease"], serde_json::to_value(&shown.lease).unwrap(), "as the status of who serves");
    assert!(first["lease"]["renewed_until"].is_string());
    assert_eq!(second["lease"]["renewed_until"], Value::Null);
    let says = second["lease"]["server_says"][0].as_str().unwrap();
    assert!(says.contains("no lease") && !says.contains('\u{1b}'), "{says}");

    // Once it does not answer, what it said before is no reason any more.
    two.web.fail("contact", Fault::Answer(503, Vec::new()), Times::Always);
    two.clock.forward(SignedDuration::from_hours(25));
    two.agent.cycle();
    let (lines, [_, second]) = listed(&two);
    assert!(!lines[1].contains("the server says") && lines[1].contains("problem: "), "{lines:?}");
    assert_eq!(second["lease"]["server_says"], Value::Array(Vec::new()));
}

#[test]
fn a_server_that_never_gave_a_lease_says_why() {
    let two = Two::new();
    {
        let mut second = two.second.lock().unwrap();
        second.withholds = true;
        second.notice = Some("no seat is free".to_owned());
    }
    two.agent.cycle();
    let (lines, [_, second]) = listed(&two);
    let wanted =
        ", no lease: this computer holds no lease yet (the server says: no seat is free), answered last at ";
    assert!(lines[1].contains(wanted), "{lines:?}");
    assert_eq!((&second["lease"]["live"], &second["lease_until"]), (&Value::Bool(false), &Value::Null));
}
