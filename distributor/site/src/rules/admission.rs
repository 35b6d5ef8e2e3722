//! Admission: may this client have this, now? Identity → reservation → lease → allowed, or refused with a stable code.
//!
//! Invariant: what is not named here is refused by whoever asks (there is no `Resource` for it). Before a lease, a
//! computer with a token, which enrollment gives, reads root, metadata and trust.json, nothing else; targets need a
//! live lease and an assignment that names them, but for channels: what the vendor withdrew is for whoever runs it, and
//! just that is assigned no more. Left out on purpose: counting and logging, which the caller does.

use jiff::Timestamp;
use sealpost_manifests::assignment::PackageAssignment;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::wire::problem::{Problem, ProblemCode};

/// Who asks, as far as it was proven.
#[derive(Debug, Clone, Copy)]
pub enum Identity<'a> {
    /// Nothing was presented.
    None,
    /// A token that was not issued by this server.
    ForeignToken,
    /// A token of this server whose 15 minutes are over.
    ExpiredToken,
    /// A good token of a client that holds no reservation here any more, for example since it was enrolled again.
    ReplacedClient,
    /// A good token of a known client.
    Client(Holder<'a>),
}

/// A client that holds a reservation.
#[derive(Debug, Clone, Copy)]
pub struct Holder<'a> {
    /// Until when its newest lease is good.
    pub lease_until: Option<Timestamp>,
    /// Whether two computers use its identity.
    pub forked: bool,
    /// What its newest assignment names.
    pub assigned: &'a [PackageAssignment],
}

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource<'a> {
    /// To be enrolled: the request carries its own signature.
    Enroll,
    /// A contact: the request carries its own signature.
    Contact,
    /// TUF metadata, roots included.
    Metadata,
    /// `trust.json`.
    TrustTarget,
    /// The channels document of a package. The metadata name every package and version anyway.
    Channels,
    /// A manifest, its signature or its payload, by the release's manifest digest.
    Target(&'a Sha256Digest),
    /// A delta to the release with this manifest digest.
    Delta(&'a Sha256Digest),
    /// The stream that says "contact now".
    Wake,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// Go on.
    Allowed,
    /// Stop here.
    Refused(Problem),
}

/// Decides.
#[must_use]
pub fn decide(identity: Identity<'_>, resource: Resource<'_>, now: Timestamp) -> Admission {
    match judge(identity, resource, now) {
        Ok(()) => Admission::Allowed,
        Err(problem) => Admission::Refused(problem),
    }
}

fn judge(identity: Identity<'_>, resource: Resource<'_>, now: Timestamp) -> Result<(), Problem> {
    if matches!(resource, Resource::Enroll | Resource::Contact) {
        return Ok(());
    }
    let holder = identify(identity)?;
    if holder.forked {
        return Err(Problem::new(
            ProblemCode::ContactForked,
            "two computers use this client's identity",
            "the administrator sees both with `distributor clients show NAME`, and says which one goes on with `distributor \
             clients resolve NAME --keep CONTACT`",
        ));
    }
    let assigned = match resource {
        Resource::Metadata | Resource::TrustTarget => return Ok(()),
        Resource::Enroll | Resource::Contact | Resource::Wake | Resource::Channels => true,
        Resource::Target(manifest) | Resource::Delta(manifest) => {
            holder.assigned.iter().any(|told| told.manifest == *manifest)
        }
    };
    match holder.lease_until {
        None => {
            return Err(Problem::new(
                ProblemCode::NoLease,
                "this computer holds no lease yet",
                "contact the server first; its answer says why if it gives no lease",
            ));
        }
        Some(until) if until < now => {
            return Err(Problem::new(
                ProblemCode::NoLease,
                format!("this computer's lease ended at {until}"),
                "contact the server; the answer brings a new lease",
            ));
        }
        Some(_) => {}
    }
    if assigned { Ok(()) } else { Err(not_assigned()) }
}

/// What is told to whoever wants what no assignment of its computer names.
#[must_use]
pub fn not_assigned() -> Problem {
    Problem::new(
        ProblemCode::NotAssigned,
        "no assignment of this computer names this",
        "contact the server for the newest assignment; an admin approves releases for the computer's channel",
    )
}

/// The holder whose lease is to be looked at.
fn identify(identity: Identity<'_>) -> Result<Holder<'_>, Problem> {
    match identity {
        Identity::None => Err(Problem::new(
            ProblemCode::Unauthenticated,
            "no access token was sent",
            "contact the server; its answer carries a token",
        )),
        Identity::ForeignToken => Err(Problem::new(
            ProblemCode::Unauthenticated,
            "the access token was not issued by this server",
            "contact this server; its answer carries a token",
        )),
        Identity::ExpiredToken => Err(Problem::new(
            ProblemCode::TokenExpired,
            "the access token is no longer good",
            "contact the server; its answer carries a new token",
        )),
        Identity::ReplacedClient => Err(Problem::new(
            ProblemCode::NotReserved,
            "this client holds no reservation here; its computer may have been enrolled again",
            "enroll the computer with a new setup file",
        )),
        Identity::Client(holder) => Ok(holder),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealpost_manifests::ids::{PackageName, Platform};
    use sealpost_manifests::release::ReleaseId;
    use sealpost_manifests::version::Version;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn assigned() -> Vec<PackageAssignment> {
        let release = ReleaseId {
            package: PackageName::new("acme-av").unwrap(),
            version: Version::new("1.0").unwrap(),
            platform: Platform::any(),
        };
        vec![PackageAssignment::install(release, Sha256Digest::of(b"assigned"), 1, 1)]
    }

    fn code_of(identity: Identity<'_>, resource: Resource<'_>) -> Option<ProblemCode> {
        match decide(identity, resource, at(100)) {
            Admission::Allowed => None,
            Admission::Refused(problem) => Some(problem.code),
        }
    }

    #[test]
    fn every_identity_gets_exactly_what_the_trust_chain_says() {
        let assigned = assigned();
        let (mine, other) = (Sha256Digest::of(b"assigned"), Sha256Digest::of(b"other"));
        let licensed = Holder { lease_until: Some(at(100)), forked: false, assigned: &assigned };
        let lapsed = Holder { lease_until: Some(at(99)), ..licensed };
        let unlicensed = Holder { lease_until: None, ..licensed };
        let forked = Holder { forked: true, ..licensed };
        let client = Identity::Client;
        let open = [Resource::Enroll, Resource::Contact];
        let early = [Resource::Metadata, Resource::TrustTarget];
        let leased = [Resource::Channels, Resource::Target(&mine), Resource::Delta(&mine), Resource::Wake];
        let never = [Resource::Target(&other), Resource::Delta(&other)];
        use ProblemCode as Code;
        let table = [
            (
                Identity::None,
                Some(Code::Unauthenticated),
                Some(Code::Unauthenticated),
                Some(Code::Unauthenticated),
            ),
            (
                Identity::ForeignToken,
                Some(Code::Unauthenticated),
                Some(Code::Unauthenticated),
                Some(Code::Unauthenticated),
            ),
            (
                Identity::ExpiredToken,
                Some(Code::TokenExpired),
                Some(Code::TokenExpired),
                Some(Code::TokenExpired),
            ),
            (
                Identity::ReplacedClient,
                Some(Code::NotReserved),
                Some(Code::NotReserved),
                Some(Code::NotReserved),
            ),
            (client(unlicensed), None, Some(Code::NoLease), Some(Code::NoLease)),
            (client(lapsed), None, Some(Code::NoLease), Some(Code::NoLease)),
            (client(forked), Some(Code::ContactForked), Some(Code::ContactForked), Some(Code::ContactForked)),
            (client(licensed), None, None, Some(Code::NotAssigned)),
        ];
        for (identity, for_early, for_leased, for_never) in table {
            for resource in open {
                assert_eq!(code_of(identity, resource), None, "{identity:?} {resource:?}");
            }
            for resource in early {
                assert_eq!(code_of(identity, resource), for_early, "{identity:?} {resource:?}");
            }
            for resource in leased {
                assert_eq!(code_of(identity, resource), for_leased, "{identity:?} {resource:?}");
            }
            for resource in never {
                assert_eq!(code_of(identity, resource), for_never, "{identity:?} {resource:?}");
            }
        }
    }

    #[test]
    fn a_lease_is_good_in_its_last_second_and_not_after() {
        let assigned = assigned();
        let holder = Holder { lease_until: Some(at(100)), forked: false, assigned: &assigned };
        assert_eq!(decide(Identity::Client(holder), Resource::Wake, at(100)), Admission::Allowed);
        assert_ne!(decide(Identity::Client(holder), Resource::Wake, at(101)), Admission::Allowed);
    }
}
