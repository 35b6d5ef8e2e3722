//! How the computers that run a stopped release come away from it: asked of every computer by the same function as at its
//! contact.
//!
//! Left out on purpose: the agent's own bounds of a rollback. A computer that is told to go back may still refuse, and
//! reports it.

use std::collections::{BTreeMap, BTreeSet};

use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ComputerName, Platform};

use crate::rows::RecipientRow;
use crate::rules::assignment::{Computer, Licensed, TellTo, Told, Undoing, told};
use crate::rules::release::KnownRelease;

/// Names that are kept of each group; the counts are always whole.
pub const MAX_NAMED: usize = 100;

/// Some computers: the first names, and how many they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Named {
    /// The first [`MAX_NAMED`] of them.
    pub names: Vec<ComputerName>,
    /// How many they are.
    pub count: u64,
}

impl Named {
    /// One more.
    pub fn add(&mut self, name: &ComputerName) {
        self.count += 1;
        if self.names.len() < MAX_NAMED {
            self.names.push(name.clone());
        }
    }
}

/// The computers that run a release, by what leads them away from it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Runners {
    /// What they ran before is known here and was not stopped: a halt with a rollback tells them to go back to it.
    pub can_go_back: Named,
    /// A newer release is approved for them: they are told to install it, with or without a rollback.
    pub updating: Named,
    /// Nothing leads them away: they run it until something newer is approved.
    pub cannot_go_back: Named,
}

/// Judges, for the releases of one moment, what leads a computer away from one of them.
#[derive(Debug)]
pub struct Leaving<'a> {
    approved: &'a [KnownRelease],
    /// All releases that a computer may have run before.
    known: &'a [KnownRelease],
    voided: &'a BTreeSet<Sha256Digest>,
}

impl<'a> Leaving<'a> {
    /// `known` are all releases of all packages; `voided` are those above a counter that the vendor reset.
    #[must_use]
    pub const fn new(
        approved: &'a [KnownRelease],
        known: &'a [KnownRelease],
        voided: &'a BTreeSet<Sha256Digest>,
    ) -> Self {
        Self { approved, known, voided }
    }

    /// Puts a computer into its group, if it runs `left`.
    pub fn add(&self, left: &KnownRelease, row: &RecipientRow, runners: &mut Runners) {
        if !row.installed.iter().any(|runs| runs.manifest == left.manifest) {
            return;
        }
        let (licensed, anywhere) = (Licensed::by(&row.grants), Platform::any());
        let computer = Computer {
            channel: &row.channel,
            platform: row.platform.as_ref().unwrap_or(&anywhere),
            licensed: &licensed,
            installed: &row.installed,
            before: &row.before,
            voided: self.voided,
        };
        let attempts = BTreeMap::new();
        let undoing = Undoing {
            left: std::slice::from_ref(left),
            kept: self.known,
            attempts: &attempts,
            back: &attempts,
        };
        let all = told(self.approved, &undoing, &computer);
        let of_package = |told: &&Told<'_>| told.release.release.package == left.release.package;
        match all.iter().find(of_package).map(|told| told.action) {
            Some(TellTo::GoBackFrom(_)) => runners.can_go_back.add(&row.name),
            Some(TellTo::Install) => runners.updating.add(&row.name),
            None => runners.cannot_go_back.add(&row.name),
        }
    }
}
