//! Puts the sentry under the published list of host calls that it may make.

use moat_sentry::control::config::Network;
use seccompiler::{BpfProgram, TargetArch};
use serde_json::Value;

/// The lists, with a reason for each entry: `sentry` always, `network` besides where the container uses the network
/// namespace's own sockets, `errno` for what is refused without a fuss.
pub const SENTRY_LIST: &str = include_str!("../../seccomp/sentry.json");

/// What happens to a call that is not listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum)]
pub enum Unlisted {
    /// The sandbox is killed
    #[default]
    Kill,
    /// The host's audit log names it, and it is made: to find out what a list lacks
    Log,
}

struct Programs {
    list: BpfProgram,
    errno: BpfProgram,
}

fn compile(network: Network, unlisted: Unlisted) -> Result<Programs, String> {
    let mut lists: Value = serde_json::from_str(SENTRY_LIST).map_err(|e| e.to_string())?;
    if network == Network::Host {
        let more = lists["network"]["filter"].as_array().cloned().unwrap_or_default();
        if let Some(filter) = lists["sentry"]["filter"].as_array_mut() {
            filter.extend(more);
        }
    }
    if unlisted == Unlisted::Log {
        lists["sentry"]["mismatch_action"] = "log".into();
    }
    let mut programs =
        seccompiler::compile_from_json(lists.to_string().as_bytes(), TargetArch::x86_64).map_err(|e| e.to_string())?;
    match (programs.remove("sentry"), programs.remove("errno")) {
        (Some(list), Some(errno)) => Ok(Programs { list, errno }),
        _ => Err("a list is missing".into()),
    }
}

/// Puts every thread of this process under the list, for good.
///
/// # Errors
/// What is wrong with the list, or what the host refuses.
pub fn sentry(network: Network, unlisted: Unlisted) -> Result<(), String> {
    let programs = compile(network, unlisted)?;
    for program in [&programs.errno, &programs.list] {
        seccompiler::apply_filter_all_threads(program).map_err(|e| e.to_string())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_compile() {
        for network in [Network::None, Network::Host] {
            for unlisted in [Unlisted::Kill, Unlisted::Log] {
                compile(network, unlisted).unwrap();
            }
        }
    }

    #[test]
    fn every_entry_has_a_reason() {
        let lists: Value = serde_json::from_str(SENTRY_LIST).unwrap();
        for list in lists.as_object().unwrap().values() {
            for entry in list["filter"].as_array().unwrap() {
                assert!(entry["comment"].as_str().is_some_and(|c| !c.is_empty()), "{entry}");
            }
        }
    }

    fn calls(list: &str) -> Vec<String> {
        let lists: Value = serde_json::from_str(SENTRY_LIST).unwrap();
        let entries = lists[list]["filter"].as_array().unwrap();
        entries.iter().map(|e| e["syscall"].as_str().unwrap().to_owned()).collect()
    }

    /// What an entry of the list says of its arguments: index and value.
    fn arguments(entry: &Value) -> Vec<(u64, u64)> {
        let arguments = entry["args"].as_array().into_iter().flatten();
        arguments.map(|a| (a["index"].as_u64().unwrap(), a["val"].as_u64().unwrap())).collect()
    }

    #[test]
    fn the_list_has_the_options_that_the_kernel_passes_on() {
        use moat_sentry::net::host::options::{Access, PASSED};
        let lists: Value = serde_json::from_str(SENTRY_LIST).unwrap();
        let entries = lists["network"]["filter"].as_array().unwrap().iter().filter(|e| e["syscall"] == "setsockopt");
        let listed: Vec<_> = entries.map(arguments).collect();
        let settable = PASSED.iter().filter(|o| o.access != Access::Read);
        let passed: Vec<_> = settable.map(|o| vec![(1, o.level as u64), (2, o.name as u64)]).collect();
        assert_eq!(listed, passed);
    }

    #[test]
    fn no_socket_that_is_listed_is_a_raw_one() {
        let lists: Value = serde_json::from_str(SENTRY_LIST).unwrap();
        for entry in lists["network"]["filter"].as_array().unwrap().iter().filter(|e| e["syscall"] == "socket") {
            let arguments = arguments(entry);
            let (family, kind) = (arguments[0], arguments[1]);
            assert_eq!((family.0, kind.0, arguments.len()), (0, 1, 3), "{entry}");
            let raw = kind.1 & 0xf == libc::SOCK_RAW as u64;
            assert!(!raw || family.1 == libc::AF_NETLINK as u64, "{entry}");
        }
    }

    #[test]
    fn nothing_opens_a_path_or_executes() {
        let refused = calls("errno");
        let made: Vec<String> = [calls("sentry"), calls("network")].concat();
        for call in
            ["open", "openat", "openat2", "clone3", "execve", "execveat", "kill", "prlimit64", "fork", "mount", "setns"]
        {
            assert!(!made.iter().any(|c| c == call) || refused.iter().any(|c| c == call), "{call}");
        }
    }
}
