use sealpost_serving::tls::TlsError;

use super::*;

fn owned((before, after): (&str, &str)) -> (String, String) {
    (before.to_owned(), after.to_owned())
}

fn now() -> Timestamp {
    "2026-03-01T00:00:00Z".parse().unwrap()
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// A home with a site CA, and a certificate of it for `pc.example`.
fn home(folder: &Path) -> (Home, ServerId) {
    let (home, id) = (Home::at(folder), ServerId::from_random([1; 16]));
    std::fs::create_dir(folder.join("tls")).unwrap();
    let ca = SiteCa::make(&id, now()).unwrap();
    let leaf = ca.issue(&id, &names(&["pc.example"]), None, now()).unwrap();
    for (path, text) in [
        (home.ca_certificate(), ca.certificate),
        (home.ca_key(), ca.key),
        (home.server_certificate(), leaf.chain),
        (home.server_key(), leaf.key),
    ] {
        std::fs::write(path, text).unwrap();
    }
    (home, id)
}

/// The files of an admin's certificate for `pc.example`, by a CA of their own.
fn own_files(folder: &Path) -> (SiteCa, (PathBuf, PathBuf)) {
    let paths = (folder.join("own.crt"), folder.join("own.key"));
    let ca = SiteCa::make(&ServerId::from_random([2; 16]), now()).unwrap();
    issue_own(&ca, &paths, "pc.example");
    (ca, paths)
}

fn issue_own(ca: &SiteCa, paths: &(PathBuf, PathBuf), name: &str) {
    issue_for(ca, paths, &names(&[name]));
}

fn issue_for(ca: &SiteCa, paths: &(PathBuf, PathBuf), names: &[String]) {
    issue_at(ca, paths, names, now());
}

fn issue_at(ca: &SiteCa, (certificate, key): &(PathBuf, PathBuf), names: &[String], at: Timestamp) {
    let leaf = ca.issue(&ServerId::from_random([2; 16]), names, None, at).unwrap();
    std::fs::write(certificate, leaf.chain).unwrap();
    replace(key, leaf.key.as_bytes(), PRIVATE).unwrap();
}

#[test]
fn a_server_with_a_good_certificate_starts_though_a_new_one_is_due_and_cannot_be_issued() {
    let folder = tempfile::tempdir().unwrap();
    let (home, id) = home(folder.path());
    let key = std::fs::read(home.ca_key()).unwrap();
    std::fs::remove_file(home.ca_key()).unwrap();
    let wanted = Wanted { names: names(&["pc.example", "new.example"]), own: None };
    let opened = Certificates::open(&home, id.clone(), &wanted.names, now()).unwrap();
    assert_eq!(opened.standing().presented.names, ["pc.example"]);
    opened.reconcile(&wanted, Renew::WhatIsDue, now()).unwrap_err();
    assert_eq!(opened.standing().presented.names, ["pc.example"]);
    std::fs::write(home.ca_key(), key).unwrap();
    opened.reconcile(&wanted, Renew::WhatIsDue, now()).unwrap();
    assert_eq!(opened.standing().presented.names, wanted.names);
    // Without a certificate there is nothing to start with.
    std::fs::remove_file(home.server_certificate()).unwrap();
    std::fs::remove_file(home.ca_key()).unwrap();
    Certificates::open(&home, id, &wanted.names, now()).unwrap_err();
}

#[test]
fn trouble_with_the_sites_own_files_holds_up_no_certificate_of_the_admins() {
    let folder = tempfile::tempdir().unwrap();
    let (home, id) = home(folder.path());
    let opened = Certificates::open(&home, id, &names(&["pc.example"]), now()).unwrap();
    std::fs::remove_file(home.ca_key()).unwrap();
    let (ca, paths) = own_files(folder.path());
    let wanted = Wanted { names: names(&["new.example"]), own: Some(paths.clone()) };
    let standing = opened.reconcile(&wanted, Renew::WhatIsDue, now()).unwrap();
    assert_eq!(standing.next.unwrap().issuer, Issuer::Own);
    assert_eq!(standing.problems.len(), 1, "that the site's certificate is due is said");
    assert!(opened.reconcile(&wanted, Renew::Certificate, now()).is_err(), "who asks for it is told");
    opened.switch(&wanted, now()).unwrap();
    // In use, it is renewed without a look at what it needs not.
    issue_own(&ca, &paths, "new.example");
    let standing = opened.reconcile(&wanted, Renew::WhatIsDue, now()).unwrap();
    assert_eq!((standing.presented.names, standing.problems), (names(&["new.example"]), Vec::new()));
}

#[test]
fn an_own_certificate_that_names_not_every_address_is_neither_presented_nor_prepared() {
    let folder = tempfile::tempdir().unwrap();
    let (home, id) = home(folder.path());
    let (ca, paths) = own_files(folder.path());
    let names = names(&["pc.example", "192.0.2.7"]);
    let wanted = Wanted { names, own: Some(paths.clone()) };
    let opened = Certificates::open(&home, id, &wanted.names, now()).unwrap();
    // Of another CA: it does not wait to be switched to.
    let standing = opened.reconcile(&wanted, Renew::WhatIsDue, now()).unwrap();
    assert_eq!((standing.issuer, standing.next), (Issuer::Site, None));
    let [said] = standing.problems.as_slice() else { panic!("{:?}", standing.problems) };
    assert!(said.contains("192.0.2.7") && !said.contains("pc.example,"), "{said}");
    // It waits, and is replaced by one that names less before the switch.
    issue_for(&ca, &paths, &wanted.names);
    assert!(opened.reconcile(&wanted, Renew::WhatIsDue, now()).unwrap().next.is_some());
    issue_own(&ca, &paths, "other.example");
    opened.switch(&wanted, now()).unwrap_err();
    assert_eq!(opened.standing().issuer, Issuer::Site);
    issue_for(&ca, &paths, &wanted.names);
    opened.switch(&wanted, now()).unwrap();
    // Of the CA in use: the one before stays.
    issue_own(&ca, &paths, "other.example");
    let standing = opened.reconcile(&wanted, Renew::WhatIsDue, now()).unwrap();
    assert!(standing.presented.missing(&wanted.names).is_empty());
    assert!(standing.problems[0].contains("pc.example, 192.0.2.7"), "{:?}", standing.problems);
    // What the one in use does not name either keeps no renewed one from being taken.
    let more = Wanted { names: [&wanted.names[..], &["new.example".to_owned()]].concat(), ..wanted.clone() };
    let later = now() + SignedDuration::from_hours(24 * 30);
    issue_at(&ca, &paths, &wanted.names, later);
    let before = opened.standing().presented.not_after;
    let standing = opened.reconcile(&more, Renew::WhatIsDue, later).unwrap();
    assert!(standing.presented.not_after > before && standing.problems.is_empty());
}

#[test]
fn a_key_that_everybody_can_read_is_warned_of_and_one_that_others_can_write_is_not_taken() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let (home, id) = home(folder.path());
    let (_, paths) = own_files(folder.path());
    let wanted = Wanted { names: names(&["pc.example"]), own: Some(paths.clone()) };
    let opened = Certificates::open(&home, id, &wanted.names, now()).unwrap();
    for (mode, is_taken) in [(0o644, true), (0o666, false)] {
        std::fs::set_permissions(&paths.1, std::fs::Permissions::from_mode(mode)).unwrap();
        let standing = opened.reconcile(&wanted, Renew::WhatIsDue, now()).unwrap();
        assert_eq!(standing.next.is_some(), is_taken, "{mode:o}");
        let [said] = standing.problems.as_slice() else { panic!("{:?}", standing.problems) };
        assert!(said.contains("chmod 600"), "{said}");
    }
}

