//! Who belongs to a group, and what is said to whoever does not.

use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::release::{PackageKind, ReleaseId};
use sealpost_manifests::version::ReleaseCounter;

use super::*;
use crate::rules::rollouts::settings::GroupSettings;

/// A computer with everything that a rule can ask for.
struct Shown {
    name: ComputerName,
    channel: ChannelName,
    platform: Platform,
    tags: Vec<Tag>,
    serials: [SerialNumber; 2],
    installed: Vec<InstalledPackage>,
}

fn installed(package: &str, version: &str) -> InstalledPackage {
    InstalledPackage {
        release: ReleaseId {
            package: PackageName::new(package).unwrap(),
            version: Version::new(version).unwrap(),
            platform: Platform::any(),
        },
        kind: PackageKind::Program,
        counter: ReleaseCounter(1),
        manifest: Sha256Digest::of(version.as_bytes()),
    }
}

fn shown() -> Shown {
    Shown {
        name: ComputerName::new("PC-01.berlin.example").unwrap(),
        channel: ChannelName::new("stable").unwrap(),
        platform: Platform::new("linux-x86_64").unwrap(),
        tags: ["site:berlin", "laptop"].map(|tag| Tag::new(tag).unwrap()).into(),
        serials: [SerialNumber::from_random([7; 19]), SerialNumber::from_random([8; 19])],
        installed: vec![installed("av", "1.2"), installed("tool", "7")],
    }
}

