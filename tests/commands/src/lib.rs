//! Finds the commands that texts advise, and holds them to the real parsers: what a message, a help text or a page tells
//! a person to type must be something that the program understands.
//!
//! Invariant: a command is held to every option and value that it has; placeholders are filled in by kind.
//! Left out on purpose: whether the command then succeeds; a message's own test takes the step that it advises.

mod command;
mod placeholders;
mod rust;
mod text;

pub use command::{Parsers, Verdict};
pub use rust::texts_of_rust;
pub use text::{Advised, advised_in_markdown, advised_in_text};
