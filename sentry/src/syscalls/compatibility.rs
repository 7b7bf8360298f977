//! `docs/compatibility.md`, which is made from the table. The test fails if the file is not what the table says;
//! `MOAT_BLESS=1 cargo test -p moat-sentry compatibility` writes it anew.

use std::fmt::Write;
use std::path::Path;

use moat_abi::nr;

use super::table;

fn page() -> String {
    let names = nr::TABLE;
    let (there, missing) = (table::CALLS.len(), table::MISSING.len());
    let mut page = String::new();
    let _ = write!(
        page,
        "# System calls\n\n\
         Made from the table in `sentry/src/syscalls/table.rs` by `MOAT_BLESS=1 cargo test -p moat-sentry compatibility`; \
         not to be edited by hand.\n\n\
         Of the {} numbers of x86-64, {there} are there and {missing} are missing. A missing call gives the errno that its \
         line names, which is what Linux gives where the call is not compiled in or not permitted, and is counted. Calls of \
         32-bit programs (`int 0x80`) and of x32 give ENOSYS.\n\n\
         | number | call | state | arguments |\n|---:|---|---|---|\n",
        names.len()
    );
    for (number, name) in names {
        let (state, arguments) = match (table::call(*number), table::MISSING.iter().find(|(n, ..)| n == number)) {
            (Some(call), _) => {
                let shown = call.arguments.iter().map(|a| format!("{}: {}", a.name, last_segment(a.kind)));
                (format!("there → `{}`", call.result), shown.collect::<Vec<_>>().join(", "))
            }
            (None, Some((_, _, errno, why))) => (format!("missing: {errno:?}, {why}"), String::new()),
            (None, None) => ("no line in the table".to_owned(), String::new()),
        };
        let arguments = if arguments.is_empty() { String::new() } else { format!("`{arguments}`") };
        let _ = writeln!(page, "| {number} | {name} | {state} | {arguments} |");
    }
    page
}

/// A view's name without its module.
fn last_segment(kind: &str) -> &str {
    match kind.split_once('<') {
        Some((path, _)) if path.contains("::") => &kind[path.rfind("::").map_or(0, |at| at + 2)..],
        None => kind.rsplit("::").next().unwrap_or(kind),
        Some(_) => kind,
    }
}

#[test]
fn every_number_has_a_line_in_the_table_and_no_other_name() {
    for (number, name) in nr::TABLE {
        let there = table::call(*number).map(|c| c.name);
        let missing = table::MISSING.iter().find(|(n, ..)| n == number).map(|(_, name, ..)| *name);
        assert!(there.is_some() != missing.is_some(), "{number} {name}: {there:?}, {missing:?}");
        assert_eq!(there.or(missing), Some(*name), "{number}");
    }
    assert_eq!(table::CALLS.len() + table::MISSING.len(), nr::TABLE.len());
}

#[test]
fn the_compatibility_page_says_what_the_table_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/compatibility.md");
    let page = page();
    if std::env::var_os("MOAT_BLESS").is_some() {
        let made = path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(&path, &page));
        made.unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "docs/compatibility.md is not what the table says; MOAT_BLESS=1 cargo test -p moat-sentry compatibility"
    );
}
