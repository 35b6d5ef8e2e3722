//! What a file without an interpreter line is, by its first bytes.
//!
//! Invariant: only what can be text is given to a shell: a shell that is given nothing says that all is well.
//! Left out on purpose: whether a binary is whole, and for this computer; the system says so when it starts it.

/// How many first bytes of a file are looked at; the system reads as many to find an interpreter.
pub const HEAD_BYTES: u64 = 256;
/// With this a binary for Linux begins.
const ELF: &[u8] = b"\x7fELF";

/// What a file without an interpreter line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contents {
    /// A binary for Linux.
    Binary,
    /// Possibly a script of a shell.
    Text,
    /// Nothing, or nothing but white space.
    Empty,
    /// None of these.
    Unknown,
}

impl Contents {
    /// By the first [`HEAD_BYTES`] of a file.
    #[must_use]
    pub fn of(head: &[u8]) -> Self {
        if head.starts_with(ELF) {
            Self::Binary
        } else if head.iter().any(|byte| is_control(*byte)) {
            Self::Unknown
        } else if head.iter().all(u8::is_ascii_whitespace) {
            Self::Empty
        } else {
            Self::Text
        }
    }
}

/// Whether no text has this byte, in whatever encoding that has ASCII in it. Texts have the bell, backspace, white space and
/// escape.
const fn is_control(byte: u8) -> bool {
    matches!(byte, 0..=6 | 14..=26 | 28..=31 | 127)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_text_is_text() {
        for text in
            ["exit 0\n", "\u{feff}echo on", "echo \u{1b}[1mgrün\u{1b}[0m\r\n", "#\n", ": \u{b}\u{c}\n"]
        {
            assert_eq!(Contents::of(text.as_bytes()), Contents::Text, "{text:?}");
        }
        assert_eq!(Contents::of(b"echo gr\xfcn\n"), Contents::Text);
        assert_eq!(Contents::of(b"\x7fELF\x02\x01\x01\0"), Contents::Binary);
        for empty in ["", "\n\n", " \t\r\n"] {
            assert_eq!(Contents::of(empty.as_bytes()), Contents::Empty, "{empty:?}");
        }
        for unknown in [&[0; 256][..], b"exit 0\n\0\0\0", b"PK\x03\x04", b"\xff\xfee\0c\0h\0o\0", b"\x7f"] {
            assert_eq!(Contents::of(unknown), Contents::Unknown, "{unknown:?}");
        }
    }
}