/// Judges the computer that shows everything, with a change.
fn why_not(rule: &str, is_listed: bool, change: impl FnOnce(&mut Attributes<'_>)) -> Option<String> {
    let group: GroupSettings = serde_json::from_str(rule).unwrap();
    let shown = shown();
    let serials: Vec<&SerialNumber> = shown.serials.iter().collect();
    let mut computer = Attributes {
        name: &shown.name,
        channel: &shown.channel,
        platform: Some(&shown.platform),
        tags: &shown.tags,
        serials: &serials,
        installed: &shown.installed,
    };
    change(&mut computer);
    let answer = super::why_not(group.rule.as_ref(), is_listed, &computer);
    assert_eq!(group.takes(is_listed, &computer), answer.is_none(), "{rule}");
    answer.map(|mismatch| mismatch.to_string())
}

fn by(attributes: &str) -> String {
    format!(r#"{{"rule":{{{attributes}}}}}"#)
}

#[test]
fn a_rule_means_who_the_table_says_and_names_what_does_not_match() {
    let serial = SerialNumber::from_random([8; 19]);
    let other = SerialNumber::from_random([9; 19]);
    let (own, foreign) = (format!(r#""serials":["{serial}"]"#), format!(r#""serials":["{other}"]"#));
    let no_seat = format!("it holds no seat of the serial numbers {other}");
    #[rustfmt::skip]
    let table = [
        (r#""channels":["beta","stable"]"#, None),
        (r#""channels":["beta"]"#, Some("it follows the channel stable, not beta")),
        (r#""platforms":["linux-aarch64","linux-x86_64"]"#, None),
        (r#""platforms":["any"]"#, None),
        (r#""platforms":["linux-aarch64"]"#, Some("its platform is linux-x86_64, not linux-aarch64")),
        (r#""names":["x*","pc-??.*"]"#, None),
        (r#""names":["PC-*"]"#, None),
        (r#""names":["x*","pc-?"]"#, Some("its name pc-01.berlin.example does not match x*, pc-?")),
        (r#""tags":["desktop","laptop"]"#, None),
        (r#""tags":["desktop"]"#, Some("it has none of the tags desktop")),
        (own.as_str(), None),
        (foreign.as_str(), Some(no_seat.as_str())),
        (r#""runs":[{"package":"tool"}]"#, None),
        (r#""runs":[{"package":"av","versions":["1.1","1.2"]}]"#, None),
        (r#""runs":[{"package":"av","versions":["7"]},{"package":"other"}]"#, Some("it does not run av in 7, other")),
        // Versions are names: the same number in another spelling is another version.
        (r#""runs":[{"package":"av","versions":["1.2.0"]}]"#, Some("it does not run av in 1.2.0")),
        // All attributes have to match; the first that does not is named.
        (r#""channels":["stable"],"tags":["laptop"],"names":["pc-*"]"#, None),
        (r#""channels":["stable"],"tags":["desktop"],"names":["pc-*"]"#, Some("it has none of the tags desktop")),
        (r#""runs":[{"package":"x"}],"channels":["beta"]"#, Some("it follows the channel stable, not beta")),
    ];
    for (attributes, expected) in table {
        assert_eq!(why_not(&by(attributes), false, |_| ()).as_deref(), expected, "{attributes}");
    }
}

#[test]
fn a_listed_computer_belongs_whatever_the_rule_says_and_without_a_rule_only_those_do() {
    for group in ["{}", &by(r#""channels":["beta"]"#)] {
        assert_eq!(why_not(group, true, |_| ()), None, "{group}");
    }
    let not_listed = Some("it is not listed, and the group has no rule".to_owned());
    assert_eq!(why_not("{}", false, |_| ()), not_listed);
}

#[test]
fn what_a_computer_has_not_shown_matches_nothing() {
    let platform = why_not(&by(r#""platforms":["any"]"#), false, |computer| computer.platform = None);
    assert_eq!(platform.as_deref(), Some("it has not shown its platform yet; the group is for any"));
    let tags = why_not(&by(r#""tags":["laptop"]"#), false, |computer| computer.tags = &[]);
    assert_eq!(tags.as_deref(), Some("it has none of the tags laptop"));
    let runs = why_not(&by(r#""runs":[{"package":"av"}]"#), false, |computer| computer.installed = &[]);
    assert_eq!(runs.as_deref(), Some("it does not run av"));
    let serial = by(&format!(r#""serials":["{}"]"#, SerialNumber::from_random([7; 19])));
    assert!(why_not(&serial, false, |computer| computer.serials = &[]).is_some());
}

#[test]
fn every_attribute_narrows_a_group_and_a_further_value_widens_it() {
    let attributes = [
        (r#""channels":["stable"]"#, r#""channels":["beta"]"#, r#""channels":["beta","stable"]"#),
        (r#""platforms":["any"]"#, r#""platforms":["mac"]"#, r#""platforms":["mac","any"]"#),
        (r#""names":["pc-*"]"#, r#""names":["x"]"#, r#""names":["x","pc-*"]"#),
        (r#""tags":["laptop"]"#, r#""tags":["x"]"#, r#""tags":["x","laptop"]"#),
        (
            r#""runs":[{"package":"av"}]"#,
            r#""runs":[{"package":"x"}]"#,
            r#""runs":[{"package":"x"},{"package":"av"}]"#,
        ),
    ];
    // Each attribute left out, met, unmet, and met by its second value.
    for chosen in 1..4usize.pow(5) {
        let choice = |index: usize| chosen / 4usize.pow(u32::try_from(index).unwrap()) % 4;
        let text =
            |index: usize| [attributes[index].0, attributes[index].1, attributes[index].2][choice(index) - 1];
        let given: Vec<usize> = (0..5).filter(|index| choice(*index) != 0).collect();
        let rule = by(&given.iter().map(|index| text(*index)).collect::<Vec<_>>().join(","));
        let belongs = given.iter().all(|index| choice(*index) != 2);
        assert_eq!(why_not(&rule, false, |_| ()).is_none(), belongs, "{rule}");
    }
}

#[test]
fn a_group_is_written_as_it_is_read() {
    let text = r#"{"description":"the first ones","rule":{"channels":["stable"],"platforms":["linux-x86_64"],"names":["pc-*"],"tags":["site:berlin"],"serials":["SERIAL"],"runs":[{"package":"av","versions":["1.2"]},{"package":"tool"}]}}"#;
    let text = text.replace("SERIAL", SerialNumber::from_random([7; 19]).as_str());
    let read: GroupSettings = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), text);
    assert_eq!(serde_json::to_string(&GroupSettings::default()).unwrap(), "{}");
    assert_eq!(serde_json::from_str::<GroupSettings>("{}").unwrap(), GroupSettings::default());
}

#[test]
fn what_is_no_group_is_refused_with_its_bound() {
    let many = |count: usize| {
        let tags: Vec<String> = (0..count).map(|number| format!("\"t{number}\"")).collect();
        by(&format!("\"tags\":[{}]", tags.join(",")))
    };
    let described = |text: &str| serde_json::json!({ "description": text }).to_string();
    assert!(serde_json::from_str::<GroupSettings>(&many(MAX_VALUES)).is_ok());
    assert!(serde_json::from_str::<GroupSettings>(&described(&"x".repeat(MAX_DESCRIPTION_BYTES))).is_ok());
    #[rustfmt::skip]
    let table = [
        (by(""), "a rule needs at least one of"),
        (by(r#""tags":[]"#), "a list of values needs at least one"),
        (many(MAX_VALUES + 1), "65 values are too many: use at most 64"),
        (by(r#""tags":["A B"]"#), "not a valid tag"),
        (by(r#""names":["pc/*"]"#), "not a valid pattern for computer names"),
        (by(r#""runs":[{"package":"av","versions":[]}]"#), "a list of values needs at least one"),
        (by(r#""runs":[{"package":"av","version":"1"}]"#), "unknown field `version`"),
        (by(r#""tag":["laptop"]"#), "unknown field `tag`"),
        (r#"{"members":["pc-01"]}"#.to_owned(), "unknown field `members`"),
        (described(&"x".repeat(MAX_DESCRIPTION_BYTES + 1)), "one line of at most 300 bytes"),
        (described("two\nlines"), "one line of at most 300 bytes"),
        (described("\u{1b}[2J"), "one line of at most 300 bytes"),
    ];
    for (text, expected) in table {
        let refused = serde_json::from_str::<GroupSettings>(&text).unwrap_err().to_string();
        assert!(refused.contains(expected), "{text}: {refused}");
    }
}

#[test]
fn names_of_groups_are_written_as_names_of_channels() {
    for good in ["canary", "0", "a-b", &"x".repeat(64)] {
        assert_eq!(GroupName::new(good).unwrap().as_str(), good);
        assert!(ChannelName::new(good).is_ok(), "{good}");
    }
    for bad in ["", "-a", "A", "a_b", "a b", "ä", "a\n", &"x".repeat(65)] {
        assert!(GroupName::new(bad).is_err() && ChannelName::new(bad).is_err(), "{bad:?}");
    }
    let error = GroupName::new("x".repeat(5000)).unwrap_err().to_string();
    assert!(error.len() < 200 && error.contains("group name"), "{error}");
}
