//! Who owns what a runner writes: a user namespace whose map an idmapped mount uses.

use super::WITHOUT_OWNER_MAP;
use crate::{Ids, Lack, StartError};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// An open user namespace in which the owner on disk is the runner's id, and nobody else is anyone.
#[derive(Debug)]
pub(crate) struct OwnerMap(OwnedFd);

impl OwnerMap {
    /// Makes the map, by a short-lived child that holds a new user namespace open.
    pub(crate) fn make(on_disk: Ids, runner: Ids) -> Result<Self, StartError> {
        make(on_disk, runner)
            .map(Self)
            .map_err(|source| StartError {
                action: "map the owner of mounted files".to_owned(),
                hint: Some(format!(
                    "no user namespace can be made here (as in a chroot), {WITHOUT_OWNER_MAP}"
                )),
                lack: Some(Lack::OwnerNamespace),
                source,
            })
    }

    pub(crate) fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

fn make(on_disk: Ids, runner: Ids) -> io::Result<OwnedFd> {
    let child = Holder::start()?;
    let directory = format!("/proc/{}", child.0.as_raw_nonzero());
    for (file, inner, outer) in [
        ("uid_map", on_disk.user, runner.user),
        ("gid_map", on_disk.group, runner.group),
    ] {
        let mut map = std::fs::OpenOptions::new()
            .write(true)
            .open(format!("{directory}/{file}"))?;
        map.write_all(format!("{inner} {outer} 1\n").as_bytes())?;
    }
    let namespace = rustix::fs::open(
        format!("{directory}/ns/user"),
        OFlags::RDONLY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    Ok(namespace)
}

/// A child in a new user namespace that does nothing until it is dropped.
struct Holder(Pid);

impl Holder {
    fn start() -> io::Result<Self> {
        let pid = crate::sys::clone::hold_user_namespace()?;
        Pid::from_raw(pid)
            .map(Self)
            .ok_or_else(|| io::Error::other("the kernel gave no process number"))
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // The child does nothing but wait for this.
        if rustix::process::kill_process(self.0, Signal::KILL).is_ok() {
            let _ = rustix::process::waitpid(Some(self.0), rustix::process::WaitOptions::empty());
        }
    }
}
