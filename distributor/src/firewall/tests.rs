use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use sealpost_site::rules::rollouts::links::Subnet;

use super::*;

/// What nft 1.0.6 lists of a computer with our table and with a table of an admin, some of it left out.
fn listed_by_nft(own: &str, rules: &str, policy: &str) -> String {
    let admins = [
        r#"{"metainfo": {"version": "1.0.6", "release_name": "Lester Gooch #5", "json_schema_version": 1}}"#,
        r#"{"table": {"family": "ip", "name": "filter", "handle": 3}}"#,
        r#"{"chain": {"family": "ip", "table": "filter", "name": "x", "handle": 1}}"#,
    ];
    let input = format!(
        r#"{{"chain": {{"family": "ip", "table": "filter", "name": "input", "handle": 2, "type": "filter", "hook": "input", "prio": 0, "policy": "{policy}"}}}}"#
    );
    let rules = rules.lines().map(|expr| {
        let (chain, expr) = expr.split_once(' ').unwrap();
        format!(r#"{{"rule": {{"family": "ip", "table": "filter", "chain": "{chain}", "handle": 3, "expr": {expr}}}}}"#)
    });
    let own = own.lines().map(str::to_owned);
    let all: Vec<String> =
        admins.map(str::to_owned).into_iter().chain([input]).chain(rules).chain(own).collect();
    format!("{{\"nftables\": [{}]}}", all.join(", "))
}

const OWN_FOR_SUBNETS: &str = r#"{"table": {"family": "inet", "name": "sealpost", "handle": 4}}
{"chain": {"family": "inet", "table": "sealpost", "name": "input", "handle": 1, "type": "filter", "hook": "input", "prio": -10, "policy": "accept"}}
{"rule": {"family": "inet", "table": "sealpost", "chain": "input", "handle": 2, "comment": "sealpost", "expr": [{"match": {"op": "==", "left": {"meta": {"key": "iif"}}, "right": "lo"}}, {"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 16770}}, {"accept": null}]}}
{"rule": {"family": "inet", "table": "sealpost", "chain": "input", "handle": 4, "comment": "sealpost", "expr": [{"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": {"set": [{"prefix": {"addr": "10.1.0.0", "len": 16}}, "10.9.9.9"]}}}, {"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 16770}}, {"accept": null}]}}
{"rule": {"family": "inet", "table": "sealpost", "chain": "input", "handle": 5, "comment": "sealpost", "expr": [{"match": {"op": "==", "left": {"payload": {"protocol": "ip6", "field": "saddr"}}, "right": {"prefix": {"addr": "fd00::", "len": 8}}}}, {"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 16770}}, {"accept": null}]}}
{"rule": {"family": "inet", "table": "sealpost", "chain": "input", "handle": 7, "comment": "sealpost", "expr": [{"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 16770}}, {"drop": null}]}}"#;
const OWN_FOR_ALL: &str = r#"{"table": {"family": "inet", "name": "sealpost", "handle": 4}}
{"chain": {"family": "inet", "table": "sealpost", "name": "input", "handle": 1, "type": "filter", "hook": "input", "prio": -10, "policy": "accept"}}
{"rule": {"family": "inet", "table": "sealpost", "chain": "input", "handle": 2, "comment": "sealpost", "expr": [{"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 16770}}, {"accept": null}]}}"#;

fn nft(own: &str, rules: &str, policy: &str) -> Seen {
    Seen::Nft(nft::parse(&listed_by_nft(own, rules, policy), false).unwrap())
}

fn subnets(texts: &[&str]) -> Vec<Subnet> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn open(from: &[&str]) -> Change {
    Change::Open(Opening::new(16770, &subnets(from)).unwrap())
}

fn planned(seen: &Seen, change: &Change) -> Vec<String> {
    seen.plan(change).unwrap().iter().map(ToString::to_string).collect()
}

#[test]
fn nftables_gets_a_table_of_its_own_in_one_transaction_and_loses_that_table_alone() {
    let none = nft("", "", "accept");
    assert_eq!(
        planned(&none, &open(&[])),
        ["nft -f - <<'END'
table inet sealpost
delete table inet sealpost
table inet sealpost {
\tchain input {
\t\ttype filter hook input priority -10; policy accept;
\t\ttcp dport 16770 accept comment \"sealpost\"
\t}
}
END"]
    );
    let from = open(&["fd00::/8", "10.1.0.0/16", "10.9.9.9/32", "10.1.2.0/24"]);
    assert_eq!(
        planned(&none, &from),
        ["nft -f - <<'END'
table inet sealpost
delete table inet sealpost
table inet sealpost {
\tchain input {
\t\ttype filter hook input priority -10; policy accept;
\t\tiif \"lo\" tcp dport 16770 accept comment \"sealpost\"
\t\tip saddr { 10.1.0.0/16, 10.9.9.9/32 } tcp dport 16770 accept comment \"sealpost\"
\t\tip6 saddr { fd00::/8 } tcp dport 16770 accept comment \"sealpost\"
\t\ttcp dport 16770 drop comment \"sealpost\"
\t}
}
END"]
    );
    let all_of_a_version = planned(&none, &open(&["0.0.0.0/0", "fd00::/8"]));
    assert!(
        all_of_a_version[0].contains("\t\tmeta nfproto ipv4 tcp dport 16770 accept"),
        "{all_of_a_version:?}"
    );
    assert!(planned(&none, &Change::Close { port: 16770 }).is_empty());
    let opened = nft(OWN_FOR_SUBNETS, "", "accept");
    assert!(planned(&opened, &from).is_empty(), "a second time changes nothing");
    assert_eq!(planned(&opened, &open(&[])).len(), 1);
    assert_eq!(planned(&opened, &Change::Close { port: 16770 }), ["nft delete table inet sealpost"]);
    let other = opened.plan(&Change::Close { port: 443 }).unwrap_err().to_string();
    assert!(other.contains("`--port 16770`"), "{other}");
    assert_eq!(
        opened.report(16770).standing,
        Standing::Only(subnets(&["10.1.0.0/16", "10.9.9.9/32", "fd00::/8"]))
    );
    assert_eq!(nft(OWN_FOR_ALL, "", "accept").report(16770).standing, Standing::Everybody);
    let other = nft(OWN_FOR_ALL, "", "accept").report(443);
    assert_eq!(other.standing, Standing::NotOpened);
    assert!(other.notes[0].contains("about port 16770"), "{other:?}");
}

#[test]
fn subnets_that_touch_each_other_are_joined_as_nftables_joins_them() {
    for (given, canonical, range) in [
        (
            ["10.1.0.0/24", "10.1.1.0/24", "10.1.2.0/24"],
            vec!["10.1.0.0/23", "10.1.2.0/24"],
            ("10.1.0.0", "10.1.2.255"),
        ),
        (
            ["10.1.0.2/31", "10.1.0.1/32", "10.1.0.3/32"],
            vec!["10.1.0.1/32", "10.1.0.2/31"],
            ("10.1.0.1", "10.1.0.3"),
        ),
        (
            ["fd00::/64", "fd00:0:0:1::/64", "fd00:0:0:2::/64"],
            vec!["fd00::/63", "fd00:0:0:2::/64"],
            ("fd00::", "fd00::2:ffff:ffff:ffff:ffff"),
        ),
        (["128.0.0.0/1", "0.0.0.0/1", "10.0.0.0/8"], vec!["0.0.0.0/0"], ("0.0.0.0", "255.255.255.255")),
        (["8000::/1", "::/1", "::/1"], vec!["::/0"], ("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")),
    ] {
        let opening = Opening::new(16770, &subnets(&given)).unwrap();
        assert_eq!(opening.from(), subnets(&canonical));
        let list = format!(r#"{{"set": [{{"range": ["{}", "{}"]}}]}}"#, range.0, range.1);
        let own = OWN_FOR_SUBNETS.lines().filter(|line| !line.contains("ip6"));
        let own = own.map(|line| {
            line.replace(r#"{"set": [{"prefix": {"addr": "10.1.0.0", "len": 16}}, "10.9.9.9"]}"#, &list)
        });
        let seen = nft(&own.collect::<Vec<_>>().join("\n"), "", "accept");
        assert_eq!(seen.report(16770).standing, Standing::Only(subnets(&canonical)), "{given:?}");
        assert!(planned(&seen, &open(&given)).is_empty(), "{given:?}");
    }
    let neighbors = ["10.1.1.0/24", "10.1.2.0/24"];
    assert_eq!(Opening::new(16770, &subnets(&neighbors)).unwrap().from(), subnets(&neighbors));
}

#[test]
fn a_table_of_our_name_with_anything_that_is_not_ours_is_left_alone() {
    let without_comment = OWN_FOR_ALL.replace(r#""comment": "sealpost", "#, "");
    let another_chain = OWN_FOR_ALL.replace(r#""name": "input""#, r#""name": "forward""#);
    let a_set = format!(
        "{OWN_FOR_ALL}\n{}",
        r#"{"set": {"family": "inet", "name": "admins", "table": "sealpost", "type": "ipv4_addr"}}"#
    );
    let another_rule = OWN_FOR_ALL.replace(r#"{"accept": null}"#, r#"{"masquerade": null}"#);
    let another_port =
        format!("{OWN_FOR_ALL}\n{}", OWN_FOR_ALL.lines().last().unwrap().replace("16770", "22"));
    let closed = OWN_FOR_ALL.replace(r#"{"accept": null}"#, r#"{"drop": null}"#);
    let empty = OWN_FOR_ALL.lines().next().unwrap().to_owned();
    for own in [without_comment, another_chain, a_set, another_rule, another_port, closed, empty] {
        let seen = nft(&own, "", "accept");
        for change in [open(&[]), Change::Close { port: 16770 }] {
            assert!(matches!(seen.plan(&change), Err(PlanError::Foreign(_))), "{own}");
        }
        assert!(matches!(seen.report(16770).standing, Standing::Unclear(_)), "{own}");
    }
}

#[test]
fn what_is_no_list_of_nftables_is_refused() {
    for text in ["", "nonsense", "[]", "{}", "{\"nftables\": 1}", &"[".repeat(100_000)] {
        nft::parse(text, false).unwrap_err();
    }
    let odd = "{\"nftables\": [1, null, {\"rule\": 7}, {\"chain\": {\"name\": 3}}, {\"table\": []}]}";
    nft::parse(odd, false).unwrap();
}

/// What is told of the table of an admin with these rules.
fn told(rules: &str, policy: &str) -> (Vec<String>, Vec<String>) {
    let report = nft(OWN_FOR_SUBNETS, rules, policy).report(16770);
    (report.obstacles, report.notes)
}

#[test]
fn a_chain_that_drops_the_port_is_named_with_its_table_and_what_to_type() {
    let established = r#"input [{"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": ["established", "related"]}}, {"accept": null}]
input [{"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "lo"}}, {"accept": null}]
input [{"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": {"set": [22, {"range": [80, 90]}]}}}, {"accept": null}]
input [{"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "protocol"}}, "right": "icmp"}}, {"accept": null}]"#;
    let rejects = format!(
        "{established}\ninput {}",
        r#"[{"counter": {"packets": 0, "bytes": 0}}, {"reject": {"type": "icmp", "expr": "port-unreachable"}}]"#
    );
    let by_map = r#"input [{"vmap": {"key": {"ct": {"key": "state"}}, "data": {"set": [["invalid", {"drop": null}], ["new", {"jump": {"target": "x"}}]]}}}]
x [{"vmap": {"key": {"payload": {"protocol": "tcp", "field": "dport"}}, "data": {"set": [[22, {"accept": null}], [16770, {"drop": null}]]}}}]"#;
    let other_than = r#"input [{"match": {"op": "!=", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 22}}, {"drop": null}]"#;
    for (rules, policy) in [
        ("", "drop"),
        (established, "drop"),
        (&rejects, "accept"),
        (by_map, "accept"),
        (other_than, "accept"),
    ] {
        let (obstacles, _) = told(rules, policy);
        assert_eq!(
            obstacles,
            [
                "the table ip filter has a chain input that drops connections to port 16770, whatever another table accepts; to open \
              it there too: `nft insert rule ip filter input ip saddr '{ 10.1.0.0/16, 10.9.9.9/32 }' tcp dport 16770 accept`"
            ],
            "{rules}"
        );
    }
    // The same chain concerns nobody who comes over the other version of IP.
    let Seen::Nft(seen) = nft("", established, "drop") else { unreachable!() };
    let seen = Seen::Nft(seen);
    assert_eq!(seen.report(16770).obstacles.len(), 1);
    assert!(seen.report(85).obstacles.is_empty(), "it accepts ports 80 to 90");
}

#[test]
fn a_chain_that_lets_the_port_through_is_not_named_and_one_with_conditions_is_a_note() {
    let accepts = r#"input [{"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": {"range": [16000, 17000]}}}, {"accept": null}]
input [{"drop": null}]"#;
    let jumps = r#"input [{"counter": {"packets": 1, "bytes": 2}}, {"jump": {"target": "x"}}]
x [{"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 16770}}, {"accept": null}]"#;
    let of_udp = r#"input [{"match": {"op": "==", "left": {"payload": {"protocol": "udp", "field": "dport"}}, "right": 16770}}, {"drop": null}]"#;
    for (rules, policy) in [("", "accept"), (accepts, "drop"), (jumps, "drop"), (of_udp, "accept")] {
        assert_eq!(told(rules, policy), (Vec::new(), Vec::new()), "{rules}");
    }
    let from_somewhere = r#"input [{"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": "10.0.0.1"}}, {"accept": null}]"#;
    let named_set = r#"input [{"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": "@open"}}, {"accept": null}]"#;
    let not_from_there = r#"input [{"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": "10.0.0.1"}}, {"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 16770}}, {"drop": null}]"#;
    for (rules, policy) in [(from_somewhere, "drop"), (named_set, "drop"), (not_from_there, "accept")] {
        let (obstacles, notes) = told(rules, policy);
        assert!(obstacles.is_empty(), "{obstacles:?}");
        assert!(notes[0].contains("`nft list chain ip filter input`"), "{notes:?}");
    }
}

#[test]
fn chains_that_call_each_other_without_end_are_judged_in_bounded_time() {
    let circle = "input [{\"jump\": {\"target\": \"x\"}}]\n".repeat(40)
        + &"x [{\"jump\": {\"target\": \"x\"}}]\n".repeat(40);
    let (obstacles, notes) = told(circle.trim_end(), "drop");
    assert!(obstacles.is_empty() && notes.len() == 1, "{obstacles:?} {notes:?}");
}

/// What ufw 0.36.2 prints.
fn ufw(default: &str, rules: &str) -> Seen {
    let status = format!(
        "Status: active\nLogging: on (low)\nDefault: {default} (incoming), allow (outgoing), disabled (routed)\nNew profiles: skip\n"
    );
    assert!(ufw::is_active(&status));
    let added = format!("Added user rules (see 'ufw status' for running firewall):\n{rules}");
    Seen::Ufw(ufw::parse(&status, &added))
}

#[test]
fn ufw_gets_rules_with_our_comment_and_loses_those_alone() {
    assert!(!ufw::is_active("Status: inactive\n"));
    let none = ufw("deny", "ufw limit 22/tcp\n");
    assert_eq!(planned(&none, &open(&[])), ["ufw allow 16770/tcp comment sealpost"]);
    let from = open(&["10.1.0.0/16", "10.9.9.9/32", "fd00::/8"]);
    let added = [
        "ufw allow proto tcp from 10.1.0.0/16 to any port 16770 comment sealpost",
        "ufw allow proto tcp from 10.9.9.9/32 to any port 16770 comment sealpost",
        "ufw allow proto tcp from fd00::/8 to any port 16770 comment sealpost",
    ];
    assert_eq!(planned(&none, &from), added);
    // Where ufw lets in what no rule is about, the rest is denied behind them.
    let denied = "ufw deny 16770/tcp comment sealpost";
    assert_eq!(planned(&ufw("allow", ""), &from), [added.as_slice(), &[denied]].concat());

    let there = "ufw allow from 10.1.0.0/16 to any port 16770 proto tcp comment 'sealpost'\nufw allow from 10.9.9.9 to any port \
                 16770 proto tcp comment 'sealpost'\nufw allow from fd00::/8 to any port 16770 proto tcp comment 'sealpost'\n";
    let opened = ufw("deny", there);
    assert!(planned(&opened, &from).is_empty(), "a second time changes nothing");
    assert_eq!(
        planned(&opened, &open(&["10.1.0.0/16", "10.2.0.0/16"])),
        [
            "ufw delete allow proto tcp from 10.9.9.9/32 to any port 16770",
            "ufw delete allow proto tcp from fd00::/8 to any port 16770",
            "ufw allow proto tcp from 10.2.0.0/16 to any port 16770 comment sealpost",
        ]
    );
    assert_eq!(
        opened.report(16770).standing,
        Standing::Only(subnets(&["10.1.0.0/16", "10.9.9.9/32", "fd00::/8"]))
    );
    assert_eq!(planned(&opened, &Change::Close { port: 16770 }).len(), 3);
    assert!(planned(&opened, &Change::Close { port: 443 }).is_empty());
    let moved = planned(
        &ufw("allow", &format!("{there}ufw deny 16770/tcp comment 'sealpost'\n")),
        &open(&["10.1.0.0/16", "::/0"]),
    );
    assert_eq!(moved.first().unwrap(), "ufw delete allow proto tcp from 10.9.9.9/32 to any port 16770");
    assert_eq!(moved.last().unwrap(), denied, "{moved:?}");
    assert!(moved.contains(&"ufw delete deny 16770/tcp".to_owned()), "{moved:?}");
}

#[test]
fn rules_of_others_at_ufw_are_named_and_neither_changed_nor_taken_over() {
    let by_hand =
        ufw("deny", "ufw allow 16770/tcp\nufw allow 22/tcp comment 'sealpost'\nufw allow 167/tcp\n");
    assert!(planned(&by_hand, &open(&[])).is_empty(), "it would get our comment");
    assert!(planned(&by_hand, &Change::Close { port: 16770 }).is_empty());
    let report = by_hand.report(16770);
    assert_eq!(report.standing, Standing::NotOpened);
    assert_eq!(report.notes, ["ufw has another rule about port 16770: `ufw allow 16770/tcp`"]);
    let there = "ufw deny 16770\nufw allow 16770/tcp\nufw allow from 10.1.0.0/16 to any port 16770 proto tcp comment 'sealpost'\n";
    let obstacles = ufw("allow", there).report(16770).obstacles;
    assert_eq!(obstacles.len(), 3, "{obstacles:?}");
    assert!(obstacles[0].contains("`ufw delete deny 16770`"), "{obstacles:?}");
    assert!(
        obstacles[1].contains("not only the subnets")
            && obstacles[1].contains("`ufw delete allow 16770/tcp`")
    );
    assert!(obstacles[2].contains("`ufw default deny incoming`"), "{obstacles:?}");
}

const RICH: &str =
    "rule family=\"ipv4\" source address=\"10.1.0.0/16\" port port=\"16770\" protocol=\"tcp\" accept";

/// What firewall-cmd 1.3 answers, in the order in which it is asked.
fn firewalld(ports: &str, rich: &str, kept_ports: &str, kept_rich: &str, target: &str) -> Seen {
    let zones = "internal\n  interfaces: eth1\npublic (default)\n  interfaces: eth0\n";
    let said = [ports, rich, kept_ports, kept_rich, target, zones].map(|said| format!("{said}\n"));
    Seen::Firewalld(firewalld::parse("public".to_owned(), &said))
}

#[test]
fn firewalld_gets_the_port_in_the_default_zone_now_and_for_good_without_a_reload() {
    let none = firewalld("22/tcp", "", "22/tcp", "", "default");
    assert_eq!(
        planned(&none, &open(&[])),
        [
            "firewall-cmd --zone=public --add-port=16770/tcp",
            "firewall-cmd --permanent --zone=public --add-port=16770/tcp"
        ]
    );
    let from = open(&["10.1.0.0/16"]);
    let opened = firewalld("22/tcp 16770/tcp", "", "22/tcp 16770/tcp", "", "default");
    assert_eq!(
        planned(&opened, &from),
        [
            format!("firewall-cmd --zone=public '--add-rich-rule={RICH}'"),
            "firewall-cmd --zone=public --remove-port=16770/tcp".to_owned(),
            format!("firewall-cmd --permanent --zone=public '--add-rich-rule={RICH}'"),
            "firewall-cmd --permanent --zone=public --remove-port=16770/tcp".to_owned(),
        ]
    );
    assert_eq!(opened.report(16770).standing, Standing::Everybody);
    let only = firewalld("22/tcp", RICH, "22/tcp", RICH, "default");
    assert!(planned(&only, &from).is_empty(), "a second time changes nothing");
    assert_eq!(only.report(16770).standing, Standing::Only(subnets(&["10.1.0.0/16"])));
    let closed = planned(&only, &Change::Close { port: 16770 });
    assert_eq!(closed[1], format!("firewall-cmd --permanent --zone=public '--remove-rich-rule={RICH}'"));
    let notes = only.report(16770).notes;
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(notes[0].contains("default zone, public") && notes[1].contains("(internal)"), "{notes:?}");
    let forgotten = firewalld("16770/tcp", "", "", "", "default").report(16770).notes;
    assert!(forgotten.iter().any(|note| note.contains("after a restart of firewalld")), "{forgotten:?}");
    let wide = firewalld("16000-17000/tcp", RICH, "16000-17000/tcp", RICH, "ACCEPT").report(16770).obstacles;
    assert_eq!(wide.len(), 2, "{wide:?}");
}

#[test]
fn the_name_of_a_zone_is_no_option_and_no_text() {
    assert_eq!(firewalld::zone_name("public\n").as_deref(), Some("public"));
    for said in ["", "\n", "--panic-on", "a b", "x;y", &"z".repeat(65)] {
        assert_eq!(firewalld::zone_name(said), None, "{said}");
    }
}

fn lay(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test]
async fn a_tool_that_others_may_change_that_fails_or_prints_without_end_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let tools = Tools::on(Some(folder.path().as_os_str()));
    let looked = async |script: &str| {
        lay(folder.path(), "firewall-cmd", &format!("#!/bin/sh\n{script}\n"));
        tools.look().await.unwrap_err().to_string()
    };
    let said = looked("[ $1 = --state ] && echo running && exit; echo no bus >&2; exit 3").await;
    assert!(
        said.contains("`firewall-cmd --get-default-zone` ended with") && said.contains("no bus"),
        "{said}"
    );
    let said = looked("[ $1 = --state ] && echo running && exit; echo --panic-on").await;
    assert!(said.contains("no name of a zone"), "{said}");
    let said = looked("exec cat /dev/zero").await;
    assert!(said.contains("prints more than 8 MiB"), "{said}");
    fs::set_permissions(folder.path().join("firewall-cmd"), fs::Permissions::from_mode(0o777)).unwrap();
    let error = tools.look().await.unwrap_err();
    assert!(matches!(error, ToolError::Ownership { .. }), "{error}");
}
