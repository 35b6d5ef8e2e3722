//! A [`World`] that acts on a ledger, and short questions to it.

use sealpost_ledger::{Ledger, LedgerError};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::grant::Grant;
use sealpost_manifests::ids::ComputerName;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_site::changes::chain::LoggedEntry;
use sealpost_site::commands::clients::EnrollOutcome;
use sealpost_site::commands::contact::ContactOutcome;
use sealpost_site::commands::licenses::GrantAnswer;
use sealpost_site::queries::{
    Activity, ClientByName, Clients, Licenses, ReleaseByManifest, Releases, Restores,
};
use sealpost_site::rows::{ClientRow, LicenseRow, ReleaseRow};
use sealpost_site::rules::restore::RestoreState;
use sealpost_test_support::world::{Computer, World, reserve};

/// What happens often, as one call.
pub(crate) trait WorldExt {
    /// The vendor's grant is accepted.
    async fn accept(&self, ledger: &Ledger, grant: Grant) -> Result<GrantAnswer, LedgerError>;
    /// The first grant is accepted.
    async fn unlock(&self, ledger: &Ledger, seats: u32);
    /// A seat is reserved for a computer, and its setup file issued.
    async fn reserved(&self, ledger: &Ledger, name: &str) -> Computer;
    /// And it is enrolled.
    async fn enrolled(&self, ledger: &Ledger, name: &str) -> Computer;
    /// A computer enrolls, or tries to.
    async fn enrolls(&self, ledger: &Ledger, computer: &Computer) -> Result<EnrollOutcome, LedgerError>;
    /// A computer contacts, and remembers what the answer brought.
    async fn contacts(&self, ledger: &Ledger, computer: &mut Computer, seconds: i64) -> ContactOutcome;
    /// A computer contacts and is refused, or answered without hearing it.
    async fn tries(
        &self,
        ledger: &Ledger,
        computer: &Computer,
        seconds: i64,
    ) -> Result<ContactOutcome, LedgerError>;
    /// A computer contacts and shows what it holds, and remembers what the answer brought.
    async fn goes_on(
        &self,
        ledger: &Ledger,
        computer: &mut Computer,
        seconds: i64,
        new_era: u8,
    ) -> ContactOutcome;
    /// A computer contacts, shows what it holds and is refused, or answered without hearing it.
    async fn tries_to_go_on(
        &self,
        ledger: &Ledger,
        computer: &Computer,
        seconds: i64,
        new_era: u8,
    ) -> Result<ContactOutcome, LedgerError>;
    /// The first pull finds fresh metadata.
    async fn pull(&self, ledger: &Ledger, seconds: i64);
    /// A release is staged and approved.
    async fn approved(&self, ledger: &Ledger, package: &str, counter: u64, channels: &[&str]) -> ReleaseRow;
}

impl WorldExt for World {
    async fn accept(&self, ledger: &Ledger, grant: Grant) -> Result<GrantAnswer, LedgerError> {
        ledger.execute(self.at(1), self.accept_grant(grant)).await
    }

    async fn unlock(&self, ledger: &Ledger, seats: u32) {
        self.accept(ledger, self.grant(1, seats)).await.unwrap();
    }

    async fn reserved(&self, ledger: &Ledger, name: &str) -> Computer {
        let computer = self.computer(name);
        ledger.execute(self.at(2), reserve(name)).await.unwrap();
        ledger.execute(self.at(2), computer.issue_setup()).await.unwrap();
        computer
    }

    async fn enrolled(&self, ledger: &Ledger, name: &str) -> Computer {
        let mut computer = self.reserved(ledger, name).await;
        let outcome = self.enrolls(ledger, &computer).await.unwrap();
        computer.enrolled(&outcome);
        computer
    }

    async fn enrolls(&self, ledger: &Ledger, computer: &Computer) -> Result<EnrollOutcome, LedgerError> {
        ledger.execute(self.at(3), self.enroll(computer)).await
    }

    async fn contacts(&self, ledger: &Ledger, computer: &mut Computer, seconds: i64) -> ContactOutcome {
        let next = self.contact(computer).next;
        let outcome = self.tries(ledger, computer, seconds).await.unwrap();
        computer.answered(next, &outcome);
        outcome
    }

    async fn tries(
        &self,
        ledger: &Ledger,
        computer: &Computer,
        seconds: i64,
    ) -> Result<ContactOutcome, LedgerError> {
        ledger.execute(self.at(seconds), self.answer(computer)).await
    }

