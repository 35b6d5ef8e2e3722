//! The plan of the house, as tables: which crates there are and on which floor each stands, and which rooms there are
//! inside a crate. Whoever adds a crate or a module finds the line to add here.

/// A crate of the plan.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// Its folder, relative to the workspace.
    pub(super) folder: &'static str,
    pub(super) package: &'static str,
    pub(super) floor: u8,
    /// It is planned, and may be missing.
    pub(super) comes_later: bool,
}

const fn place(floor: u8, folder: &'static str, package: &'static str) -> Place {
    Place { folder, package, floor, comes_later: false }
}

/// Every crate, from the ground up. A crate knows lower floors only.
pub(super) const PLACES: &[Place] = &[
    place(0, "files", "sealpost-files"),
    place(1, "keys", "sealpost-keys"),
    place(1, "deltas", "sealpost-deltas"),
    place(1, "service", "sealpost-service"),
    place(2, "manifests", "sealpost-manifests"),
    place(2, "hook-runner", "sealpost-hook-runner"),
    place(3, "manifests/repository", "sealpost-repository"),
    place(3, "serving", "sealpost-serving"),
    place(3, "distributor/site", "sealpost-site"),
    place(4, "distributor/ledger", "sealpost-ledger"),
    place(4, "distributor/admin-api", "sealpost-admin-api"),
    place(4, "publisher", "sealpost-publisher"),
    place(4, "agent-updater", "sealpost-agent-updater"),
    place(5, "distributor", "sealpost-distributor"),
    place(6, "tests/support", TEST_SUPPORT),
    place(6, "tests/bench", "sealpost-bench"),
    place(6, "tests/commands", "sealpost-commands"),
    place(6, TESTS, "sealpost-tests"),
    place(6, "fuzz", "sealpost-fuzz"),
];

/// The crate that only test code may name.
pub(super) const TEST_SUPPORT: &str = "sealpost-test-support";

/// The crate that is test code in whole.
pub(super) const TESTS: &str = "tests";

/// The programs. `missing_docs` does not ask them for doc comments, so each that they have is there for a reason.
pub(super) const PROGRAMS: &[&str] = &["publisher", "distributor", "agent-updater"];

/// The programs whose `app` wires the other rooms together.
pub(super) const WIRED: &[&str] = &["distributor", "agent-updater"];

/// The rooms inside a crate, from the lowest up. A module knows lower rows, and its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rooms {
    /// The crate's folder.
    pub(super) folder: &'static str,
    pub(super) rows: &'static [Row],
}

/// Modules of the same height.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    /// What messages call it.
    pub(super) name: &'static str,
    /// Modules at the crate's top, by their names.
    pub(super) modules: &'static [&'static str],
    /// Every module stands here that no row lists.
    pub(super) takes_the_rest: bool,
    /// Modules of this row never know each other.
    pub(super) apart: bool,
}

const fn row(name: &'static str, modules: &'static [&'static str]) -> Row {
    Row { name, modules, takes_the_rest: false, apart: false }
}

/// Adapters are all that no other row lists, so that a new module is held by the strictest rule.
const ADAPTERS: Row = Row { name: "adapters", modules: &[], takes_the_rest: true, apart: true };

/// The crates with rooms. The others are held by floors and by the rule against circles.
pub(super) const ROOMS: &[Rooms] = &[
    Rooms {
        folder: "agent-updater",
        rows: &[
            row("domain", &["domain"]),
            row("ports", &["ports"]),
            row("ground", &["config", "home", "platform"]),
            // records, server, slots, download, hooks, journal, spool. A module that several adapters have to read
            // moves to the ground.
            ADAPTERS,
            row("flows", &["flows"]),
            row("app", &["app"]),
            row("cli", &["cli", "main", "lib"]),
        ],
    },
    Rooms {
        folder: "distributor",
        rows: &[
            row("ports", &["ports"]),
            row("ground", &["config", "failures", "home"]),
            // Asked by the HTTP floor, and by app for a server that does not run.
            row("licenses", &["licenses"]),
            // upstream, staging, blobs, http, push, activity_file, …
            ADAPTERS,
            row("app", &["app"]),
            row("cli", &["cli", "main", "lib"]),
        ],
    },
    Rooms {
        folder: "distributor/site",
        // No row takes the rest: a new module of what decides is given its row on purpose.
        rows: &[
            row("rows and rules", &["rows", "rules"]),
            row("changes", &["changes"]),
            row("commands and queries", &["facts", "commands", "queries"]),
            row("lib", &["lib"]),
        ],
    },
    Rooms {
        folder: "distributor/ledger",
        rows: &[
            row("grants", &["grants", "trusted_log"]),
            row("store", &["store"]),
            row("audit", &["audit"]),
            row("sqlite", &["sqlite"]),
            // writer, ledger, refusals, rebuild, …
            Row { takes_the_rest: true, ..row("ledger", &[]) },
            row("lib", &["lib"]),
        ],
    },
    Rooms {
        folder: "publisher",
        rows: &[
            Row { takes_the_rest: true, ..row("everything else", &[]) },
            row("cli", &["cli", "main", "lib"]),
        ],
    },
];

/// A name that may not stand in some files of one crate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Border {
    /// The crate's folder.
    pub(super) folder: &'static str,
    pub(super) files: Files,
    pub(super) words: &'static [&'static str],
    pub(super) why: &'static str,
}

/// Which files of a crate a border holds for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Files {
    All,
    Under(&'static str),
    NotUnder(&'static str),
}

/// Names that stand in some places only.
pub(super) const BORDERS: &[Border] = &[
    Border {
        folder: "distributor/ledger",
        files: Files::NotUnder("sqlite"),
        words: &["rusqlite"],
        why: "rusqlite is named under sqlite only, so that another store can stand beside it",
    },
    Border {
        folder: "distributor/ledger",
        files: Files::Under("sqlite"),
        words: &["decide"],
        why: "sqlite loads facts and applies changes; what decides stands in sealpost-site",
    },
    Border {
        folder: "distributor/admin-api",
        files: Files::All,
        words: LIBRARIES_OF_SERVERS,
        why: "the admin API is types and tables only",
    },
];

/// What a crate of types and rules does not depend on.
const LIBRARIES_OF_SERVERS: &[&str] = &["axum", "rusqlite", "tokio"];

/// Crates whose `Cargo.toml` may not name some libraries, under any kind of dependency.
pub(super) const WITHOUT_LIBRARIES: &[(&str, &[&str])] =
    &[("distributor/site", LIBRARIES_OF_SERVERS), ("distributor/admin-api", LIBRARIES_OF_SERVERS)];

/// Of what the ledger's `sqlite` may name functions too, in the crate that decides. Of its rules and commands it names
/// types only: what they hold is stored and loaded, and nothing is decided.
pub(super) const SITE_DATA: &[&str] = &["rows", "changes", "queries"];

/// The crate that is pure in whole. In every crate, a folder `domain` is.
pub(super) const PURE: &str = "distributor/site";
