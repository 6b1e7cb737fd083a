//! Control groups: what holds a runner to its memory, processor time and threads, where this user
//! may make them.
//!
//! ```text
//!   version 1                                   version 2
//!   memory/OWN/lighter-NS-PID-N                 NEAREST/lighter-NS-PID-N
//!   cpu/OWN/lighter-NS-PID-N                      one group for all controllers, below the nearest
//!   pids/OWN/lighter-NS-PID-N                     of our groups that may have children
//! ```
//!
//! A group lies below our own, or, in version 2, where a group that holds processes can have no
//! children, beside it if it has no bounds: so whatever bounds us bounds a runner too. NS is our process
//! namespace: only of that can we tell whose keeper is gone and left a group behind.
//!
//! Sources: Linux, `Documentation/admin-guide/cgroup-v1` and `cgroup-v2.rst`.

use crate::StartError;
use lighter_types::limits::{Limits, NANO_CPU, RUNTIME_THREADS};
use rustix::fs::{Mode, OFlags};
use rustix::process::Pid;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// What holds a runner to a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Controller {
    Memory,
    Cpu,
    Pids,
}

impl Controller {
    pub(crate) const ALL: [Self; 3] = [Self::Memory, Self::Cpu, Self::Pids];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::Pids => "pids",
        }
    }

    fn is_asked_for(self, limits: &Limits) -> bool {
        match self {
            Self::Memory => limits.memory_bytes.is_some(),
            Self::Cpu => limits.nano_cpus.is_some(),
            Self::Pids => limits.threads.is_some(),
        }
    }
}

/// The period in which processor time is counted, in microseconds, as Docker sets it.
const PERIOD_MICROSECONDS: u64 = 100_000;

/// The version of control groups that has a controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// The groups of one runner; they go away with this value, which must outlive the runner.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    groups: Vec<Group>,
}

#[derive(Debug)]
struct Group {
    directory: PathBuf,
    version: Version,
    controllers: Vec<Controller>,
    /// Its `cgroup.procs`, open for writing.
    processes: OwnedFd,
}

impl Groups {
    /// Makes groups for the limits that there are, as far as this user may; what could not be had
    /// is told by [`Groups::hold`].
    pub(crate) fn make(limits: &Limits) -> Self {
        let asked: Vec<Controller> = Controller::ALL
            .into_iter()
            .filter(|controller| controller.is_asked_for(limits))
            .collect();
        if asked.is_empty() {
            return Self::default();
        }
        let tree = Tree::read();
        let mut groups = Self::default();
        let of_version_one = |controller: &Controller| tree.version_one(*controller).is_some();
        let (one, two): (Vec<Controller>, Vec<Controller>) =
            asked.into_iter().partition(of_version_one);
        for controller in one {
            let parent = tree.version_one(controller);
            groups.add(Version::One, parent.as_slice(), &[controller], limits);
        }
        let parents: Vec<PathBuf> = tree.version_two().collect();
        for controllers in subsets(&two, &parents) {
            // A process is in one group of this version, so the first that can be made is all there is.
            if groups.add(Version::Two, &parents, &controllers, limits) {
                break;
            }
        }
        groups
    }

    fn add(
        &mut self,
        version: Version,
        parents: &[PathBuf],
        controllers: &[Controller],
        limits: &Limits,
    ) -> bool {
        let made = parents
            .iter()
            .find_map(|parent| Group::make(version, parent, controllers.to_vec(), limits).ok());
        let is_made = made.is_some();
        self.groups.extend(made);
        is_made
    }

    pub(crate) fn hold(&self, controller: Controller) -> bool {
        self.groups
            .iter()
            .any(|group| group.controllers.contains(&controller))
    }

    /// Descriptors to which a process writes `0` to join.
    pub(crate) fn processes(&self) -> impl Iterator<Item = RawFd> {
        self.groups.iter().map(|group| group.processes.as_raw_fd())
    }

    /// Whether the kernel ended a process of theirs for its memory.
    pub(crate) fn have_run_out_of_memory(&self) -> bool {
        self.groups.iter().any(Group::has_run_out_of_memory)
    }
}

