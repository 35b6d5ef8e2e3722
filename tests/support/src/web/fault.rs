//! Faults that a test orders, and when they are made.

/// What the server does instead of answering as it should.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Answers with this status and body, and carries out nothing.
    Answer(u16, Vec<u8>),
    /// Carries out nothing, and says to come again in so many seconds.
    Later(u64),
    /// Carries out nothing, and answers as if these bytes were what was asked for.
    Content(Vec<u8>),
    /// Carries out nothing, and answers these bytes as if they were what was asked for, packed with gzip.
    Packed(Vec<u8>),
    /// Carries out the request, and closes the connection instead of answering.
    LoseTheAnswer,
    /// Carries out the request, sends this many bytes of the body, and closes the connection.
    CutAfter(usize),
    /// Carries out the request, sends this many bytes of the body, and then nothing more.
    StallAfter(usize),
    /// Carries out the request, and redirects to another address.
    Redirect(String),
    /// Carries out the request, and answers with a body that never ends.
    Endless,
    /// Carries out the request, and sends its body byte by byte, one in half a second.
    Drip,
}

/// How often a fault is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// For the next so many requests that it is meant for.
    Next(u32),
    /// Until the faults are cleared.
    Always,
}

/// The faults that are ordered, in this order.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Order>);

#[derive(Debug)]
struct Order {
    path_part: String,
    fault: Fault,
    times: Times,
}

impl Faults {
    pub(super) fn order(&mut self, path_part: &str, fault: Fault, times: Times) {
        self.0.push(Order { path_part: path_part.to_owned(), fault, times });
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The first fault that is meant for this path.
    pub(super) fn take(&mut self, path: &str) -> Option<Fault> {
        let at = self.0.iter().position(|order| path.contains(&order.path_part))?;
        let order = &mut self.0[at];
        let fault = order.fault.clone();
        match &mut order.times {
            Times::Always => {}
            Times::Next(0 | 1) => _ = self.0.remove(at),
            Times::Next(left) => *left -= 1,
        }
        Some(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_made_as_often_as_ordered_and_for_its_paths_only() {
        let mut faults = Faults::default();
        faults.order("contact", Fault::LoseTheAnswer, Times::Next(2));
        faults.order("contact", Fault::Endless, Times::Always);
        assert!(faults.take("/enroll").is_none());
        for _ in 0..2 {
            assert!(matches!(faults.take("/contact"), Some(Fault::LoseTheAnswer)));
        }
        for _ in 0..3 {
            assert!(matches!(faults.take("/contact"), Some(Fault::Endless)));
        }
        faults.clear();
        assert!(faults.take("/contact").is_none());
    }
}
