//! Names and ids as types: what can be constructed is safe to use as a file name, a target name or a log field.
//!
//! Every constructor parses; serde goes through the constructor.

mod codes;
mod names;
mod random;
pub(crate) mod text_type;

pub use codes::{EnrollmentCode, SerialNumber};
pub use names::{ChannelName, ComputerName, PackageName, Platform, RelativePath, Tag, TargetName};
pub use random::{ClientId, EraId, Nonce, RequestId, ServerId, SetupId};
pub use text_type::NameError;
