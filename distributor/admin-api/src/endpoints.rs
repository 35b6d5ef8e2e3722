//! The table of contents of the admin API: each endpoint with its method, its path and the permission that it needs.
//!
//! Invariant: an endpoint that is not in [`Endpoint::all`] does not exist; the server makes its routes from this table.

use sealpost_site::rules::access::Permission;

/// The prefix of every path.
pub const PREFIX: &str = "/api/v1";

/// How an endpoint is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Reads; may be repeated at will.
    Get,
    /// Changes something; safe to send again.
    Post,
}

/// One endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// The License Summary, the last pull, warnings.
    ShowStatus,
    /// Pull now, and wait for the result.
    Pull,
    /// A page of releases.
    ListUpdates,
    /// One release, as a reviewer sees it.
    ShowUpdate,
    /// Approve a manifest digest.
    ApproveUpdate,
    /// Reject a manifest digest.
    RejectUpdate,
    /// Stop a manifest digest after its approval.
    HaltUpdate,
    /// Stage again what was rejected or halted.
    ReconsiderUpdate,
    /// Let computers try a release again.
    RetryUpdate,
    /// Load a release on the server again, or let it through without that.
    TestUpdate,
    /// A page of reservations.
    ListClients,
    /// A page of the list of computers, by what is wanted of them and in an order.
    ListClientLines,
    /// Call computers, and wait for their contacts.
    VerifyClients,
    /// Take a seat for a name.
    ReserveClient,
    /// Take seats for many names.
    ReserveClients,
    /// One reservation, with explanations.
    ShowClient,
    /// Issue a setup file.
    IssueSetup,
    /// Make an install file.
    MakeInstaller,
    /// Issue setup files for many computers.
    IssueSetups,
    /// Where the newest setup file of each name stands.
    ListSetups,
    /// Plan an install, or call it off.
    ScheduleInstall,
    /// The installs that are planned.
    ListSchedules,
    /// Begin a planned install, or say what became of it.
    RunInstall,
    /// The setup file with which any computer asks to be admitted; nothing in it is secret.
    ShowKnockSetup,
    /// Computers that asked to be enrolled and wait.
    ListPending,
    /// Admit one of them by its key.
    AdmitClient,
    /// Move a computer to another channel.
    MoveClient,
    /// Say which of two computers with one identity goes on.
    ResolveClient,
    /// Make a registration for a serial number.
    Register,
    /// Bring in a grant.
    Unlock,
    /// Read the activity log.
    ReadLog,
    /// Check the activity log.
    VerifyLog,
    /// A proof that an entry stands in the log.
    ProveEntry,
    /// The signed head of the log, for whoever keeps it.
    ReadCheckpoint,
    /// The certificate that the server presents.
    ShowCertificate,
    /// Make a certificate anew.
    RenewCertificate,
    /// Present the certificate that waits.
    SwitchCertificate,
    /// The ways to the server that computers are told.
    ShowAddresses,
    /// Stop serving the ways before.
    FinishAddresses,
    /// What the server stores.
    ShowStorage,
    /// Remove what nothing needs.
    CleanStorage,
    /// Compare every stored file with its digest.
    CheckStorage,
    /// Make a token for an admin who comes over the network.
    MakeToken,
    /// Revoke such a token.
    RevokeToken,
    /// Say in the log that a backup is being made.
    NoteBackup,
    /// The whole log as a file that can be checked without the server.
    ExportLog,
    /// Somebody has seen that the ledger was restored, cut or rewritten.
    AcknowledgeRestore,
    /// A page of rollouts.
    ListRollouts,
    /// One rollout, with a look at all computers.
    ShowRollout,
    /// What became of a rollout on each computer.
    ReportRollout,
    /// Pause a rollout, let it go on, open its next ring, end it, or give it another strategy.
    SteerRollout,
    /// What another strategy would have made of the rollouts that happened.
    SimulateRollouts,
    /// How old the signature files are that computers run.
    ShowContent,
    /// What goes over each link.
    ListLinks,
    /// Who downloads over a link, and who waits.
    ShowLink,
    /// What the site sets.
    ShowSettings,
    /// Everything that the site sets, as it was at one moment.
    ExportSettings,
    /// Change settings, and whom groups list.
    ChangeSettings,
    /// Compare a whole configuration with what the site has.
    PlanSettings,
    /// Take a whole configuration.
    ApplySettings,
    /// Groups, with their computers.
    ListGroups,
    /// The computers that a group lists.
    ListMembers,
    /// List computers in a group, or take them from its list.
    ChangeMembers,
    /// Answer the file of a computer without a network.
    AnswerFile,
    /// Bring a folder for such computers up to date.
    SyncFolder,
    /// What waits for a second person, and the rules of approvals.
    ListApprovals,
    /// The second person agrees.
    ConfirmProposal,
    /// Somebody takes it back.
    WithdrawProposal,
    /// Put the decision about a release off.
    DeferUpdate,
    /// Accounts, with their tokens.
    ListAccounts,
    /// Add an account.
    AddAccount,
    /// Refuse the tokens of an account from now on.
    DisableAccount,
    /// Admit them again.
    EnableAccount,
    /// Make another token in the place of the one that is sent.
    RenewToken,
}

