//! `linux.seccomp` of config.json, with the meaning that runc and libseccomp give it.

use std::collections::HashMap;

use moat_abi::errno::Errno;
use moat_abi::nr;
use moat_abi::seccomp::*;
use serde::Deserialize;

use super::CallData;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    default_action: String,
    default_errno_ret: Option<u32>,
    #[serde(default)]
    architectures: Option<Vec<String>>,
    #[serde(default)]
    flags: Option<Vec<String>>,
    #[serde(default)]
    syscalls: Option<Vec<Syscall>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Syscall {
    names: Vec<String>,
    action: String,
    errno_ret: Option<u32>,
    #[serde(default)]
    args: Option<Vec<Arg>>,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Arg {
    index: usize,
    value: u64,
    #[serde(default)]
    value_two: Option<u64>,
    op: String,
}

/// How an argument is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    NotEqual,
    Less,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    Greater,
    /// Under the mask that `value` is, it equals the second value.
    MaskedEqual,
}

#[derive(Clone, Copy, Debug)]
struct Condition {
    index: usize,
    comparison: Comparison,
    value: u64,
    second: u64,
}

impl Condition {
    fn holds(&self, arguments: &[u64; 6]) -> bool {
        let argument = arguments[self.index];
        match self.comparison {
            Comparison::NotEqual => argument != self.value,
            Comparison::Less => argument < self.value,
            Comparison::LessOrEqual => argument <= self.value,
            Comparison::Equal => argument == self.value,
            Comparison::GreaterOrEqual => argument >= self.value,
            Comparison::Greater => argument > self.value,
            Comparison::MaskedEqual => argument & self.value == self.second,
        }
    }
}

struct Rule {
    conditions: Vec<Condition>,
    answer: u32,
}

/// A compiled profile.
pub struct Profile {
    rules: HashMap<u32, Vec<Rule>>,
    default: u32,
    /// The highest number that the profile names. Calls that are newer than the profile do not exist for its programs,
    /// so that they fall back to older ones; as runc has it.
    newest: u32,
}

impl Profile {
    /// The profile's answer to a call.
    pub fn run(&self, data: &CallData) -> u32 {
        match self.rules.get(&data.number) {
            // A rule without conditions makes those with conditions pointless, wherever it stands.
            Some(rules) => rules
                .iter()
                .find(|rule| rule.conditions.is_empty())
                .or_else(|| rules.iter().find(|rule| rule.conditions.iter().all(|c| c.holds(&data.arguments))))
                .map_or(self.default, |rule| rule.answer),
            None if data.number > self.newest && refuses(self.default) => {
                SECCOMP_RET_ERRNO | Errno::ENOSYS.raw() as u32
            }
            None => self.default,
        }
    }
}

fn refuses(answer: u32) -> bool {
    !matches!(answer & SECCOMP_RET_ACTION_FULL, SECCOMP_RET_ALLOW | SECCOMP_RET_LOG | SECCOMP_RET_TRACE)
}

fn action(field: &str, name: &str, errno: Option<u32>) -> Result<u32, String> {
    let data = errno.unwrap_or(Errno::EPERM.raw() as u32);
    if data > 0xffff {
        return Err(format!("{field}: errnoRet {data} is out of range"));
    }
    let answer = match name {
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => SECCOMP_RET_KILL_THREAD,
        "SCMP_ACT_KILL_PROCESS" => SECCOMP_RET_KILL_PROCESS,
        "SCMP_ACT_TRAP" => SECCOMP_RET_TRAP,
        "SCMP_ACT_ERRNO" => return Ok(SECCOMP_RET_ERRNO | data),
        "SCMP_ACT_TRACE" => return Ok(SECCOMP_RET_TRACE | data),
        "SCMP_ACT_LOG" => SECCOMP_RET_LOG,
        "SCMP_ACT_ALLOW" => SECCOMP_RET_ALLOW,
        "SCMP_ACT_NOTIFY" => {
            return Err(format!(
                "{field}: SCMP_ACT_NOTIFY is not supported: no agent can take calls over from a sandbox"
            ));
        }
        _ => return Err(format!("{field}: {name:?} is no seccomp action")),
    };
    match errno {
        // runc passes it on to libseccomp, which has no place for it; 0 is what tools write that have no notion of it.
        Some(1..) => Err(format!("{field}: errnoRet has no meaning for {name}")),
        _ => Ok(answer),
    }
}

