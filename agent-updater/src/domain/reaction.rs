//! What a refusal by a server makes this computer do, by its code.
//!
//! Invariant: a code is unsigned, so at most it makes the agent show the server what the server itself signed, or say
//! something to a person. None deletes, resets or closes anything.

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
        _ => Reaction::Wait,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_codes_ask_for_evidence_two_are_explained_and_all_others_are_only_shown() {
        let evidence = [ProblemCode::NonceUnknown, ProblemCode::UnknownComputer, ProblemCode::LedgerBehind];
        let explained = [ProblemCode::ContactForked, ProblemCode::Displaced];
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
}