#[test]
fn a_switch_of_the_ca_that_failed_halfway_is_ended_by_the_next_turn() {
    let folder = tempfile::tempdir().unwrap();
    let (home, id) = home(folder.path());
    let wanted = Wanted { names: names(&["pc.example"]), own: None };
    let opened = Certificates::open(&home, id, &wanted.names, now()).unwrap();
    let next = opened.reconcile(&wanted, Renew::SiteCa, now()).unwrap().next.unwrap().pin;
    std::fs::rename(home.next_ca_key(), home.ca_key()).unwrap();
    let standing = opened.reconcile(&wanted, Renew::WhatIsDue, now()).unwrap();
    assert_eq!((standing.presented.pin, standing.next), (next, None));
}

#[test]
fn an_address_with_a_dot_at_its_end_is_issued_once() {
    let folder = tempfile::tempdir().unwrap();
    let (home, id) = home(folder.path());
    let wanted = Wanted { names: names(&["dotted.example."]), own: None };
    let opened = Certificates::open(&home, id, &wanted.names, now()).unwrap();
    opened.reconcile(&wanted, Renew::WhatIsDue, now()).unwrap();
    let issued = std::fs::read(home.server_certificate()).unwrap();
    opened.reconcile(&wanted, Renew::WhatIsDue, now()).unwrap();
    assert_eq!(std::fs::read(home.server_certificate()).unwrap(), issued);
    assert_eq!(opened.standing().presented.names, ["dotted.example"]);
}