impl Group {
    fn make(
        version: Version,
        parent: &Path,
        controllers: Vec<Controller>,
        limits: &Limits,
    ) -> io::Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let own = own_prefix();
        remove_left_behind(parent, &own);
        if version == Version::Two {
            enable(parent, &controllers)?;
        }
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let directory = parent.join(format!("{own}{}-{number}", std::process::id()));
        match fs::create_dir(&directory) {
            // A killed keeper that had our process number has left it.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                fs::remove_dir(&directory)?;
                fs::create_dir(&directory)?;
            }
            made => made?,
        }
        // Nothing can be done about a group that does not go away, and the next one will try.
        let undo = |error: io::Error| {
            let _ = fs::remove_dir(&directory);
            error
        };
        set(&directory, version, &controllers, limits).map_err(undo)?;
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        let processes = rustix::fs::open(directory.join("cgroup.procs"), flags, Mode::empty())
            .and_then(|file| rustix::io::fcntl_dupfd_cloexec(file, super::plan::ABOVE_PLACES))
            .map_err(|error| undo(error.into()))?;
        Ok(Self {
            directory,
            version,
            controllers,
            processes,
        })
    }

    fn has_run_out_of_memory(&self) -> bool {
        let file = match self.version {
            Version::One => "memory.oom_control",
            Version::Two => "memory.events",
        };
        self.controllers.contains(&Controller::Memory)
            && fs::read_to_string(self.directory.join(file)).is_ok_and(|text| {
                text.lines()
                    .filter_map(|line| line.strip_prefix("oom_kill "))
                    .any(|count| count.trim() != "0")
            })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The runner is reaped; should the group be busy all the same, the next keeper removes it.
        let _ = fs::remove_dir(&self.directory);
    }
}

