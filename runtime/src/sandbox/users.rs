//! Users and groups: which the runtime's user namespace has, and how the lead's maps them.

use std::fmt::Write;

/// A line of a map: the first number inside, the first outside, how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The first number inside.
    pub inside: u32,
    /// The first number outside.
    pub outside: u32,
    /// How many.
    pub count: u32,
}

/// A sentry's user is taken from here up where the runtime's namespace has all users: far from any range that is handed
/// out.
const FIRST_SENTRY_USER: u32 = 0x6d6f_0000;

/// Reads the lines of a map file.
pub fn parse_map(text: &str) -> Vec<Extent> {
    text.lines()
        .filter_map(|line| {
            let mut numbers = line.split_ascii_whitespace().map(str::parse);
            match (numbers.next()?, numbers.next()?, numbers.next()?) {
                (Ok(inside), Ok(outside), Ok(count)) => Some(Extent { inside, outside, count }),
                _ => None,
            }
        })
        .collect()
}

/// The lines of a map file.
pub fn format_map(extents: &[Extent]) -> String {
    extents.iter().fold(String::new(), |mut text, e| {
        let _ = writeln!(text, "{} {} {}", e.inside, e.outside, e.count);
        text
    })
}

fn own(name: &str) -> Vec<Extent> {
    parse_map(&std::fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default())
}

/// Maps that leave every user and group of the runtime's namespace as it is. An extent must not span two of the parent's.
pub fn own_maps() -> Option<(String, String)> {
    let same = |name| {
        let extents: Vec<Extent> = own(name).into_iter().map(|e| Extent { outside: e.inside, ..e }).collect();
        (!extents.is_empty()).then(|| format_map(&extents))
    };
    Some((same("uid_map")?, same("gid_map")?))
}

/// A user that the sentry can have for its own; none in a namespace with a few users, and none where a later verb, being
/// an ordinary user again, could not kill it.
pub fn spare_user() -> Option<u32> {
    if super::rootless::entered() {
        return None;
    }
    spare(&own("uid_map"), &own("gid_map"), std::process::id())
}

fn spare(uids: &[Extent], gids: &[Extent], pid: u32) -> Option<u32> {
    let known = |extents: &[Extent], id: u32| extents.iter().any(|e| id >= e.inside && id - e.inside < e.count);
    let own = FIRST_SENTRY_USER + (pid & 0xffff);
    let last = uids.iter().filter_map(|e| (e.inside.checked_add(e.count)?).checked_sub(1)).max()?;
    [own, last].into_iter().find(|&id| id >= 1000 && known(uids, id) && known(gids, id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_are_read_and_written() {
        let extents = parse_map("         0       1000          1\n         1     100000      65536\n");
        assert_eq!(extents[1], Extent { inside: 1, outside: 100_000, count: 65536 });
        assert_eq!(format_map(&extents), "0 1000 1\n1 100000 65536\n");
    }

    #[test]
    fn the_sentry_has_a_user_of_its_own_where_there_is_one() {
        let all = [Extent { inside: 0, outside: 0, count: u32::MAX }];
        assert_eq!(spare(&all, &all, 7), Some(FIRST_SENTRY_USER + 7));
        let range = parse_map("0 1000 1\n1 100000 65536\n");
        assert_eq!(spare(&range, &range, 7), Some(65536));
        let single = parse_map("0 1000 1\n");
        assert_eq!(spare(&single, &single, 7), None);
    }
}
