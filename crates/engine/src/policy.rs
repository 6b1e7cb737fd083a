//! What a locked process may ask of the kernel, in words.

use lighter_lock::{Call, Group, Role, When, calls};

/// A system call that a locked process may make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyCall {
    /// Its name.
    pub name: &'static str,
    /// Its number on this architecture.
    pub number: u32,
    /// Who may make it.
    pub holder: &'static str,
    /// On which condition; empty without one.
    pub condition: String,
    /// What it is there for.
    pub reason: &'static str,
}

/// The calls that the roles of this version may make, by name.
#[must_use]
pub fn policy() -> Vec<PolicyCall> {
    let mut all: Vec<&Call> = calls(Role::Run).chain(calls(Role::Compile)).collect();
    all.sort_by_key(|call| (call.name, call.group as u8));
    all.dedup();
    all.into_iter()
        .map(|call| PolicyCall {
            name: call.name,
            number: call.number,
            holder: holder(call.group),
            condition: condition(call.when),
            reason: call.reason,
        })
        .collect()
}

fn holder(group: Group) -> &'static str {
    match group {
        Group::Base => "every role",
        Group::Code => "programs",
        Group::Read => "compiler and parser",
        Group::Files => "programs with files",
        Group::SealFilter => "poorer systems",
        Group::Network => "programs with a network",
        Group::Published => "programs with published ports",
    }
}

fn condition(when: When) -> String {
    let masked = |argument: u8, mask: u32, value: u32| match mask {
        u32::MAX => format!("argument {argument} = {value:#x}"),
        _ => format!("argument {argument} & {mask:#x} = {value:#x}"),
    };
    match when {
        When::Always => String::new(),
        When::Absent => "never: it is answered with ENOSYS".to_owned(),
        When::Masked {
            argument,
            mask,
            value,
        } => masked(argument, mask, value),
        When::BothMasked([first, second]) => format!(
            "{} and {}",
            masked(first.0, first.1, first.2),
            masked(second.0, second.1, second.2)
        ),
        When::Asked => "the keeper decides, and makes it".to_owned(),
        When::AskedUnlessNull {
            pointer,
            argument,
            without,
        } => format!(
            "argument {argument} & {without:#x} = 0x0; the keeper decides where argument {pointer} is not null"
        ),
        When::Options(levels, asked) => {
            let levels: Vec<String> = levels
                .iter()
                .map(|(level, options)| format!("{} of level {level}", join(options)))
                .collect();
            let asked = asked.iter().map(|(level, option)| {
                format!("; the keeper decides on {option} of level {level}")
            });
            format!(
                "option is one of {}{}",
                levels.join("; "),
                asked.collect::<String>()
            )
        }
        When::OneOf { values: [], .. } => "on the process itself".to_owned(),
        When::OneOf { argument, values } => {
            format!("argument {argument} is one of {}", join(values))
        }
    }
}

fn join(numbers: &[u32]) -> String {
    let texts: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_is_told_with_its_condition() {
        let policy = policy();
        let find = |name: &str, holder: &str| {
            policy
                .iter()
                .find(|call| call.name == name && call.holder == holder)
        };
        let read = find("read", "every role").expect("it is allowed");
        assert_eq!(read.condition, "");
        let mmap = find("mmap", "every role").expect("it is allowed");
        assert_eq!(
            mmap.condition,
            "argument 2 & 0x4 = 0x0 and argument 3 & 0x4210f = 0x2"
        );
        let tkill = find("tkill", "every role").expect("it is allowed");
        assert_eq!(tkill.condition, "on the process itself");
        assert!(find("openat2", "programs with files").is_some());
        assert!(find("mremap", "compiler and parser").is_some());
        let connect = find("connect", "programs with a network").expect("it is asked for");
        assert_eq!(connect.condition, "the keeper decides, and makes it");
        let options = find("setsockopt", "programs with a network").expect("some are allowed");
        assert!(options.condition.contains("1, 4, 5, 6, 12, 18 of level 6"));
        assert!(policy.iter().all(|call| call.name != "sendmsg"));
    }
}
