//! The steps at which the record of the agent's own program is written: a test ends the process before and after each.

/// A step that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrialStep {
    /// A built release goes on trial.
    OnTrial,
    /// Reachable time, or an end of the program by itself, was counted.
    Counted,
    Confirmed,
    GivenBack,
    /// The stable program cannot be executed any more.
    Lost,
    /// The end stands in the record of the package.
    Settled,
}

impl TrialStep {
    /// All of them, in the order in which a trial can come to them.
    pub const ALL: [Self; 6] =
        [Self::OnTrial, Self::Counted, Self::Confirmed, Self::GivenBack, Self::Lost, Self::Settled];

    /// Its name, for the points of tests.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OnTrial => "on-trial",
            Self::Counted => "counted",
            Self::Confirmed => "confirmed",
            Self::GivenBack => "given-back",
            Self::Lost => "lost",
            Self::Settled => "settled",
        }
    }
}
