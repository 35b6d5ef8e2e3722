//! Epochs, orders and signers of what a server signs.

use sealpost_manifests::assignment::Assignment;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::Document;
use sealpost_manifests::lease::Lease;
use sealpost_manifests::order::{Epoch, Order, Signer};

use crate::site::Site;

fn highest(site: &Site) -> Vec<(String, Order)> {
    let last = site.contacts().last().unwrap().clone();
    last.highest.into_iter().map(|(name, order)| (name.to_string(), order)).collect()
}

#[test]
fn an_epoch_counts_only_with_the_grant_that_raised_it_which_may_come_in_the_same_answer() {
    let site = Site::new();
    let agent = site.enrolled();
    agent.cycle();
    site.server.lock().unwrap().epoch = Epoch::of(2, 0);
    let problems = agent.cycle().problems.join(" ");
    assert!(problems.contains("lease of the server was refused"), "{problems}");
    assert!(problems.contains("assignment of the server was refused"), "{problems}");
    assert!(agent.status().lease.live, "the held one stays");
    site.server.lock().unwrap().renew_grant(&site.vendor.license_key, |grant| grant.epoch = Epoch::of(2, 0));
    let cycle = agent.cycle();
    assert!(cycle.problems.is_empty(), "{:?}", cycle.problems);
    agent.cycle();
    assert!(highest(&site).iter().all(|(_, order)| order.epoch == Epoch::of(2, 0)));
}

#[test]
fn a_contact_names_the_order_of_each_type_that_counts_and_of_no_other() {
    let site = Site::new();
    let agent = site.enrolled();
    agent.cycle();
    assert_eq!(highest(&site), []);
    agent.cycle();
    let order = Order { epoch: Epoch::of(1, 0), sequence: 1 };
    assert_eq!(highest(&site), [(Assignment::TYPE.to_owned(), order), (Lease::TYPE.to_owned(), order)]);
    std::fs::remove_file(site.server_record("lease")).unwrap();
    agent.cycle();
    let order = Order { sequence: 2, ..order };
    assert_eq!(highest(&site), [(Assignment::TYPE.to_owned(), order)], "so that the server sends it again");
}

#[test]
fn what_a_standby_server_is_said_to_have_signed_is_refused_with_what_to_do() {
    let site = Site::new();
    let agent = site.enrolled();
    site.server.lock().unwrap().change_lease =
        |lease| lease.signer = Signer::Standby(Sha256Digest::of(b"certificate"));
    let problems = agent.cycle().problems.join(" ");
    assert!(problems.contains("standby server") && problems.contains("update the agent"), "{problems}");
}

#[test]
fn a_grant_that_the_vendor_did_not_sign_changes_nothing() {
    let site = Site::new();
    let agent = site.enrolled();
    agent.cycle();
    let held = std::fs::read(site.server_record("enrollment")).unwrap();
    let good = site.server.lock().unwrap().grants.clone();
    {
        let mut server = site.server.lock().unwrap();
        server.renew_grant(&site.vendor.license_key, |grant| grant.epoch = Epoch::of(9, 0));
        let forged = server.grants[0].document.replace("\"seats\":5", "\"seats\":50");
        server.grants[0].document = forged;
    }
    let problems = agent.cycle().problems.join(" ");
    assert!(problems.contains("a grant of the server was refused"), "{problems}");
    assert_eq!(std::fs::read(site.server_record("enrollment")).unwrap(), held);
    site.server.lock().unwrap().grants = good;
    assert!(agent.cycle().problems.is_empty());
}
