//! What a refusal by a server makes this computer do, and what it asks of a person, by its code.
//!
//! Invariant: a code is unsigned, so at most it makes the agent show the server what the server itself signed, make another key
//! and ask the server to take it (`copy_kept`; it counts only once the site signed it), or say something to a person. None
//! deletes, resets or closes anything.

use sealpost_manifests::wire::problem::ProblemCode;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaction {
    /// Shown to people as it is; tried again with the next contact.
    Wait,
    /// The server knows less than it signed: the same contact is sent once more, with lease and assignment.
    ShowEvidence,
    /// As [`Reaction::Wait`], and a person is told this as well.
    Explain(&'static str),
}

#[must_use]
pub const fn reaction(code: ProblemCode) -> Reaction {
    match code {
        ProblemCode::NonceUnknown | ProblemCode::UnknownComputer | ProblemCode::LedgerBehind => {
            Reaction::ShowEvidence
        }
        ProblemCode::ContactForked => Reaction::Explain(
            "another computer uses this computer's identity, most likely a copy of its disk; the administrator decides \
             which one keeps it; the product goes on running, and nothing new is installed until then",
        ),
        ProblemCode::Displaced => Reaction::Explain(
            "since the server was restored, another computer goes on with this computer's identity; if this is the \
             right one, the administrator has to issue a new setup file for it; the product goes on running",
        ),
        ProblemCode::CopyKept => Reaction::Explain(
            "the administrator decided that this computer goes on, and it makes a key of its own over the network; one that \
             is reached by file needs a new setup file; the product goes on running",
        ),
        ProblemCode::CopyGivenUp => Reaction::Explain(
            "this computer is a copy of another one, which goes on in its place, and needs a name and a seat of its own; the \
             product goes on running, and nothing new is installed until then",
        ),
        _ => Reaction::Wait,
    }
}

/// What a person has to do about a refused contact before a later one is answered: `None` if that comes by itself.
#[must_use]
pub const fn remedy(code: ProblemCode) -> Option<&'static str> {
    match code {
        // What the server signed was shown with the same contact, if there was any, and changed nothing.
        ProblemCode::UnknownComputer
        | ProblemCode::NonceUnknown
        | ProblemCode::LedgerBehind
        | ProblemCode::Displaced
        | ProblemCode::BadSignature
        | ProblemCode::WrongServer
        | ProblemCode::NoLease
        | ProblemCode::NotReserved
        | ProblemCode::EnrollmentCodeWrong
        | ProblemCode::EnrollmentCodeUsed
        | ProblemCode::EnrollmentCodeExpired => Some(
            "let the administrator make a setup file with `distributor clients setup NAME`, then run \
             `agent-updater enroll --setup FILE`",
        ),
        ProblemCode::ContactForked => Some(
            "let the administrator look at both computers on the server with `distributor clients show NAME`, and say there with \
             `distributor clients resolve NAME --keep CONTACT` which one goes on; the other one then needs a name of its own",
        ),
        ProblemCode::CopyKept => Some(
            "over the network nothing is to be done: it makes its key with the next contact; where it is reached by file, or goes \
             on saying this, let the administrator make a setup file with `distributor clients setup NAME`, then run \
             `agent-updater enroll --setup FILE`",
        ),
        ProblemCode::CopyGivenUp => Some(
            "let the administrator reserve a seat of its own with `distributor clients reserve NEWNAME`, make a setup file with \
             `distributor clients setup NEWNAME`, then run `agent-updater enroll --setup FILE --replace`; if this computer is the \
             right one and the other one the copy, a setup file of its own name (`distributor clients setup NAME`) gives the seat \
             back to it",
        ),
        ProblemCode::WaitsForAdmission => Some(
            "let the administrator admit this computer with `distributor clients admit NAME --key KEY`; \
             `agent-updater status` says its key",
        ),
        ProblemCode::NoSeatFree
        | ProblemCode::NotUnlocked
        | ProblemCode::GrantExpired
        | ProblemCode::GrantRefused
        | ProblemCode::SerialBound
        | ProblemCode::SerialUnknown
        | ProblemCode::SerialEnded
        | ProblemCode::Unconfirmed => {
            Some("let the administrator look at `distributor status`, which says what the license needs")
        }
        ProblemCode::BadRequest | ProblemCode::NotFound | ProblemCode::TooLarge | ProblemCode::Forbidden => {
            Some(
                "agent and server do not understand each other: compare their versions, and update the older one",
            )
        }
        // Busy, at fault, or about something else than this computer's contacts; and codes of a later server.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_codes_ask_for_evidence_four_are_explained_and_all_others_are_only_shown() {
        let evidence = [ProblemCode::NonceUnknown, ProblemCode::UnknownComputer, ProblemCode::LedgerBehind];
        let explained = [
            ProblemCode::ContactForked,
            ProblemCode::Displaced,
            ProblemCode::CopyKept,
            ProblemCode::CopyGivenUp,
        ];
        for code in ProblemCode::KNOWN.iter().copied().chain(["of_a_later_server".parse().unwrap()]) {
            match reaction(code) {
                Reaction::ShowEvidence => assert!(evidence.contains(&code), "{code}"),
                Reaction::Explain(text) => {
                    assert!(explained.contains(&code), "{code}");
                    assert!(text.contains("goes on running"), "{text}");
                }
                Reaction::Wait => assert!(!evidence.contains(&code) && !explained.contains(&code), "{code}"),
            }
        }
    }

    #[test]
    fn of_two_computers_with_one_identity_each_is_told_who_does_what_and_where() {
        let forked = remedy(ProblemCode::ContactForked).unwrap();
        assert!(forked.contains("on the server with `distributor clients show NAME`"), "{forked}");
        assert!(forked.contains("`distributor clients resolve NAME --keep CONTACT`"), "{forked}");
        // A setup file would shut both out, and decide nothing.
        assert!(!forked.contains("enroll") && !forked.contains("clients setup"), "{forked}");
        let kept = remedy(ProblemCode::CopyKept).unwrap();
        assert!(kept.starts_with("over the network nothing is to be done"), "{kept}");
        assert!(kept.contains("by file") && kept.contains("enroll --setup FILE"), "{kept}");
        let given_up = remedy(ProblemCode::CopyGivenUp).unwrap();
        assert!(given_up.contains("clients setup NEWNAME") && given_up.contains("--replace"), "{given_up}");
        // Who was first to show itself need not be the right one.
        assert!(given_up.contains("`distributor clients setup NAME`"), "{given_up}");
    }

    #[test]
    fn what_passes_by_itself_needs_no_person_and_every_other_refusal_of_a_contact_names_a_remedy() {
        use ProblemCode as Code;
        let passing = [Code::Busy, Code::Internal, Code::Unauthenticated, Code::TokenExpired];
        // Of downloads and of the server's admins.
        let of_others = [
            Code::NotEntitled,
            Code::NotAssigned,
            Code::DigestMismatch,
            Code::WrongState,
            Code::PullFailed,
            Code::AlreadyExists,
            Code::LinkBusy,
        ];
        for code in Code::KNOWN.iter().copied() {
            let needs_nobody = passing.contains(&code) || of_others.contains(&code);
            assert_eq!(remedy(code).is_none(), needs_nobody, "{code}: a new code is to be judged here");
        }
        assert_eq!(remedy("of_a_later_server".parse().unwrap()), None);
    }
}