fn condition(field: &str, arg: &Arg) -> Result<Condition, String> {
    if arg.index > 5 {
        return Err(format!("{field}.index: {} is no argument; a system call has six", arg.index));
    }
    let comparison = match arg.op.as_str() {
        "SCMP_CMP_NE" => Comparison::NotEqual,
        "SCMP_CMP_LT" => Comparison::Less,
        "SCMP_CMP_LE" => Comparison::LessOrEqual,
        "SCMP_CMP_EQ" => Comparison::Equal,
        "SCMP_CMP_GE" => Comparison::GreaterOrEqual,
        "SCMP_CMP_GT" => Comparison::Greater,
        "SCMP_CMP_MASKED_EQ" => Comparison::MaskedEqual,
        other => return Err(format!("{field}.op: {other:?} is no operator")),
    };
    Ok(Condition { index: arg.index, comparison, value: arg.value, second: arg.value_two.unwrap_or(0) })
}

/// The alternatives that an entry's conditions are: one of all of them together, or, if an argument is named twice,
/// each alone (runc's `matchCall`).
fn alternatives(conditions: Vec<Condition>) -> Vec<Vec<Condition>> {
    let twice = (0..6).any(|i| conditions.iter().filter(|c| c.index == i).count() > 1);
    if twice { conditions.into_iter().map(|c| vec![c]).collect() } else { vec![conditions] }
}

