//! The user that test-load hooks run as, read from `/etc/passwd`.
//!
//! Invariant: only the line of that user counts. Everybody may change a part of their own line (`chfn`), also into bytes
//! that are no UTF-8, and must not keep updates of this computer back by it.
//! Left out on purpose: directory services; a test-load user is a local account, or written as `uid:gid`.

use std::fs;
use std::io;

use crate::task::UserIds;

/// Why a user is not found.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// The list of local users.
    #[error("cannot read /etc/passwd")]
    Unreadable(#[source] io::Error),
    /// Nobody has this name.
    #[error("there is no local user {0:?}; name another one in the configuration, or write uid:gid")]
    Unknown(String),
}

/// Finds a local user by name, or parses `uid:gid`.
///
/// # Errors
/// [`UserError`].
pub fn find(name: &str) -> Result<UserIds, UserError> {
    if let Some((user, group)) = name.split_once(':')
        && let (Ok(user), Ok(group)) = (user.parse(), group.parse())
    {
        return Ok(UserIds { user, group });
    }
    let passwd = fs::read("/etc/passwd").map_err(UserError::Unreadable)?;
    find_in(&passwd, name).ok_or_else(|| UserError::Unknown(name.to_owned()))
}

/// The first line of that name with two numbers counts, as for the system.
fn find_in(passwd: &[u8], name: &str) -> Option<UserIds> {
    passwd.split(|byte| *byte == b'\n').find_map(|line| {
        let mut fields = line.split(|byte| *byte == b':');
        if fields.next() != Some(name.as_bytes()) {
            return None;
        }
        let user = number(fields.nth(1)?)?;
        Some(UserIds { user, group: number(fields.next()?)? })
    })
}

fn number(field: &[u8]) -> Option<u32> {
    str::from_utf8(field).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        let passwd = b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65533:n:/:/bin/false\n";
        assert_eq!(find_in(passwd, "nobody"), Some(UserIds { user: 65_534, group: 65_533 }));
        assert_eq!(find_in(passwd, "nobo"), None);
        assert_eq!(find("12:34").unwrap(), UserIds { user: 12, group: 34 });
    }

    #[test]
    fn a_line_of_another_user_changes_nothing_whatever_bytes_it_has() {
        for other in
            [&b"mallory:x:1001:1001:,\xff,,:/home/mallory:/bin/sh"[..], b"m\xfc:x:1:1", b"", b":", b"\0\r"]
        {
            let passwd = [other, b"nobody:x:65534:65533:\xe4:/:/bin/false", other].join(&b'\n');
            let found = find_in(&passwd, "nobody");
            assert_eq!(found, Some(UserIds { user: 65_534, group: 65_533 }), "{other:?}");
        }
        assert_eq!(find_in(b"a:x:1:2\na:x:3:4", "a"), Some(UserIds { user: 1, group: 2 }));
        assert_eq!(find_in(b"a:x:\xff:2\na:x:3:4", "a"), Some(UserIds { user: 3, group: 4 }));
        assert_eq!(find_in(b"a:x:1", "a"), None);
    }
}
