//! What of the boundary this machine offers.

use super::cgroup::{Controller, Groups};
use lighter_types::limits::{LEAST_MEMORY_BYTES, Limits, MOST_THREADS, NANO_CPU};
use std::fs;

/// A part of the boundary.
#[derive(Clone, Debug)]
pub struct Feature {
    /// Its name.
    pub name: &'static str,
    /// What was found, or what is missing.
    pub state: Result<String, String>,
    /// What it costs where it is missing.
    pub cost: Option<&'static str>,
}

/// Looks at every part. Control groups are made to see whether they can be, and removed again.
#[must_use]
pub fn detect() -> Vec<Feature> {
    vec![
        Feature {
            name: "seccomp",
            state: seccomp(),
            cost: Some("nothing runs: the system call filter is the lock's core"),
        },
        Feature {
            name: "Landlock",
            state: landlock(),
            cost: Some("nothing runs: files would only be kept by their owners"),
        },
        Feature {
            name: "user namespaces",
            state: user_namespaces(),
            cost: Some("an ordinary user can run nothing; root is not affected"),
        },
        Feature {
            name: "idmapped mounts",
            state: kernel_from(5, 12, "idmapped mounts"),
            cost: Some("as root, writable mounts need --user with their owner"),
        },
        Feature {
            name: "executable memory seal",
            state: kernel_from(6, 3, "PR_SET_MDWE"),
            cost: Some("a second system call filter takes its place, which makes starts slower"),
        },
        Feature {
            name: "control groups",
            state: control_groups(),
            cost: Some(
                "--cpus is refused; --memory bounds what a guest asks for, and 64 MiB more of what \
                 else its process takes",
            ),
        },
    ]
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path)
        .ok()
        .map(|text| text.trim().to_owned())
}

fn seccomp() -> Result<String, String> {
    match read("/proc/sys/kernel/seccomp/actions_avail") {
        Some(actions) if actions.contains("user_notif") => Ok("with user notification".to_owned()),
        Some(_) => Err("without user notification (Linux 5.0 or later has it)".to_owned()),
        None => Err("not in this kernel".to_owned()),
    }
}

fn landlock() -> Result<String, String> {
    #[expect(
        unsafe_code,
        reason = "the version is asked for by a system call of its own"
    )]
    // SAFETY: asked for its version, the call reads no memory and changes nothing.
    let version = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, 0, 0, 1) };
    if version > 0 {
        Ok(format!("ABI {version}"))
    } else {
        Err("not in this kernel, or turned off".to_owned())
    }
}

fn user_namespaces() -> Result<String, String> {
    if read("/proc/sys/kernel/unprivileged_userns_clone").as_deref() == Some("0") {
        return Err("kernel.unprivileged_userns_clone is 0".to_owned());
    }
    if read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").as_deref() == Some("1") {
        return Err("kernel.apparmor_restrict_unprivileged_userns is 1".to_owned());
    }
    match read("/proc/sys/user/max_user_namespaces").and_then(|text| text.parse::<u64>().ok()) {
        Some(0) => Err("user.max_user_namespaces is 0".to_owned()),
        Some(most) => Ok(format!("up to {most}")),
        None => Err("not in this kernel".to_owned()),
    }
}

fn kernel_from(major: u32, minor: u32, what: &str) -> Result<String, String> {
    let release = rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned();
    let mut numbers = release
        .split(['.', '-'])
        .map_while(|part| part.parse::<u32>().ok());
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if found >= (major, minor) {
        Ok(format!("Linux {}.{}", found.0, found.1))
    } else {
        Err(format!(
            "Linux {}.{}; {what} came with {major}.{minor}",
            found.0, found.1
        ))
    }
}

fn control_groups() -> Result<String, String> {
    let all = Limits {
        memory_bytes: Some(LEAST_MEMORY_BYTES),
        nano_cpus: Some(NANO_CPU),
        threads: Some(MOST_THREADS),
    };
    let groups = Groups::make(&all);
    let (held, missing): (Vec<Controller>, Vec<Controller>) = Controller::ALL
        .into_iter()
        .partition(|controller| groups.hold(*controller));
    let list = |controllers: Vec<Controller>| {
        let names: Vec<&str> = controllers.into_iter().map(Controller::name).collect();
        names.join(", ")
    };
    match missing.as_slice() {
        [] => Ok(list(held)),
        _ if held.is_empty() => Err("none can be made by this user".to_owned()),
        _ => Err(format!("only for {}", list(held))),
    }
}
