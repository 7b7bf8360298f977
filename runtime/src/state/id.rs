//! Which names a container may have.

/// Not a name for a container.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// No name.
    #[error("container id cannot be empty")]
    Empty,
    /// With characters that a file name or an engine could trip over.
    #[error("invalid container ID format: {0}")]
    Format(String),
}

/// Checks a name: runc's letters, digits, `_`, `+`, `-` and `.`, at most 1024 of them, and neither `.` nor `..`.
///
/// # Errors
/// See [`InvalidId`].
pub fn check(id: &str) -> Result<(), InvalidId> {
    if id.is_empty() {
        return Err(InvalidId::Empty);
    }
    let good = id.chars().all(|c| c.is_ascii_alphanumeric() || "_+-.".contains(c));
    if good && id != "." && id != ".." && id.len() <= 1024 { Ok(()) } else { Err(InvalidId::Format(id.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_file_names() {
        for good in ["a", "A-b_c+d.e", "...", "0"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in ["a/b", "..", ".", "a b", "ä", "a\n", "../x"] {
            assert!(matches!(check(bad), Err(InvalidId::Format(_))), "{bad}");
        }
        assert_eq!(check(""), Err(InvalidId::Empty));
    }
}
