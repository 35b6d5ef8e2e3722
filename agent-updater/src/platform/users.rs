//! The user that test-load hooks run as, read from `/etc/passwd`.
//!
//! Left out on purpose: directory services; a test-load user is a local account, or written as `uid:gid`.

use std::fs;
use std::io;

use sealpost_hook_runner::UserIds;

#[derive(Debug, thiserror::Error)]
pub enum UserError {
    #[error("cannot read /etc/passwd")]
    Unreadable(#[source] io::Error),
    #[error("there is no local user {0:?}; name another one as test_load_user, or write uid:gid")]
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
    let passwd = fs::read_to_string("/etc/passwd").map_err(UserError::Unreadable)?;
    find_in(&passwd, name).ok_or_else(|| UserError::Unknown(name.to_owned()))
}

fn find_in(passwd: &str, name: &str) -> Option<UserIds> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next() != Some(name) {
            return None;
        }
        let user = fields.nth(1)?.parse().ok()?;
        Some(UserIds { user, group: fields.next()?.parse().ok()? })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65533:n:/:/bin/false\n";
        assert_eq!(find_in(passwd, "nobody"), Some(UserIds { user: 65_534, group: 65_533 }));
        assert_eq!(find_in(passwd, "nobo"), None);
        assert_eq!(find("12:34").unwrap(), UserIds { user: 12, group: 34 });
    }
}
