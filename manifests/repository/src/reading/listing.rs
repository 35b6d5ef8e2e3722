//! What the packages of a repository offer: which there are, and the targets that each may list.
//!
//! Invariant: what a role lists counts only where a search for the name ends in this role.

use jiff::Timestamp;
use sealpost_manifests::ids::PackageName;
use sigstore_tuf::TrustedMetadataSet;

use crate::reading::delegations::delegated_roles;
use crate::reading::errors::{MirrorError, TargetError};
use crate::reading::reader::Reader;
use crate::target::TargetInfo;

impl Reader {
    /// The targets that the role of a package lists and is allowed to list. Call after a refresh. Targets whose
    /// names or digests are not ours are left out.
    ///
    /// # Errors
    /// [`MirrorError`] if there is no such role, or it is refused.
    pub async fn package_targets(
        &mut self,
        package: &PackageName,
        now: Timestamp,
    ) -> Result<Vec<TargetInfo>, MirrorError> {
        self.latch.check().map_err(|source| MirrorError::Store { source })?;
        let role = package.as_str();
        if self.updater.trusted().targets_role(role).is_none() {
            let mut trusted = self.updater.trusted().clone();
            if !delegated_roles(&trusted, "targets").iter().any(|name| name == role) {
                let problem = "the vendor's targets do not delegate to";
                return Err(MirrorError::Incomplete { role: role.to_owned(), problem });
            }
            self.verified_role(&mut trusted, role, "targets", now).await?;
            return self.allowed_targets(&trusted, package, now).await;
        }
        let trusted = self.updater.trusted().clone();
        self.allowed_targets(&trusted, package, now).await
    }

    /// The packages that the vendor delegates to, in the vendor's order. Call after a refresh.
    #[must_use]
    pub fn packages(&self) -> Vec<PackageName> {
        let roles = delegated_roles(self.updater.trusted(), "targets");
        roles.into_iter().filter_map(|role| PackageName::new(role).ok()).collect()
    }

    async fn allowed_targets(
        &mut self,
        trusted: &TrustedMetadataSet,
        package: &PackageName,
        now: Timestamp,
    ) -> Result<Vec<TargetInfo>, MirrorError> {
        let names = trusted.targets_role(package.as_str()).into_iter().flat_map(|role| role.targets.keys());
        let mut targets = Vec::new();
        for name in names {
            let listed = match self.listed(name, now).await {
                Ok(listed) => listed,
                Err(TargetError::Unusable { .. }) => None,
                Err(source) => {
                    return Err(MirrorError::Target { package: package.clone(), source: Box::new(source) });
                }
            };
            let allowed = listed.filter(|listed| listed.role() == package.as_str());
            targets.extend(allowed.and_then(TargetInfo::of));
        }
        Ok(targets)
    }
}