/// Compiles a profile; the second value says whether refused calls are logged.
///
/// # Errors
/// The field that is wrong, and how.
pub fn parse(json: &str) -> Result<(Profile, bool), String> {
    let config: Config = serde_json::from_str(json).map_err(|e| format!("linux.seccomp: {e}"))?;
    let default = action("linux.seccomp.defaultAction", &config.default_action, config.default_errno_ret)?;
    for architecture in config.architectures.iter().flatten() {
        if !architecture.starts_with("SCMP_ARCH_") {
            return Err(format!("linux.seccomp.architectures: {architecture:?} is no architecture"));
        }
    }
    let mut log = false;
    for flag in config.flags.iter().flatten() {
        match flag.as_str() {
            "SECCOMP_FILTER_FLAG_LOG" => log = true,
            "SECCOMP_FILTER_FLAG_TSYNC" | "SECCOMP_FILTER_FLAG_SPEC_ALLOW" => {}
            "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" => {}
            _ => return Err(format!("linux.seccomp.flags: {flag:?} is no flag")),
        }
    }
    let mut rules: HashMap<u32, Vec<Rule>> = HashMap::new();
    let mut newest = 0;
    for (i, entry) in config.syscalls.iter().flatten().enumerate() {
        let field = format!("linux.seccomp.syscalls[{i}]");
        let answer = action(&format!("{field}.action"), &entry.action, entry.errno_ret)?;
        let conditions = entry.args.iter().flatten().enumerate();
        let conditions: Vec<Condition> =
            conditions.map(|(j, arg)| condition(&format!("{field}.args[{j}]"), arg)).collect::<Result<_, _>>()?;
        // Names that this architecture does not have are for others.
        let numbers = entry.names.iter().filter_map(|name| nr::TABLE.iter().find(|(_, n)| n == name));
        for number in numbers.map(|(number, _)| *number as u32) {
            newest = newest.max(number);
            // What the default does anyway is no rule.
            if answer == default {
                continue;
            }
            let all = rules.entry(number).or_default();
            all.extend(alternatives(conditions.clone()).into_iter().map(|conditions| Rule { conditions, answer }));
        }
    }
    Ok((Profile { rules, default, newest }, log))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(json: &str) -> Profile {
        parse(json).map(|p| p.0).unwrap_or_else(|e| panic!("{e}"))
    }

    fn answer(profile: &Profile, number: u64, arguments: [u64; 6]) -> u32 {
        profile.run(&CallData { number: number as u32, instruction: 0, arguments })
    }

    fn with_arg(op: &str, value: u64, second: u64, argument: u64) -> bool {
        let json = format!(
            r#"{{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{{"names":["dup"],"action":"SCMP_ACT_ALLOW",
                "args":[{{"index":1,"value":{value},"valueTwo":{second},"op":"{op}"}}]}}]}}"#
        );
        answer(&profile(&json), nr::DUP, [0, argument, 0, 0, 0, 0]) == SECCOMP_RET_ALLOW
    }

    #[test]
    fn every_operator_compares_64_bits_without_sign() {
        for (op, below, same, above) in [
            ("SCMP_CMP_NE", true, false, true),
            ("SCMP_CMP_LT", true, false, false),
            ("SCMP_CMP_LE", true, true, false),
            ("SCMP_CMP_EQ", false, true, false),
            ("SCMP_CMP_GE", false, true, true),
            ("SCMP_CMP_GT", false, false, true),
        ] {
            let value = 1 << 40;
            assert_eq!(with_arg(op, value, 0, value - 1), below, "{op}");
            assert_eq!(with_arg(op, value, 0, value), same, "{op}");
            assert_eq!(with_arg(op, value, 0, u64::MAX), above, "{op}");
        }
        assert!(with_arg("SCMP_CMP_MASKED_EQ", 0xff00, 0x1200, 0x51234));
        assert!(!with_arg("SCMP_CMP_MASKED_EQ", 0xff00, 0x1200, 0x51334));
    }

    #[test]
    fn what_is_not_named_gets_the_default() {
        let p = profile(
            r#"{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":38,"architectures":["SCMP_ARCH_X86_64"],
                "syscalls":[{"names":["read","no_such_call","write"],"action":"SCMP_ACT_ALLOW"},
                            {"names":["mount"],"action":"SCMP_ACT_KILL_PROCESS"},
                            {"names":["chroot"],"action":"SCMP_ACT_ERRNO","errnoRet":13},
                            {"names":["ptrace"],"action":"SCMP_ACT_ERRNO"},
                            {"names":["kexec_load"],"action":"SCMP_ACT_TRAP"},{"names":["acct"],"action":"SCMP_ACT_LOG"}]}"#,
        );
        assert_eq!(answer(&p, nr::READ, [0; 6]), SECCOMP_RET_ALLOW);
        assert_eq!(answer(&p, nr::OPEN, [0; 6]), SECCOMP_RET_ERRNO | 38);
        assert_eq!(answer(&p, nr::MOUNT, [0; 6]), SECCOMP_RET_KILL_PROCESS);
        assert_eq!(answer(&p, nr::CHROOT, [0; 6]), SECCOMP_RET_ERRNO | 13);
        assert_eq!(answer(&p, nr::PTRACE, [0; 6]), SECCOMP_RET_ERRNO | 1);
        assert_eq!(answer(&p, nr::KEXEC_LOAD, [0; 6]), SECCOMP_RET_TRAP);
        assert_eq!(answer(&p, nr::ACCT, [0; 6]), SECCOMP_RET_LOG);
    }

    #[test]
    fn calls_newer_than_the_profile_do_not_exist() {
        let refuse = r#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["dup3"],"action":"SCMP_ACT_ALLOW"}]}"#;
        assert_eq!(answer(&profile(refuse), nr::CLONE3, [0; 6]), SECCOMP_RET_ERRNO | 38);
        assert_eq!(answer(&profile(refuse), nr::OPEN, [0; 6]), SECCOMP_RET_ERRNO | 1);
        let allow = r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["dup3"],"action":"SCMP_ACT_ERRNO"}]}"#;
        assert_eq!(answer(&profile(allow), nr::CLONE3, [0; 6]), SECCOMP_RET_ALLOW);
    }

    #[test]
    fn conditions_on_one_argument_are_alternatives_and_on_several_a_conjunction() {
        let two = |second: usize| {
            format!(
                r#"{{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{{"names":["dup"],"action":"SCMP_ACT_ALLOW","args":[
                    {{"index":0,"value":1,"op":"SCMP_CMP_EQ"}},{{"index":{second},"value":2,"op":"SCMP_CMP_EQ"}}]}}]}}"#
            )
        };
        let same = profile(&two(0));
        assert_eq!(answer(&same, nr::DUP, [1, 0, 0, 0, 0, 0]), SECCOMP_RET_ALLOW);
        assert_eq!(answer(&same, nr::DUP, [2, 0, 0, 0, 0, 0]), SECCOMP_RET_ALLOW);
        let different = profile(&two(1));
        assert_eq!(answer(&different, nr::DUP, [1, 0, 0, 0, 0, 0]), SECCOMP_RET_ERRNO | 1);
        assert_eq!(answer(&different, nr::DUP, [1, 2, 0, 0, 0, 0]), SECCOMP_RET_ALLOW);
    }

    #[test]
    fn what_cannot_be_honoured_is_refused_by_name() {
        let error = |json: &str| parse(json).err().unwrap_or_default();
        let notify =
            r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mount"],"action":"SCMP_ACT_NOTIFY"}]}"#;
        assert!(error(notify).starts_with("linux.seccomp.syscalls[0].action: SCMP_ACT_NOTIFY is not supported"));
        assert!(error(r#"{"defaultAction":"SCMP_ACT_WHAT"}"#).contains("defaultAction"));
        assert!(error(r#"{"syscalls":[]}"#).contains("defaultAction"));
        assert!(error(r#"{"defaultAction":"SCMP_ACT_ALLOW","flags":["X"]}"#).contains("linux.seccomp.flags"));
        let index = r#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["dup"],"action":"SCMP_ACT_ALLOW",
            "args":[{"index":6,"value":0,"op":"SCMP_CMP_EQ"}]}]}"#;
        assert!(error(index).contains("syscalls[0].args[0].index"));
    }
}