#[test]
fn an_own_certificate_that_computers_would_refuse_or_that_never_comes_is_not_taken() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (id, now) = (ServerId::from_random([1; 16]), "2026-03-01T00:00:00Z".parse().unwrap());
    for name in ["old", "new"] {
        let ca = SiteCa::make(&id, now).unwrap();
        let leaf = ca.issue(&id, &["pc.example".to_owned()], None, now).unwrap();
        std::fs::write(path(&format!("{name}.crt")), leaf.chain).unwrap();
        std::fs::write(path(&format!("{name}.key")), leaf.key).unwrap();
    }
    let taken = |certificate: &str, key: &str| own(&path(certificate), &path(key), now);
    assert!(taken("old.crt", "old.key").is_ok());
    assert!(matches!(taken("new.crt", "old.key"), Err(PresenceError::Tls(_))));
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, path("pipe"), fifo, 0o600.into(), 0).unwrap();
    std::os::unix::fs::symlink("/dev/zero", path("endless")).unwrap();
    // A CA that was made anew has the same name, and did not sign the certificate.
    let text = |name: &str| std::fs::read_to_string(path(name)).unwrap();
    let (leaf, _) = text("old.crt").split_once("-----END CERTIFICATE-----\n").map(owned).unwrap();
    let (_, other_ca) = text("new.crt").split_once("-----END CERTIFICATE-----\n").map(owned).unwrap();
    let mixed = format!("{leaf}-----END CERTIFICATE-----\n{other_ca}");
    assert!(ChainFacts::of(&mixed).unwrap().is_linked);
    std::fs::write(path("mixed.crt"), mixed).unwrap();
    let refused = taken("mixed.crt", "old.key").unwrap_err();
    assert!(matches!(refused, PresenceError::Tls(TlsError::NotIssued { .. })), "{refused}");
    let long = format!("{}{}", text("old.crt"), other_ca.repeat(8));
    std::fs::write(path("long.crt"), long).unwrap();
    assert!(matches!(taken("long.crt", "old.key"), Err(PresenceError::Own { .. })));
    for odd in ["pipe", "endless", "absent"] {
        assert!(matches!(taken(odd, "old.key"), Err(PresenceError::Own { .. })), "{odd}");
        assert!(matches!(taken("old.crt", odd), Err(PresenceError::Own { .. })), "{odd}");
    }
}
