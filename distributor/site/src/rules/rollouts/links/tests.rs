use std::collections::BTreeMap;

use sealpost_manifests::word::Word;

use super::*;

fn rate(text: &str) -> Rate {
    text.parse().unwrap()
}

fn subnet(text: &str) -> Subnet {
    text.parse().unwrap()
}

fn link(subnets: &[&str]) -> Link {
    Link::new(subnets.iter().map(|text| subnet(text)).collect(), rate("2 MB/s"), 3).unwrap()
}

#[test]
fn rates_are_read_with_their_unit_and_written_in_the_largest_that_is_whole() {
    for (text, bytes, written) in [
        ("2 MB/s", 2_000_000, "2 MB/s"),
        ("2MB/s", 2_000_000, "2 MB/s"),
        ("2.5 MB/s", 2_500_000, "2500 kB/s"),
        ("16 Mbit/s", 2_000_000, "2 MB/s"),
        ("512 kbit/s", 64_000, "64 kB/s"),
        ("8001 B/s", 8_001, "8001 B/s"),
        ("100 GB/s", 100_000_000_000, "100 GB/s"),
    ] {
        assert_eq!(
            (rate(text).bytes_per_second(), rate(text).to_string().as_str()),
            (bytes, written),
            "{text}"
        );
        assert_eq!(rate(written), rate(text));
    }
}

#[test]
fn a_rate_of_nothing_or_without_a_unit_is_none() {
    for text in [
        "0 MB/s",
        "0.0001 MB/s",
        "2",
        "2 MB",
        "-1 MB/s",
        "MB/s",
        "1e3 MB/s",
        "2 Mb/s",
        "101 GB/s",
        "+2 MB/s",
        "99999999999999999999 GB/s",
        "1. MB/s",
        ".5 MB/s",
        "0.001 B/s",
        "",
    ] {
        assert!(text.parse::<Rate>().is_err(), "{text}");
    }
    assert_eq!(rate("8 kB/s").time_for(16_000), Duration::from_secs(2));
    assert!(rate("1 B/s").time_for(u64::MAX) > Duration::from_secs(1_000_000_000));
}

#[test]
fn a_subnet_holds_the_addresses_that_share_its_first_bits() {
    for (text, inside, outside) in [
        ("10.2.0.0/16", "10.2.255.255", "10.3.0.0"),
        ("10.2.3.4/32", "10.2.3.4", "10.2.3.5"),
        ("0.0.0.0/0", "255.255.255.255", "::1"),
        ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
        ("::/0", "2001:db8::1", "10.0.0.1"),
        ("10.2.0.0/16", "::ffff:10.2.0.1", "::10.2.0.1"),
    ] {
        let subnet = subnet(text);
        assert_eq!(subnet.to_string(), text);
        assert!(subnet.holds(inside.parse().unwrap()) && !subnet.holds(outside.parse().unwrap()), "{text}");
    }
}

#[test]
fn what_is_no_subnet_is_refused_and_one_address_of_a_subnet_is_told_what_is_meant() {
    for text in
        ["10.2.0.0", "10.2.0.0/33", "10.2.0.0/+8", "10.2/16", "/16", "2001:db8::/129", "10.2.0.0/", ""]
    {
        assert!(matches!(text.parse::<Subnet>(), Err(SubnetError::Form(_))), "{text}");
    }
    assert!(matches!("::ffff:10.2.0.0/112".parse::<Subnet>(), Err(SubnetError::Form(_))));
    let said = "10.2.3.4/16".parse::<Subnet>().unwrap_err().to_string();
    assert!(said.ends_with("write `10.2.0.0/16`"), "{said}");
}

#[test]
fn a_link_has_subnets_turns_and_a_rate_that_agents_do_not_give_up() {
    let one = || vec![subnet("10.2.0.0/16")];
    let refused = |subnets, text: &str, concurrent| Link::new(subnets, rate(text), concurrent).unwrap_err();
    assert!(refused(Vec::new(), "2 MB/s", 3).contains("no subnet"));
    assert!(refused(one(), "2 MB/s", 0).contains("1 to 1000"));
    assert!(refused(one(), "2 MB/s", 1_001).contains("1 to 1000"));
    assert!(refused(one(), "23999 B/s", 3).contains("raise the rate"));
    assert!(Link::new(one(), rate("24 kB/s"), 3).is_ok());
    assert!(refused([one(), one()].concat(), "2 MB/s", 3).contains("twice"));
    let many =
        |count: u32| (0..count).map(|number| Subnet::new(IpAddr::V4(number.into()), 32).unwrap()).collect();
    assert!(Link::new(many(256), rate("2 MB/s"), 3).is_ok());
    assert!(refused(many(10_000), "2 MB/s", 3).contains("names 10000 subnets"));
}

#[test]
fn a_link_is_written_as_it_was_read_and_an_unknown_key_is_refused() {
    let text = r#"{"subnets":["10.2.0.0/16","10.4.0.0/16"],"rate":"2 MB/s","concurrent":3}"#;
    let link: Link = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_string(&link).unwrap(), text);
    assert!(serde_json::from_str::<Link>(&text.replace("rate", "speed")).is_err());
    assert!(serde_json::from_str::<Link>(&text.replace("2 MB/s", "0 MB/s")).is_err());
}

#[test]
fn the_longest_prefix_wins_and_the_same_subnet_in_two_links_is_a_conflict() {
    let links = BTreeMap::from([
        (Word::known("all"), link(&["10.0.0.0/8", "::/0"])),
        (Word::known("north"), link(&["10.2.0.0/16"])),
        (Word::known("hall"), link(&["10.2.7.0/24", "10.2.7.9/32"])),
    ]);
    assert_eq!(conflicts(&links), []);
    let table = LinkTable::new(&links);
    for (address, name) in [
        ("10.9.0.1", Some("all")),
        ("10.2.0.1", Some("north")),
        ("10.2.7.1", Some("hall")),
        ("::ffff:10.2.7.1", Some("hall")),
        ("2001:db8::1", Some("all")),
        ("192.0.2.1", None),
    ] {
        assert_eq!(table.of(address.parse().unwrap()), name.map(Word::known), "{address}");
    }
    let mut twice = links;
    let _ = twice.insert(Word::known("south"), link(&["10.3.0.0/16", "10.2.0.0/16"]));
    let problems = conflicts(&twice);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].1.contains("the link north has the subnet 10.2.0.0/16 too"), "{problems:?}");
}

#[test]
fn all_links_together_have_a_bounded_number_of_subnets() {
    let number = |name: u32| {
        let subnets = (0..256).map(|host| Subnet::new(IpAddr::V4((name * 256 + host).into()), 32).unwrap());
        (
            Word::new(&format!("link-{name}")).unwrap(),
            Link::new(subnets.collect(), rate("2 MB/s"), 3).unwrap(),
        )
    };
    let links: BTreeMap<Word, Link> = (0..16).map(number).collect();
    assert_eq!(conflicts(&links), []);
    let links: BTreeMap<Word, Link> = (0..40).map(number).collect();
    let problems = conflicts(&links);
    assert_eq!(problems.len(), 1);
    assert!(problems[0].1.contains("4096"), "{problems:?}");
}
