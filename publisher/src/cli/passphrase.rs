//! The three ways to give the passphrase of the vendor's keys; a passphrase is never an argument.

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use sealpost_keys::{Passphrase, PassphraseSource};

/// How the keys are opened.
#[derive(Debug, Clone, Default, Args)]
#[group(multiple = false)]
pub(super) struct PassphraseOptions {
    /// Take the passphrase from the first line of this file (mode 600).
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Take the passphrase from this environment variable.
    #[arg(long, value_name = "VAR")]
    passphrase_env: Option<String>,
    /// Keys are not encrypted.
    #[arg(long)]
    no_passphrase: bool,
}

impl PassphraseOptions {
    /// Where to get the passphrase of existing keys; unencrypted ones never need it.
    pub(super) fn source(&self) -> PassphraseSource {
        match self {
            Self { passphrase_file: Some(path), .. } => PassphraseSource::File(path.clone()),
            Self { passphrase_env: Some(name), .. } => PassphraseSource::Env(name.clone()),
            Self { no_passphrase: true, .. } => PassphraseSource::None,
            _ if io::stdin().is_terminal() => PassphraseSource::Prompt,
            _ => PassphraseSource::None,
        }
    }

    /// The passphrase for new keys: asked for twice on a terminal, never silently absent.
    pub(super) fn for_new_keys(&self) -> anyhow::Result<Option<Passphrase>> {
        match self.source() {
            PassphraseSource::None if !self.no_passphrase => bail!(
                "cannot ask for a passphrase without a terminal; give --passphrase-file FILE, --passphrase-env VAR \
                 or --no-passphrase"
            ),
            PassphraseSource::Prompt => {
                let first = PassphraseSource::Prompt.obtain("the new keys").context("cannot make keys")?;
                let again =
                    PassphraseSource::Prompt.obtain("the new keys, again").context("cannot make keys")?;
                let same =
                    first.as_ref().zip(again.as_ref()).is_some_and(|(first, again)| first.is_same(again));
                if !same {
                    bail!("cannot make keys: the two passphrases differ; try again");
                }
                Ok(first)
            }
            source => source.obtain("the new keys").context("cannot make keys"),
        }
    }
}