    async fn goes_on(
        &self,
        ledger: &Ledger,
        computer: &mut Computer,
        seconds: i64,
        new_era: u8,
    ) -> ContactOutcome {
        let next = self.contact(computer).next;
        let outcome = self.tries_to_go_on(ledger, computer, seconds, new_era).await.unwrap();
        computer.answered(next, &outcome);
        outcome
    }

    async fn tries_to_go_on(
        &self,
        ledger: &Ledger,
        computer: &Computer,
        seconds: i64,
        new_era: u8,
    ) -> Result<ContactOutcome, LedgerError> {
        ledger.execute(self.at(seconds), self.answer_shown(computer, new_era)).await
    }

    async fn pull(&self, ledger: &Ledger, seconds: i64) {
        ledger.execute(self.at(seconds), self.pulled(1)).await.unwrap();
    }

    async fn approved(&self, ledger: &Ledger, package: &str, counter: u64, channels: &[&str]) -> ReleaseRow {
        let staged = self.staged(package, counter, channels);
        let manifest = staged.manifest;
        ledger.execute(self.at(5), staged).await.unwrap();
        ledger.execute(self.at(6), self.approve(manifest)).await.unwrap();
        release(ledger, manifest).await
    }
}

/// Every grant with its counts.
pub(crate) async fn licenses(ledger: &Ledger) -> Vec<LicenseRow> {
    ledger.query(Licenses {}).await.unwrap()
}

/// Where the ledger stands after restores.
pub(crate) async fn restores(ledger: &Ledger) -> RestoreState {
    ledger.query(Restores {}).await.unwrap()
}

/// The first page of reservations.
pub(crate) async fn clients(ledger: &Ledger) -> Vec<ClientRow> {
    ledger.query(Clients::all(None, 1_000)).await.unwrap()
}

/// A reservation that is there.
pub(crate) async fn client(ledger: &Ledger, name: &ComputerName) -> ClientRow {
    find_client(ledger, name).await.unwrap()
}

/// A reservation, if there is one.
pub(crate) async fn find_client(ledger: &Ledger, name: &ComputerName) -> Option<ClientRow> {
    ledger.query(ClientByName { name: name.clone() }).await.unwrap()
}

/// The first page of releases.
pub(crate) async fn releases(ledger: &Ledger) -> Vec<ReleaseRow> {
    ledger.query(Releases { state: None, after: None, limit: 1_000 }).await.unwrap()
}

/// A release that is there.
pub(crate) async fn release(ledger: &Ledger, manifest: Sha256Digest) -> ReleaseRow {
    ledger.query(ReleaseByManifest { manifest }).await.unwrap().unwrap()
}

/// The first page of the log that a filter lets through.
pub(crate) async fn activity(ledger: &Ledger, filter: Activity) -> Vec<LoggedEntry> {
    ledger.query(filter).await.unwrap()
}

/// Entries of one kind.
pub(crate) async fn entries_of(ledger: &Ledger, kind: &str) -> Vec<LoggedEntry> {
    activity(ledger, Activity { kind: Some(kind.into()), ..Activity::default() }).await
}

/// Types of all entries, oldest first.
pub(crate) async fn kinds(ledger: &Ledger) -> Vec<String> {
    kinds_after(ledger, 0).await
}

/// Types of the entries after one of them.
pub(crate) async fn kinds_after(ledger: &Ledger, after: u64) -> Vec<String> {
    let entries = activity(ledger, Activity { after, ..Activity::default() }).await;
    entries.iter().map(|logged| logged.entry.kind().to_owned()).collect()
}

/// The code of a refusal; anything else is a failed test.
pub(crate) fn refused<T: std::fmt::Debug>(result: Result<T, LedgerError>) -> ProblemCode {
    match result {
        Err(LedgerError::Refused(problem)) => {
            assert!(!problem.message.is_empty() && !problem.hint.is_empty(), "{problem:?} says too little");
            problem.code
        }
        other => panic!("expected a refusal, got {other:?}"),
    }
}

/// Nothing was added to the log since.
pub(crate) fn unchanged(ledger: &Ledger, sequence: u64) {
    assert_eq!(ledger.head().size, sequence, "something was logged");
}

/// The whole chain holds.
pub(crate) async fn sound(ledger: &Ledger) {
    let check = ledger.verify_log(Vec::new()).await.unwrap();
    assert_eq!(check.damage, None);
    assert_eq!(check.entries, ledger.head().size);
}