/// Writes the limits of a group.
fn set(
    directory: &Path,
    version: Version,
    controllers: &[Controller],
    limits: &Limits,
) -> io::Result<()> {
    let nano_cpus = limits.nano_cpus.unwrap_or(NANO_CPU);
    let quota = (nano_cpus * PERIOD_MICROSECONDS / NANO_CPU).max(1000);
    let bytes = limits.memory_bytes.unwrap_or(u64::MAX).to_string();
    let threads = limits
        .most_threads()
        .saturating_add(RUNTIME_THREADS)
        .to_string();
    for controller in controllers {
        match (controller, version) {
            (Controller::Memory, Version::One) => {
                write(directory, "memory.limit_in_bytes", &bytes)?;
                // Not every kernel counts swap; where it does not, nothing is swapped.
                if write(directory, "memory.memsw.limit_in_bytes", &bytes).is_err() {
                    write(directory, "memory.swappiness", "0")?;
                }
            }
            (Controller::Memory, Version::Two) => {
                write(directory, "memory.max", &bytes)?;
                match write(directory, "memory.swap.max", "0") {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            (Controller::Cpu, Version::One) => {
                write(
                    directory,
                    "cpu.cfs_period_us",
                    &PERIOD_MICROSECONDS.to_string(),
                )?;
                write(directory, "cpu.cfs_quota_us", &quota.to_string())?;
            }
            (Controller::Cpu, Version::Two) => {
                write(
                    directory,
                    "cpu.max",
                    &format!("{quota} {PERIOD_MICROSECONDS}"),
                )?;
            }
            (Controller::Pids, _) => write(directory, "pids.max", &threads)?,
        }
    }
    Ok(())
}

/// The controllers that are asked for, and then what of them any of these groups has, the most first.
fn subsets(asked: &[Controller], groups: &[PathBuf]) -> Vec<Vec<Controller>> {
    if asked.is_empty() {
        return Vec::new();
    }
    let mut subsets: Vec<Vec<Controller>> = groups
        .iter()
        .map(|group| {
            let there = fs::read_to_string(group.join("cgroup.controllers")).unwrap_or_default();
            let is_there = |controller: &Controller| {
                there
                    .split_whitespace()
                    .any(|name| name == controller.name())
            };
            asked.iter().copied().filter(is_there).collect()
        })
        .filter(|subset: &Vec<Controller>| !subset.is_empty() && subset.len() < asked.len())
        .collect();
    subsets.push(asked.to_vec());
    subsets.sort_by_key(|subset| std::cmp::Reverse(subset.len()));
    subsets.dedup();
    subsets
}

/// Lets a group of version 2 give these controllers to its children.
fn enable(parent: &Path, controllers: &[Controller]) -> io::Result<()> {
    const FILE: &str = "cgroup.subtree_control";
    // The kernel would let one that holds processes have children that take threads only. The top of the
    // tree, which may hold both, has no type.
    let is_top = !parent.join("cgroup.type").exists();
    if !is_top && !fs::read(parent.join("cgroup.procs"))?.is_empty() {
        return Err(rustix::io::Errno::BUSY.into());
    }
    let enabled = fs::read_to_string(parent.join(FILE))?;
    let missing: Vec<String> = controllers
        .iter()
        .map(|controller| controller.name())
        .filter(|name| !enabled.split_whitespace().any(|enabled| enabled == *name))
        .map(|name| format!("+{name}"))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    write(parent, FILE, &missing.join(" "))
}

/// Whether a group of version 2 holds what is in it to anything.
fn is_bounded(group: &Path) -> bool {
    let amounts = [
        "memory.max",
        "memory.high",
        "memory.swap.max",
        "memory.swap.high",
        "memory.zswap.max",
        "cpu.max",
        "pids.max",
    ];
    let lists = ["cpuset.cpus", "cpuset.mems", "io.max"];
    let read = |file| fs::read_to_string(group.join(file)).ok();
    amounts
        .into_iter()
        .filter_map(read)
        .any(|bound| !bound.starts_with("max"))
        || lists
            .into_iter()
            .filter_map(read)
            .any(|bound| !bound.trim().is_empty())
}

/// Writes a file that the kernel has made; none is created.
fn write(directory: &Path, name: &str, value: &str) -> io::Result<()> {
    use io::Write;
    let mut file = fs::File::options().write(true).open(directory.join(name))?;
    file.write_all(value.as_bytes())
}

/// How the names of our groups begin: `lighter-NS-`.
fn own_prefix() -> String {
    let namespace = rustix::fs::stat("/proc/self/ns/pid").map_or(0, |status| status.st_ino);
    format!("lighter-{namespace}-")
}

/// Removes the groups of keepers that were killed. One that is in use cannot be removed.
fn remove_left_behind(parent: &Path, prefix: &str) {
    let Ok(entries) = fs::read_dir(parent) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let keeper = name
            .to_str()
            .and_then(|name| name.strip_prefix(prefix)?.split('-').next()?.parse().ok())
            .and_then(Pid::from_raw);
        if let Some(keeper) = keeper
            && rustix::process::test_kill_process(keeper) == Err(rustix::io::Errno::SRCH)
        {
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// Where this process stands among the groups: `/proc/self/cgroup` and `/proc/self/mountinfo`.
struct Tree {
    groups: String,
    mounts: String,
}

impl Tree {
    fn read() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        Self {
            groups: read("/proc/self/cgroup"),
            mounts: read("/proc/self/mountinfo"),
        }
    }

    /// Our group in the tree of a controller of version 1.
    fn version_one(&self, controller: Controller) -> Option<PathBuf> {
        let path = self.groups.lines().find_map(|line| {
            let (_, rest) = line.split_once(':')?;
            let (names, path) = rest.split_once(':')?;
            names
                .split(',')
                .any(|name| name == controller.name())
                .then_some(path)
        })?;
        let (root, mount_point) = self.mounts.lines().find_map(|line| {
            let (root, mount_point, kind, options) = mount(line)?;
            (kind == "cgroup" && options.split(',').any(|option| option == controller.name()))
                .then_some((root, mount_point))
        })?;
        Some(place(root, mount_point, path))
    }

    /// Our group of version 2 and those around it, from the nearest on, up to the first that has bounds.
    fn version_two(&self) -> impl Iterator<Item = PathBuf> {
        let path = self
            .groups
            .lines()
            .find_map(|line| line.strip_prefix("0::"));
        let found = self.mounts.lines().find_map(|line| {
            let (root, mount_point, kind, _) = mount(line)?;
            (kind == "cgroup2").then_some((root, mount_point))
        });
        let own = path
            .zip(found)
            .map(|(path, (root, mount_point))| (place(root, mount_point, path), mount_point));
        own.into_iter().flat_map(|(own, mount_point)| {
            let mut left = None;
            own.ancestors()
                .take_while(|ancestor| {
                    ancestor.starts_with(mount_point)
                        && !left.replace(*ancestor).is_some_and(is_bounded)
                })
                .map(Path::to_owned)
                .collect::<Vec<_>>()
        })
    }
}

/// The root, mount point, type and super options of a line of `mountinfo` (proc(5)).
fn mount(line: &str) -> Option<(&str, &str, &str, &str)> {
    let (before, after) = line.split_once(" - ")?;
    let mut before = before.split(' ').skip(3);
    let (root, mount_point) = (before.next()?, before.next()?);
    let mut after = after.split(' ');
    let kind = after.next()?;
    Some((root, mount_point, kind, after.nth(1)?))
}

/// Where a group is that has `path` in its tree, of which `root` is mounted.
fn place(root: &str, mount_point: &str, path: &str) -> PathBuf {
    let below = match root {
        "/" => path,
        // Seen from a container the tree is mounted from our own group on.
        _ => path.strip_prefix(root).unwrap_or_default(),
    };
    Path::new(mount_point).join(below.trim_start_matches('/'))
}

/// That `--cpus` cannot be held here.
pub(crate) fn no_processor_group(nano_cpus: u64) -> StartError {
    let cpus = nano_cpus as f64 / NANO_CPU as f64;
    let mut error = StartError::new(
        format!("hold the program to --cpus {cpus}"),
        io::Error::new(
            io::ErrorKind::Unsupported,
            "no control group with the cpu controller can be made here",
        ),
    );
    error.hint = Some(
        "leave --cpus out, or run lighter where it may make control groups: as root, or in a \
         systemd unit with Delegate=cpu and DelegateSubgroup=run"
            .to_owned(),
    );
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(groups: &str, mounts: &str) -> Tree {
        Tree {
            groups: groups.to_owned(),
            mounts: mounts.to_owned(),
        }
    }

    #[test]
    fn groups_of_version_one_lie_below_our_own() {
        let tree = tree(
            "4:memory:/jobs/7\n1:cpu,cpuacct:/\n0::/x\n",
            "30 25 0:26 / /sys/fs/cgroup/memory rw,nosuid - cgroup cgroup rw,memory\n\
             31 25 0:27 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n",
        );
        assert_eq!(
            tree.version_one(Controller::Memory),
            Some("/sys/fs/cgroup/memory/jobs/7".into())
        );
        assert_eq!(
            tree.version_one(Controller::Cpu),
            Some("/sys/fs/cgroup/cpu,cpuacct/".into())
        );
        assert_eq!(tree.version_one(Controller::Pids), None);
    }

    #[test]
    fn container_that_sees_its_own_group_as_the_tree_uses_that() {
        let tree = tree(
            "4:memory:/docker/abc\n",
            "30 25 0:26 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
        );
        assert_eq!(
            tree.version_one(Controller::Memory),
            Some("/sys/fs/cgroup/memory/".into())
        );
    }

    #[test]
    fn groups_of_version_two_are_tried_from_the_nearest_on() {
        let tree = tree(
            "0::/user.slice/user-1000.slice/session-1.scope\n",
            "30 25 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n",
        );
        let found: Vec<PathBuf> = tree.version_two().collect();
        let expected = [
            "/sys/fs/cgroup/user.slice/user-1000.slice/session-1.scope",
            "/sys/fs/cgroup/user.slice/user-1000.slice",
            "/sys/fs/cgroup/user.slice",
            "/sys/fs/cgroup",
        ];
        assert_eq!(found, expected.map(PathBuf::from));
    }

    #[test]
    fn group_of_version_two_that_has_bounds_is_not_left() {
        let top = std::env::temp_dir().join(format!("cgroup-bounds-{}", std::process::id()));
        let unit = top.join("system.slice/a.service");
        fs::create_dir_all(&unit).expect("the name is ours");
        let mounts = format!("30 25 0:26 / {} rw - cgroup2 cgroup2 rw\n", top.display());
        let tree = tree("0::/system.slice/a.service\n", &mounts);
        let bounds = [
            ("memory.max", "max\n", 3),
            ("cpu.max", "max 100000\n", 3),
            ("pids.max", "9\n", 1),
        ];
        let counts = bounds.map(|(file, bound, expected)| {
            fs::write(unit.join(file), bound).expect("it is ours");
            (tree.version_two().count(), expected)
        });
        fs::remove_dir_all(&top).expect("it is ours");
        assert!(
            counts.iter().all(|(found, expected)| found == expected),
            "{counts:?}"
        );
    }

    #[test]
    fn controllers_that_are_missing_leave_one_group_for_the_others() {
        let top = std::env::temp_dir().join(format!("cgroup-some-{}", std::process::id()));
        let (near, far) = (top.join("a/b"), top.join("a"));
        fs::create_dir_all(&near).expect("the name is ours");
        for (group, there) in [
            (&near, "pids\n"),
            (&far, "cpu io pids\n"),
            (&top, "cpu pids\n"),
        ] {
            fs::write(group.join("cgroup.controllers"), there).expect("it is ours");
        }
        let found = subsets(&Controller::ALL, &[near, far, top.clone()]);
        fs::remove_dir_all(&top).expect("it is ours");
        let some = vec![Controller::Cpu, Controller::Pids];
        let expected = [Controller::ALL.to_vec(), some, vec![Controller::Pids]];
        assert_eq!(found, expected);
        assert!(subsets(&[], &[]).is_empty());
    }

    #[test]
    fn group_of_version_two_that_holds_processes_gets_no_children() {
        let parent = std::env::temp_dir().join(format!("cgroup-busy-{}", std::process::id()));
        fs::create_dir(&parent).expect("the name is ours");
        let write = |name, content| fs::write(parent.join(name), content).expect("it is ours");
        write("cgroup.subtree_control", "cpu\n");
        write("cgroup.procs", "1\n");
        let top = enable(&parent, &[Controller::Cpu]).is_ok();
        write("cgroup.type", "domain\n");
        let busy = enable(&parent, &[Controller::Cpu]).is_ok();
        write("cgroup.procs", "");
        let empty = enable(&parent, &[Controller::Cpu]).is_ok();
        fs::remove_dir_all(&parent).expect("it is ours");
        assert_eq!((top, busy, empty), (true, false, true));
    }

    #[test]
    fn controllers_that_are_on_are_not_turned_on_again() {
        let parent = std::env::temp_dir().join(format!("cgroup-on-{}", std::process::id()));
        fs::create_dir(&parent).expect("the name is ours");
        let file = parent.join("cgroup.subtree_control");
        fs::write(&file, "memory pids\n").expect("it is ours");
        let same = enable(&parent, &[Controller::Pids]);
        let untouched = fs::read_to_string(&file).unwrap_or_default();
        let more = enable(&parent, &Controller::ALL);
        let written = fs::read_to_string(&file).unwrap_or_default();
        fs::remove_dir_all(&parent).expect("it is ours");
        assert!(same.is_ok() && more.is_ok());
        assert_eq!(untouched, "memory pids\n");
        assert!(
            written.starts_with("+cpu") && !written.contains("+memory"),
            "{written}"
        );
    }

    #[test]
    fn system_without_groups_has_none() {
        let tree = tree("", "");
        assert_eq!(tree.version_one(Controller::Cpu), None);
        assert_eq!(tree.version_two().count(), 0);
    }

    #[test]
    fn limits_of_version_two_are_written_as_the_kernel_reads_them() {
        let directory = std::env::temp_dir().join(format!("cgroup-{}", std::process::id()));
        fs::create_dir(&directory).expect("the name is ours");
        for name in ["memory.max", "memory.swap.max", "cpu.max", "pids.max"] {
            fs::write(directory.join(name), "").expect("it was just made");
        }
        let limits = Limits {
            memory_bytes: Some(64 << 20),
            nano_cpus: Some(NANO_CPU / 2),
            threads: Some(8),
        };
        let written = set(&directory, Version::Two, &Controller::ALL, &limits);
        let read = |name| fs::read_to_string(directory.join(name)).unwrap_or_default();
        let found = [
            read("memory.max"),
            read("memory.swap.max"),
            read("cpu.max"),
            read("pids.max"),
        ];
        fs::remove_dir_all(&directory).expect("it is ours");
        assert!(written.is_ok());
        assert_eq!(found, ["67108864", "0", "50000 100000", "13"]);
    }
}
