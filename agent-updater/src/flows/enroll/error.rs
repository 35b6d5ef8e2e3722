//! Why an enrollment failed.

use std::io;
use std::path::PathBuf;

use sealpost_keys::sealed::SealingKeyError;
use sealpost_keys::{Fingerprint, KeyError, KeyFileError};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::DocumentError;
use sealpost_manifests::ids::{ComputerName, ServerId};
use sealpost_manifests::setup::MAX_SETUP_SERVERS;
use sealpost_manifests::wire::problem::Problem;

use crate::domain::release::Refusal;
use crate::home::HomeError;
use crate::platform::network::WaitInterrupted;
use crate::platform::store::StoreError;
use crate::records::waiting::WaitingKnock;

/// Why an enrollment failed. Nothing but this computer's keys and the pinned root was kept then.
#[derive(Debug, thiserror::Error)]
pub enum EnrollError {
    #[error(transparent)]
    Home(#[from] HomeError),
    #[error("cannot read {path}")]
    Unreadable {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("there is no {what} at {path}; {hint}")]
    Missing { what: &'static str, path: PathBuf, hint: &'static str },
    #[error("{path} is not a setup file; ask the administrator for one: `distributor clients setup NAME`")]
    NotSetup {
        path: PathBuf,
        #[source]
        source: DocumentError,
    },
    /// A setup file of a kind that this program does not know, or without a name.
    #[error("{path} cannot be used: {why}")]
    OtherKind { path: PathBuf, why: String },
    #[error(
        "{path} lists {count} servers, and no setup file of a Primary Server lists more than {MAX_SETUP_SERVERS}; nothing was \
         sent. Ask the administrator for another: `distributor clients setup NAME`"
    )]
    TooManyServers { path: PathBuf, count: usize },
    /// The name of a knock setup file is the computer's own, and cannot be used.
    #[error(
        "this computer calls itself {found:?}, which cannot be the name of a computer: {why}; say another one with --name NAME"
    )]
    NoName { found: String, why: String },
    /// Only a file of no computer leaves the name open.
    #[error(
        "{path} is the setup file of {named}, and --name goes with a knock setup file alone; leave it out"
    )]
    Named { path: PathBuf, named: ComputerName },
    /// It asked, and waits; the daemon asks again.
    #[error("{} waits until an administrator admits it; its key is {}", .0.computer_name, Fingerprint::of(&.0.client_key))]
    Waits(Box<WaitingKnock>),
    /// The root is not the one that the setup file names.
    #[error(
        "the root at {path} is {found}, and the setup file names {expected}; get root.json from the vendor's package, \
         and do not go on if it still differs"
    )]
    OtherRoot { path: PathBuf, found: Sha256Digest, expected: Sha256Digest },
    /// A pinned root is never replaced.
    #[error(
        "{path} pins another root already, and enrollment never replaces it; a new vendor needs a new home folder"
    )]
    RootPinned { path: PathBuf },
    /// The server knows this computer already.
    #[error(
        "this computer is enrolled with the server {server} as {enrolled}, and {path} is the setup file of {asked}: \
         nothing was sent. Use the file on {asked}; to give this computer the name {asked} from now on, add --replace, \
         which takes a seat for {asked} while the seat of {enrolled} stays used for good"
    )]
    OtherName { path: PathBuf, server: ServerId, enrolled: ComputerName, asked: ComputerName },
    /// A further server is added to a first one.
    #[error(
        "this computer is not enrolled with a first server yet, or that enrollment is damaged; begin with \
         `agent-updater enroll --setup FILE`"
    )]
    NoFirstServer,
    /// Most likely the setup file of another computer.
    #[error(
        "this computer is enrolled as {enrolled}, and {path} is the setup file of {asked}: nothing was sent. Use the file on \
         {asked}; if this computer shall have the name {asked} at the further server, add --replace, which takes the seat of \
         {asked} there for good"
    )]
    OtherNameBeside { path: PathBuf, enrolled: ComputerName, asked: ComputerName },
    #[error(
        "a key in the keys folder of the agent's home cannot be made or read; if its file is damaged, move it away: then \
         this is a new computer to the server, and needs a new setup file of its name from the administrator"
    )]
    Key(#[from] KeyFileError),
    #[error("the client key cannot be made")]
    NewKey(#[from] KeyError),
    #[error(
        "the key that servers seal to cannot be made or read; if its file is damaged, move keys/sealing.key in the agent's \
         home away and enroll again: another one is made"
    )]
    NewSealingKey(#[from] SealingKeyError),
    /// One of the servers says that an administrator has to admit this computer.
    #[error("{0}")]
    NotAdmitted(Problem),
    #[error("no server in the setup file let this computer enroll: {}", .0.join("; "))]
    AllFailed(Vec<String>),
    /// Of two computers with one identity this one was kept.
    #[error(
        "this computer cannot go on with a key of its own yet: {0}; it is tried again with the next contact"
    )]
    Copy(String),
    /// The same, and the server took its new key, but not in words that count here.
    #[error(
        "this computer was kept beside a copy of it, and the answer of {server} was refused: {why}; the product goes on running, \
         and it is tried again with the next contact"
    )]
    KeptAnswer { server: String, why: String },
    #[error(transparent)]
    Interrupted(#[from] WaitInterrupted),
    #[error("the vendor's metadata does not verify: {0}")]
    Metadata(Refusal),
    #[error("the answer of {server} is refused: {why}; nothing of it was kept")]
    Answer { server: String, why: String },
    #[error("the enrollment cannot be signed")]
    Sign(#[from] DocumentError),
    #[error("the enrollment cannot be kept")]
    Store(#[from] StoreError),
    #[error("cannot write {path}")]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}
