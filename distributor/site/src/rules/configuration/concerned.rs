//! For how many computers a configuration changes something, and by which settings.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// What can change for a computer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Aspect {
    /// To which groups it belongs.
    Groups,
    /// How it gets what is approved.
    Delivery,
    /// When its window opens.
    Windows,
    /// In which ring it is.
    Rings,
    /// What its ring, or one before it, waits for; or what becomes of a release that fails.
    Strategies,
    /// By when it installs whatever else is set.
    Deadlines,
    /// How and when it gets releases of single packages that have a strategy of their own.
    Packages,
    /// When it gets signature files.
    Content,
    /// What becomes of critical releases.
    Critical,
    /// What a person there may put off.
    Hold,
    /// What it does not get.
    Blocks,
    /// At which versions it stays.
    Pins,
    /// The line that it downloads over.
    Links,
}

/// For how many computers something changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Concerned {
    /// Computers with a seat.
    pub all: u64,
    /// Those for which anything of the following changes.
    pub changed: u64,
    /// Those that belong to other groups.
    pub groups: u64,
    /// Those that get what is approved in another way.
    pub delivery: u64,
    /// Those whose window opens at another time, whose method stays the same.
    #[serde(default)]
    pub windows: u64,
    /// Those that are in another ring of the strategy of programs or of signature files.
    pub rings: u64,
    /// Those that stay in their ring of these, where it or one before it waits for something else, or the end is another one.
    #[serde(default)]
    pub strategies: u64,
    /// Those that have another deadline, or one from now on, or none any more.
    #[serde(default)]
    pub deadlines: u64,
    /// Those for which a package goes by another ring, strategy or deadline than before.
    #[serde(default)]
    pub packages: u64,
    /// Those that get signature files at another time.
    #[serde(default)]
    pub content: u64,
    /// Those for which critical releases wait for something else.
    #[serde(default)]
    pub critical: u64,
    /// Those where a person may put off more or less.
    #[serde(default)]
    pub hold: u64,
    /// Those that something else is kept away from.
    #[serde(default)]
    pub blocks: u64,
    /// Those that stay at other versions.
    #[serde(default)]
    pub pins: u64,
    /// Those that download over another line, or at another rate.
    #[serde(default)]
    pub links: u64,
}

impl Concerned {
    /// One more computer with what changes for it.
    pub fn add(&mut self, aspects: &BTreeSet<Aspect>) {
        self.all += 1;
        self.changed += u64::from(!aspects.is_empty());
        for aspect in aspects {
            *self.of(*aspect) += 1;
        }
    }

    const fn of(&mut self, aspect: Aspect) -> &mut u64 {
        match aspect {
            Aspect::Groups => &mut self.groups,
            Aspect::Delivery => &mut self.delivery,
            Aspect::Windows => &mut self.windows,
            Aspect::Rings => &mut self.rings,
            Aspect::Strategies => &mut self.strategies,
            Aspect::Deadlines => &mut self.deadlines,
            Aspect::Packages => &mut self.packages,
            Aspect::Content => &mut self.content,
            Aspect::Critical => &mut self.critical,
            Aspect::Hold => &mut self.hold,
            Aspect::Blocks => &mut self.blocks,
            Aspect::Pins => &mut self.pins,
            Aspect::Links => &mut self.links,
        }
    }

    /// By which settings something changes, with what that is, and for how many computers; what changes for nobody is left out.
    #[must_use]
    pub fn by_setting(&self) -> Vec<(&'static str, &'static str, u64)> {
        let Self {
            all: _,
            changed: _,
            groups,
            delivery,
            windows,
            rings,
            strategies,
            deadlines,
            packages,
            content,
            critical,
            hold,
            blocks,
            pins,
            links,
        } = *self;
        let all = [
            ("groups", "in other groups", groups),
            ("delivery", "another method of delivery", delivery),
            ("windows", "another time of the window", windows),
            ("rings", "in another ring", rings),
            ("strategies", "the same ring, which waits for something else", strategies),
            ("deadlines", "another deadline", deadlines),
            ("packages", "another strategy of a package", packages),
            ("content", "signature files at another time", content),
            ("critical", "critical releases go by another rule", critical),
            ("hold", "a person may put off more or less", hold),
            ("blocks", "other releases are kept away", blocks),
            ("pins", "other versions are kept", pins),
            ("links", "another line, or another rate", links),
        ];
        all.into_iter().filter(|(.., count)| *count > 0).collect()
    }
}
