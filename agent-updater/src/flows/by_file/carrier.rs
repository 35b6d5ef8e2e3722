//! What carries contacts and answers.

use std::path::PathBuf;

use crate::config::FolderSettings;
use crate::flows::contact::{Answered, ContactError, contact};
use crate::flows::context::Context;
use crate::flows::drift::Found;
use crate::flows::origin::Reads;
use crate::records::holdings::Holdings;
use crate::records::progress::Progress;
use crate::spool::Spool;

use super::file::take_file;
use super::folder::{self, News};

/// What carries contacts and answers in a cycle.
#[derive(Debug)]
pub(in crate::flows) enum Carrier {
    Network,
    Folder(FolderSettings),
    /// A person, who brought an answer; it is tried once.
    Person {
        answer: Option<Vec<u8>>,
        /// The folder of the releases, if one is known.
        releases: Option<PathBuf>,
    },
}

/// Brings a contact under way, and takes an answer, if there is one. `None`: the contact waits.
///
/// # Errors
/// [`ContactError`].
pub(in crate::flows) fn exchange(
    context: &Context,
    carrier: &mut Carrier,
    holdings: &mut Holdings,
    progress: &mut Progress,
    spool: &mut Spool,
    found: &[Found],
    news: News,
) -> Result<Option<Answered>, ContactError> {
    let host = &context.host;
    match carrier {
        Carrier::Network => contact(context, holdings, progress, Some(spool), found).map(Some),
        Carrier::Folder(settings) => {
            folder::exchange(context, settings, holdings, progress, spool, found, news)
        }
        Carrier::Person { answer, releases } => {
            let Some(file) = answer.take() else { return Ok(None) };
            let notices = take_file(host, &file, holdings, progress, spool)?;
            let access = releases.clone().map(Reads::Folder);
            Ok(Some(Answered { access, was_retry: false, notices }))
        }
    }
}
