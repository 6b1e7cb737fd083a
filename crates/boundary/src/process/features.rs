//! What of the boundary this machine offers.

use super::cgroup::{Controller, Groups};
use crate::sys::kernel;
use crate::sys::network_namespace::NetworkNamespace;
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
    /// Whether programs, or those with mounts, are refused without it.
    pub is_needed: bool,
}

/// Looks at every part. Control groups and a user namespace are made to see whether they can be,
/// and removed again.
#[must_use]
pub fn detect() -> Vec<Feature> {
    let is_root = rustix::process::geteuid().is_root();
    let rights = rights_of_root();
    let needs_user_namespace = !is_root || rights.is_err();
    let mut features = vec![
        Feature {
            name: "seccomp",
            state: seccomp(),
            cost: Some(
                "nothing runs without --insecure-no-boundary; with it a guest that breaks out may \
                 make any system call",
            ),
            is_needed: true,
        },
        Feature {
            name: "Landlock",
            state: landlock(),
            cost: Some(
                "nothing runs without --insecure-no-boundary; with it a guest that breaks out is \
                 kept from files by a root of its own alone",
            ),
            is_needed: true,
        },
    ];
    if is_root {
        features.push(Feature {
            name: "rights of root",
            state: rights,
            cost: Some("programs run as root in a user namespace, not under ids of their own"),
            is_needed: false,
        });
    }
    features.extend([
        Feature {
            name: "user namespaces",
            state: user_namespaces(),
            cost: Some(if needs_user_namespace {
                "programs without mounts run; mounts need --insecure-no-boundary, and with it a \
                 guest that breaks out is kept from other files by Landlock alone, which hides \
                 neither their names nor their times"
            } else {
                "as root, writable mounts need --user with their owner"
            }),
            is_needed: needs_user_namespace,
        },
        Feature {
            name: "idmapped mounts",
            state: kernel_from(5, 12, "idmapped mounts"),
            cost: Some("as root, writable mounts need --user with their owner"),
            is_needed: false,
        },
        Feature {
            name: "executable memory seal",
            state: seal(),
            cost: Some("a second system call filter takes its place, which makes starts slower"),
            is_needed: false,
        },
        Feature {
            name: "mediated network",
            state: kernel_from(5, 14, "what answers for sockets"),
            cost: Some("programs with a network do not run"),
            is_needed: false,
        },
        Feature {
            name: "network namespaces",
            state: NetworkNamespace::make()
                .map(|_| "can be made".to_owned())
                .map_err(|error| error.to_string()),
            cost: Some("programs listen on published ports only"),
            is_needed: false,
        },
    ]);
    features.extend(control_groups(is_root));
    features
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

/// Capabilities by which root makes a runner's surroundings (`include/uapi/linux/capability.h`).
const RIGHTS: [(u32, &str); 4] = [
    (6, "CAP_SETGID"),
    (7, "CAP_SETUID"),
    (18, "CAP_SYS_CHROOT"),
    (21, "CAP_SYS_ADMIN"),
];

fn rights_of_root() -> Result<String, String> {
    let status = read("/proc/self/status").unwrap_or_default();
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok())
        .unwrap_or(0);
    let missing: Vec<&str> = RIGHTS
        .iter()
        .filter(|(bit, _)| effective >> bit & 1 == 0)
        .map(|(_, name)| *name)
        .collect();
    if missing.is_empty() {
        Ok("all that are needed".to_owned())
    } else {
        Err(format!("without {}", missing.join(", ")))
    }
}

fn user_namespaces() -> Result<String, String> {
    let is = |path: &str, value: &str| read(path).as_deref() == Some(value);
    match crate::sys::clone::try_user_namespace() {
        // They are there, and the rights in them are not.
        Ok(())
            if is(
                "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
                "1",
            ) =>
        {
            if is("/proc/self/attr/apparmor/current", "unconfined") {
                return Err(
                    "AppArmor takes their rights away, and Lighter's profile is not loaded"
                        .to_owned(),
                );
            }
        }
        Ok(()) => {}
        Err(_) if is("/proc/sys/kernel/unprivileged_userns_clone", "0") => {
            return Err("kernel.unprivileged_userns_clone is 0".to_owned());
        }
        Err(_) if is("/proc/sys/user/max_user_namespaces", "0") => {
            return Err("user.max_user_namespaces is 0".to_owned());
        }
        Err(error) => return Err(error.to_string()),
    }
    Ok("can be made".to_owned())
}

fn seal() -> Result<String, String> {
    #[expect(unsafe_code, reason = "rustix has no call for it")]
    // SAFETY: PR_GET_MDWE takes numbers only and changes nothing.
    let flags = unsafe { libc::prctl(66, 0, 0, 0, 0) };
    if flags >= 0 {
        Ok("PR_SET_MDWE".to_owned())
    } else {
        Err("PR_SET_MDWE came with Linux 6.3".to_owned())
    }
}

fn kernel_from(major: u32, minor: u32, what: &str) -> Result<String, String> {
    let found = kernel::version();
    if found >= (major, minor) {
        Ok(format!("Linux {}.{}", found.0, found.1))
    } else {
        Err(format!(
            "Linux {}.{}; {what} came with {major}.{minor}",
            found.0, found.1
        ))
    }
}

fn control_groups(is_root: bool) -> [Feature; 3] {
    let all = Limits {
        memory_bytes: Some(LEAST_MEMORY_BYTES),
        nano_cpus: Some(NANO_CPU),
        threads: Some(MOST_THREADS),
    };
    let groups = Groups::make(&all);
    let feature = |controller, name, cost| Feature {
        name,
        state: if groups.hold(controller) {
            Ok("can be made".to_owned())
        } else {
            Err("none can be made here".to_owned())
        },
        cost: Some(cost),
        is_needed: false,
    };
    [
        feature(
            Controller::Memory,
            "memory control group",
            "--memory bounds what a guest asks for, and what else its process takes only roughly (64 MiB \
             and 1.5 MiB for each thread more)",
        ),
        feature(Controller::Cpu, "cpu control group", "--cpus is refused"),
        feature(
            Controller::Pids,
            "pids control group",
            if is_root {
                "where root has no rights, as in a container, only Lighter counts a guest's threads"
            } else {
                "nothing, as the kernel counts a guest's threads by its user namespace"
            },
        ),
    ]
}
