//! What two attributes say that decide where a module is and whether it is compiled: `cfg(test)` and `path = "…"`.

use super::lexer::{Kind, Token};

/// Whether an attribute's body is a `cfg` that asks for `test`.
pub(super) fn says_test(body: &[Token]) -> bool {
    if !body.first().is_some_and(|token| token.is_word("cfg")) {
        return false;
    }
    let mut groups: Vec<&str> = Vec::new();
    let mut last = "";
    for token in body {
        match &token.kind {
            Kind::Mark('(') => groups.push(last),
            Kind::Mark(')') => drop(groups.pop()),
            Kind::Word(word) if word == "test" && !groups.contains(&"not") => return true,
            Kind::Word(word) => last = word,
            _ => {}
        }
    }
    false
}

/// What `path = "…"` says.
pub(super) fn module_path(body: &[Token]) -> Option<String> {
    match body {
        [name, equals, Token { kind: Kind::Literal(path), .. }]
            if name.is_word("path") && equals.is_mark('=') =>
        {
            Some(path.clone())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architecture::lexer::tokens;

    #[test]
    fn a_cfg_that_asks_for_test_is_one_and_its_opposite_is_not() {
        for body in [
            "cfg(test)",
            "cfg(all(test, unix))",
            "cfg(any(feature = \"x\", test))",
            "cfg(all(not(unix), test))",
        ] {
            assert!(says_test(&tokens(body)), "{body}");
        }
        for body in
            ["cfg(not(test))", "cfg(unix)", "cfg_attr(test, x)", "test", "cfg(feature = \"test\")", ""]
        {
            assert!(!says_test(&tokens(body)), "{body}");
        }
    }

    #[test]
    fn a_path_is_read_from_its_attribute_only() {
        assert_eq!(module_path(&tokens("path = \"a/b.rs\"")).as_deref(), Some("a/b.rs"));
        assert_eq!(module_path(&tokens("doc = \"a/b.rs\"")), None);
        assert_eq!(module_path(&tokens("path")), None);
    }
}
