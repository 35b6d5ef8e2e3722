//! What people type between the characters of a code, and what is wrong with the rest.

/// White space and hyphens say nothing; nor do the dashes that editors make of hyphens, and what is drawn as nothing.
pub(super) fn is_between(character: char) -> bool {
    let is_dash = matches!(character, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}');
    let is_unseen = matches!(character, '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}');
    character.is_whitespace() || is_dash || is_unseen
}

/// Why a code cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextCodeError {
    /// A character that is in no code.
    #[error("character {character:?} on line {line} is in no code; copy the whole code again")]
    Character {
        /// The character that is in no code.
        character: char,
        /// The line, counted from 1.
        line: usize,
    },
    /// A line's check characters do not fit.
    #[error("line {line} has a typing error (its check characters do not fit); compare that line")]
    Check {
        /// The line, counted from 1.
        line: usize,
    },
    /// A group's check character does not fit.
    #[error(
        "group {group} on line {line} has a typing error (it reads {typed}), or stands in the place of another; compare that group, \
         and count the groups and lines before it"
    )]
    Group {
        /// The line of the code as it is written, of ten groups each, counted from 1.
        line: usize,
        /// The group on that line, counted from 1.
        group: usize,
        /// What was typed there: at most nine characters, unusual ones escaped.
        typed: String,
    },
    /// A group has too few or too many characters.
    #[error(
        "group {group} on line {line} has a typing error (it reads {typed}, and a group has 5 characters); compare that group"
    )]
    GroupLength {
        /// The line of the code as it is written, of ten groups each, counted from 1.
        line: usize,
        /// The group on that line, counted from 1.
        group: usize,
        /// What was typed there: at most nine characters, unusual ones escaped.
        typed: String,
    },
    /// Every group fits, and all of them together do not.
    #[error(
        "each of the {groups} groups fits, but not all together: the last ones are missing, some stand in the place of others, or \
         two characters of one group are wrong; compare the code from its first to its last line"
    )]
    Whole {
        /// How many groups there are.
        groups: usize,
    },
    /// Too short, too long, or cut.
    #[error("the code is incomplete or too long; copy it from its first to its last line")]
    Length,
    /// Of a format from before the formats were kept.
    #[error("the code is of a format that no site ever used; ask the sender for a new code")]
    TooOld,
    /// The content is of no known shape.
    #[error("the code's content cannot be read; ask the sender for it as a file")]
    Content,
}
