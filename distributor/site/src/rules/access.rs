//! What an admin may do: each endpoint of the admin API needs one permission, and an account has some.
//!
//! Invariant: nobody has a permission that is not named here. Left out on purpose: users and roles. Whoever reaches the
//! admin socket may do everything, and whoever holds an admin token all but make and revoke tokens: a token that was stolen
//! makes none beside it, and revokes nobody's; it can be renewed, and then its owner's is refused. Roles will narrow that per account.

use serde::{Deserialize, Serialize};

use crate::rules::account::AccountKind;

/// Something that an admin may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// See the License Summary, the last pull and the warnings.
    ViewStatus,
    /// See releases and what they change.
    ViewUpdates,
    /// Approve and reject releases.
    DecideUpdates,
    /// Look for new releases now.
    Pull,
    /// See reservations and their computers.
    ViewClients,
    /// Take a seat for a computer, for good.
    ReserveSeats,
    /// Issue setup files, which hold enrollment codes.
    IssueSetups,
    /// Say which computer is the one of a name: it takes a seat, if the name has none, and gives what a setup file gives.
    AdmitComputers,
    /// Register serial numbers and bring in grants.
    ManageLicenses,
    /// Read the activity log and check it.
    ViewLog,
    /// Change how the server is reached and what it stores.
    ManageServer,
    /// Make and revoke tokens of admins, and add, disable and enable accounts.
    ManageAdmins,
    /// Make another token in the place of the one that is sent.
    RenewToken,
}

/// Whether an account of this kind has a permission.
#[must_use]
pub const fn permits(kind: AccountKind, permission: Permission) -> bool {
    match kind {
        AccountKind::Socket | AccountKind::Token => match permission {
            Permission::ViewStatus
            | Permission::ViewUpdates
            | Permission::DecideUpdates
            | Permission::Pull
            | Permission::ViewClients
            | Permission::ReserveSeats
            | Permission::IssueSetups
            | Permission::AdmitComputers
            | Permission::ManageLicenses
            | Permission::ViewLog
            | Permission::ManageServer => true,
            Permission::ManageAdmins => matches!(kind, AccountKind::Socket),
            // Who comes over the socket has none.
            Permission::RenewToken => matches!(kind, AccountKind::Token),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_makes_and_revokes_no_tokens() {
        assert!(permits(AccountKind::Socket, Permission::ManageAdmins));
        assert!(!permits(AccountKind::Token, Permission::ManageAdmins));
        assert!(permits(AccountKind::Token, Permission::ManageServer));
        assert!(permits(AccountKind::Token, Permission::RenewToken));
        assert!(!permits(AccountKind::Socket, Permission::RenewToken));
    }
}