/// A line of the table.
struct Line(Endpoint, Method, &'static str, Permission);

/// The table.
const TABLE: [Line; 74] = [
    Line(Endpoint::ShowStatus, Method::Get, "/api/v1/status", Permission::ViewStatus),
    Line(Endpoint::Pull, Method::Post, "/api/v1/pull", Permission::Pull),
    Line(Endpoint::ListUpdates, Method::Get, "/api/v1/updates", Permission::ViewUpdates),
    Line(Endpoint::ShowUpdate, Method::Get, "/api/v1/updates/{manifest}", Permission::ViewUpdates),
    Line(Endpoint::ApproveUpdate, Method::Post, "/api/v1/updates/approve", Permission::DecideUpdates),
    Line(Endpoint::RejectUpdate, Method::Post, "/api/v1/updates/reject", Permission::DecideUpdates),
    Line(Endpoint::HaltUpdate, Method::Post, "/api/v1/updates/halt", Permission::DecideUpdates),
    Line(Endpoint::ReconsiderUpdate, Method::Post, "/api/v1/updates/reconsider", Permission::DecideUpdates),
    Line(Endpoint::RetryUpdate, Method::Post, "/api/v1/updates/retry", Permission::DecideUpdates),
    Line(Endpoint::TestUpdate, Method::Post, "/api/v1/updates/test-load", Permission::DecideUpdates),
    Line(Endpoint::ListClients, Method::Get, "/api/v1/clients", Permission::ViewClients),
    Line(Endpoint::ListClientLines, Method::Get, "/api/v1/client-lines", Permission::ViewClients),
    Line(Endpoint::VerifyClients, Method::Post, "/api/v1/clients/verify", Permission::ViewClients),
    Line(Endpoint::ReserveClient, Method::Post, "/api/v1/clients", Permission::ReserveSeats),
    Line(Endpoint::ReserveClients, Method::Post, "/api/v1/clients/reserve", Permission::ReserveSeats),
    Line(Endpoint::ShowClient, Method::Get, "/api/v1/clients/{name}", Permission::ViewClients),
    Line(Endpoint::IssueSetup, Method::Post, "/api/v1/clients/{name}/setup", Permission::IssueSetups),
    Line(Endpoint::MakeInstaller, Method::Post, "/api/v1/clients/{name}/installer", Permission::IssueSetups),
    Line(Endpoint::IssueSetups, Method::Post, "/api/v1/setups", Permission::IssueSetups),
    Line(Endpoint::ListSetups, Method::Get, "/api/v1/setups", Permission::ViewClients),
    Line(Endpoint::ScheduleInstall, Method::Post, "/api/v1/clients/{name}/schedule", Permission::IssueSetups),
    Line(Endpoint::ListSchedules, Method::Get, "/api/v1/schedules", Permission::ViewClients),
    Line(Endpoint::RunInstall, Method::Post, "/api/v1/clients/{name}/install", Permission::IssueSetups),
    Line(Endpoint::ShowKnockSetup, Method::Get, "/api/v1/setups/knock", Permission::ViewClients),
    Line(Endpoint::ListPending, Method::Get, "/api/v1/pending", Permission::ViewClients),
    Line(Endpoint::AdmitClient, Method::Post, "/api/v1/clients/{name}/admit", Permission::AdmitComputers),
    Line(Endpoint::MoveClient, Method::Post, "/api/v1/clients/{name}/channel", Permission::ReserveSeats),
    Line(Endpoint::ResolveClient, Method::Post, "/api/v1/clients/{name}/resolve", Permission::IssueSetups),
    Line(Endpoint::Register, Method::Post, "/api/v1/register", Permission::ManageLicenses),
    Line(Endpoint::Unlock, Method::Post, "/api/v1/unlock", Permission::ManageLicenses),
    Line(Endpoint::ReadLog, Method::Get, "/api/v1/log", Permission::ViewLog),
    Line(Endpoint::VerifyLog, Method::Post, "/api/v1/log/verify", Permission::ViewLog),
    Line(Endpoint::ProveEntry, Method::Get, "/api/v1/log/{sequence}/proof", Permission::ViewLog),
    Line(Endpoint::ReadCheckpoint, Method::Get, "/api/v1/log/checkpoint", Permission::ViewLog),
    Line(Endpoint::ShowCertificate, Method::Get, "/api/v1/certificate", Permission::ViewStatus),
    Line(Endpoint::RenewCertificate, Method::Post, "/api/v1/certificate/renew", Permission::ManageServer),
    Line(Endpoint::SwitchCertificate, Method::Post, "/api/v1/certificate/switch", Permission::ManageServer),
    Line(Endpoint::ShowAddresses, Method::Get, "/api/v1/addresses", Permission::ViewStatus),
    Line(Endpoint::FinishAddresses, Method::Post, "/api/v1/addresses/finish", Permission::ManageServer),
    Line(Endpoint::ShowStorage, Method::Get, "/api/v1/storage", Permission::ViewStatus),
    Line(Endpoint::CleanStorage, Method::Post, "/api/v1/storage/clean", Permission::ManageServer),
    Line(Endpoint::CheckStorage, Method::Post, "/api/v1/storage/check", Permission::ManageServer),
    Line(Endpoint::MakeToken, Method::Post, "/api/v1/tokens", Permission::ManageAdmins),
    Line(Endpoint::RevokeToken, Method::Post, "/api/v1/tokens/revoke", Permission::ManageAdmins),
    Line(Endpoint::NoteBackup, Method::Post, "/api/v1/backup", Permission::ManageServer),
    Line(Endpoint::ExportLog, Method::Get, "/api/v1/log/export", Permission::ViewLog),
    Line(
        Endpoint::AcknowledgeRestore,
        Method::Post,
        "/api/v1/ledger/acknowledge",
        Permission::ManageLicenses,
    ),
    Line(Endpoint::ListRollouts, Method::Get, "/api/v1/rollouts", Permission::ViewUpdates),
    Line(Endpoint::ShowRollout, Method::Get, "/api/v1/rollouts/{number}", Permission::ViewUpdates),
    Line(
        Endpoint::ReportRollout,
        Method::Get,
        "/api/v1/rollouts/{number}/computers",
        Permission::ViewUpdates,
    ),
    Line(Endpoint::SteerRollout, Method::Post, "/api/v1/rollouts/{number}/steer", Permission::DecideUpdates),
    Line(Endpoint::SimulateRollouts, Method::Post, "/api/v1/rollouts/simulate", Permission::ViewUpdates),
    Line(Endpoint::ShowContent, Method::Get, "/api/v1/content", Permission::ViewStatus),
    Line(Endpoint::ListLinks, Method::Get, "/api/v1/links", Permission::ViewStatus),
    Line(Endpoint::ShowLink, Method::Get, "/api/v1/links/{name}", Permission::ViewStatus),
    Line(Endpoint::ShowSettings, Method::Get, "/api/v1/settings", Permission::ViewUpdates),
    Line(Endpoint::ExportSettings, Method::Get, "/api/v1/settings/export", Permission::ViewUpdates),
    Line(Endpoint::ChangeSettings, Method::Post, "/api/v1/settings", Permission::DecideUpdates),
    Line(Endpoint::PlanSettings, Method::Post, "/api/v1/settings/plan", Permission::ViewUpdates),
    Line(Endpoint::ApplySettings, Method::Post, "/api/v1/settings/apply", Permission::DecideUpdates),
    Line(Endpoint::ListGroups, Method::Get, "/api/v1/groups", Permission::ViewUpdates),
    Line(Endpoint::ListMembers, Method::Get, "/api/v1/groups/{name}/members", Permission::ViewUpdates),
    Line(Endpoint::ChangeMembers, Method::Post, "/api/v1/groups/{name}/members", Permission::DecideUpdates),
    Line(Endpoint::AnswerFile, Method::Post, "/api/v1/folder/answer", Permission::ManageServer),
    Line(Endpoint::SyncFolder, Method::Post, "/api/v1/folder/sync", Permission::ManageServer),
    Line(Endpoint::ListApprovals, Method::Get, "/api/v1/approvals", Permission::ViewUpdates),
    Line(
        Endpoint::ConfirmProposal,
        Method::Post,
        "/api/v1/approvals/{number}/confirm",
        Permission::DecideUpdates,
    ),
    Line(
        Endpoint::WithdrawProposal,
        Method::Post,
        "/api/v1/approvals/{number}/withdraw",
        Permission::DecideUpdates,
    ),
    Line(Endpoint::DeferUpdate, Method::Post, "/api/v1/updates/defer", Permission::DecideUpdates),
    Line(Endpoint::ListAccounts, Method::Get, "/api/v1/accounts", Permission::ViewUpdates),
    Line(Endpoint::AddAccount, Method::Post, "/api/v1/accounts", Permission::ManageAdmins),
    Line(Endpoint::DisableAccount, Method::Post, "/api/v1/accounts/disable", Permission::ManageAdmins),
    Line(Endpoint::EnableAccount, Method::Post, "/api/v1/accounts/enable", Permission::ManageAdmins),
    Line(Endpoint::RenewToken, Method::Post, "/api/v1/tokens/renew", Permission::RenewToken),
];

impl Endpoint {
    /// Every endpoint, in the order of the table.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|line| line.0)
    }

    /// How it is asked.
    #[must_use]
    pub fn method(self) -> Method {
        self.line().1
    }

    /// Its path, with `{name}` for what varies.
    #[must_use]
    pub fn path(self) -> &'static str {
        self.line().2
    }

    /// What whoever asks needs.
    #[must_use]
    pub fn permission(self) -> Permission {
        self.line().3
    }

    const fn line(self) -> &'static Line {
        // The table is in the order of the enum; a test holds it to that.
        &TABLE[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_endpoint_stands_once_in_the_table_and_in_its_own_line() {
        for endpoint in Endpoint::all() {
            assert_eq!(endpoint.line().0, endpoint);
            assert!(endpoint.path().starts_with(PREFIX), "{endpoint:?}");
        }
        let ways: BTreeSet<_> =
            Endpoint::all().map(|one| (one.path(), one.method() == Method::Post)).collect();
        assert_eq!(ways.len(), Endpoint::all().count(), "two endpoints have the same method and path");
    }

    #[test]
    fn what_only_reads_needs_a_permission_to_view_and_what_changes_needs_another() {
        for endpoint in Endpoint::all() {
            let permission = endpoint.permission();
            let views = matches!(
                permission,
                Permission::ViewStatus
                    | Permission::ViewUpdates
                    | Permission::ViewClients
                    | Permission::ViewLog
            );
            // What a check is held against is too long for an address.
            let checks = matches!(
                endpoint,
                Endpoint::VerifyLog
                    | Endpoint::PlanSettings
                    | Endpoint::SimulateRollouts
                    | Endpoint::VerifyClients
            );
            let reads = endpoint.method() == Method::Get || checks;
            assert_eq!(views, reads, "{endpoint:?}");
        }
    }
}
