//! The steps that lead from the keeper's surroundings to the runner's.

use super::OwnerMap;
use super::cgroup::Groups;
use crate::sys::clone::Step;
use crate::sys::mount::{Mounting, Source, Tree};
use crate::{Content, Ids, Mount, StartError};
use rustix::fs::Mode;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Namespaces to make and steps to take in them.
pub(crate) struct Plan {
    pub(crate) flags: libc::c_int,
    pub(crate) steps: Vec<Step>,
    place: Place,
    becomes: Option<Ids>,
    caller: Ids,
    has_page_map: bool,
}

/// Descriptors are first moved above this number, so that none is overwritten while they are put
/// in their places.
const PLACES: RawFd = 16;

/// What of its memory a process has written to (`proc_pid_pagemap(5)`): the file of whoever opens it.
const PAGE_MAP: &CStr = c"/proc/self/pagemap";

/// No descriptor is moved to this number or one above it.
pub(crate) const ABOVE_PLACES: RawFd = 32;

/// Where a runner is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// With a root, a process namespace and ids of its own, as root can make them.
    OwnIds,
    /// With a root and a process namespace of its own in a user namespace, as the caller.
    UserNamespace,
    /// With a root and ids of its own, for which root needs no namespaces.
    OwnRoot,
    /// In the host's root, as the caller.
    HostRoot,
}

impl Plan {
    /// A plan of nothing yet. `becomes` is whose ids the runner takes, if it does not keep the
    /// caller's.
    pub(crate) fn new(place: Place, becomes: Option<Ids>, caller: Ids) -> Self {
        // In a process namespace of its own the runner can name no process but itself.
        let flags = match place {
            Place::OwnIds => libc::CLONE_NEWPID,
            Place::UserNamespace => libc::CLONE_NEWPID | libc::CLONE_NEWUSER,
            Place::OwnRoot | Place::HostRoot => 0,
        };
        Self {
            flags,
            steps: Vec::with_capacity(24),
            place,
            becomes,
            caller,
            has_page_map: false,
        }
    }

    /// Joins control groups, before anything else: their files are the host's.
    pub(crate) fn join(&mut self, groups: &Groups) {
        self.steps
            .extend(groups.processes().map(Step::JoinControlGroup));
    }

    /// The root is a directory that is there already: nothing is mounted.
    pub(crate) fn enter_directory(&mut self, directory: BorrowedFd<'_>) {
        self.steps
            .push(Step::ChangeToOpenDirectory(directory.as_raw_fd()));
        if self.place != Place::HostRoot {
            self.steps.push(Step::ChangeRoot);
        }
    }

    /// The same for a directory by its path.
    pub(crate) fn enter_path(&mut self, directory: &Path) -> Result<(), StartError> {
        self.steps
            .push(Step::ChangeDirectory(path_string(directory)?));
        if self.place != Place::HostRoot {
            self.steps.push(Step::ChangeRoot);
        }
        Ok(())
    }

    /// The tree that is built next has `/proc/self/pagemap` in it.
    pub(crate) fn show_page_map(&mut self) {
        self.has_page_map = true;
    }

    /// The root is a tmpfs in a mount namespace of its own:
    ///
    /// ```text
    ///   /        tmpfs, read-only once it is complete
    ///   /code    the directory of compiled code, read-only
    ///   /guest   the guest's `/`: mount points, and what is mounted on them
    /// ```
    pub(crate) fn build_tree(
        &mut self,
        code: &Path,
        mounts: &[Mount],
        scratch: &Path,
        owner_map: Option<&OwnerMap>,
    ) -> Result<(), StartError> {
        self.flags |= libc::CLONE_NEWNS;
        if self.place == Place::UserNamespace {
            self.map_own_ids();
        }
        self.steps.push(Step::SetFileMask(0));
        self.steps.push(Step::MakeMountsPrivate);
        let scratch = path_string(scratch)?;
        self.steps.push(Step::MountTmpfs(
            scratch.clone(),
            c"mode=755,size=16m,nr_inodes=4096".into(),
        ));
        self.steps.push(Step::ChangeDirectory(scratch));
        self.steps.push(Step::MakeDirectory(c"code".into(), 0o755));
        self.steps.push(Step::MakeDirectory(c"guest".into(), 0o755));
        // A mount on `/data` must come before one on `/data/cache`.
        let mut mounts: Vec<&Mount> = mounts.iter().collect();
        mounts.sort_by_key(|mount| names(&mount.target).count());
        for mount in mounts {
            self.mount(mount, owner_map)?;
        }
        let code = Tree {
            source: path_string(code)?,
            identity: None,
            is_read_only: true,
            is_executable: true,
            owner_map: None,
        };
        self.steps
            .push(Step::MountAt(Box::new(code), c"code".into()));
        if self.has_page_map {
            let own = Tree {
                source: PAGE_MAP.into(),
                identity: None,
                is_read_only: true,
                is_executable: false,
                owner_map: None,
            };
            self.steps.push(Step::MakeDirectory(c"proc".into(), 0o755));
            self.steps
                .push(Step::MakeDirectory(c"proc/self".into(), 0o755));
            self.steps.push(Step::MakeFile(c"proc/self/pagemap".into()));
            self.steps
                .push(Step::MountAt(Box::new(own), c"proc/self/pagemap".into()));
        }
        self.steps.push(Step::MakeReadOnly(c".".into()));
        self.steps.push(Step::PivotRoot);
        // What the guest makes gets the caller's own mask.
        self.steps.push(Step::SetFileMask(file_mask()));
        Ok(())
    }

    /// In a user namespace the caller stays who it is; others are nobody. But root is not root
    /// there: it would get all rights over the namespace back with its program.
    fn map_own_ids(&mut self) {
        let Ids { user, group } = self.caller;
        let map = |id: u32| format!("{} {id} 1\n", inner_id(id)).into_bytes();
        self.steps.push(Step::WriteProc(
            c"/proc/self/setgroups".into(),
            b"deny".to_vec(),
        ));
        self.steps
            .push(Step::WriteProc(c"/proc/self/uid_map".into(), map(user)));
        self.steps
            .push(Step::WriteProc(c"/proc/self/gid_map".into(), map(group)));
    }

    /// The ids that the runner has, as it sees them itself.
    fn ids(&self) -> Ids {
        match (self.becomes, self.place) {
            (Some(ids), _) => ids,
            (None, Place::UserNamespace) => Ids {
                user: inner_id(self.caller.user),
                group: inner_id(self.caller.group),
            },
            (None, _) => self.caller,
        }
    }

    fn mount(&mut self, mount: &Mount, owner_map: Option<&OwnerMap>) -> Result<(), StartError> {
        let mut is_file = false;
        let what = match &mount.content {
            Content::Bind {
                source,
                identity,
                is_directory,
                is_read_only,
            } => {
                is_file = !is_directory;
                Source::Tree(Tree {
                    source: path_string(source)?,
                    identity: Some(*identity),
                    is_read_only: *is_read_only,
                    is_executable: false,
                    owner_map: owner_map.map(OwnerMap::as_raw_fd),
                })
            }
            Content::Memory {
                size_bytes,
                mode,
                is_read_only,
            } => Source::Memory {
                options: self.memory_options(*size_bytes, *mode)?,
                files: Vec::new(),
                is_read_only: *is_read_only,
            },
            Content::Files(files) => Source::Memory {
                options: vec![(c"mode", c"755".into())],
                files: files
                    .iter()
                    .map(|(name, content)| Ok((string(name.as_str())?, content.clone())))
                    .collect::<Result<_, StartError>>()?,
                is_read_only: true,
            },
            Content::Mask => Source::Memory {
                options: vec![(c"mode", c"0".into())],
                files: Vec::new(),
                is_read_only: true,
            },
        };
        self.steps.push(Step::Mount(Box::new(Mounting {
            names: names(&mount.target)
                .map(string)
                .collect::<Result<_, StartError>>()?,
            is_file,
            maker: owner_map.map(|_| (self.ids().user, self.ids().group)),
            what,
        })));
        Ok(())
    }

    /// The options of a file system in memory that is the runner's own.
    fn memory_options(
        &self,
        size_bytes: Option<u64>,
        mode: u32,
    ) -> Result<Vec<(&'static CStr, CString)>, StartError> {
        let mut options = vec![
            (c"mode", string(format!("{mode:o}"))?),
            (c"uid", string(self.ids().user.to_string())?),
            (c"gid", string(self.ids().group.to_string())?),
        ];
        if let Some(size) = size_bytes {
            options.push((c"size", string(size.to_string())?));
        }
        Ok(options)
    }

    /// What every runner goes through last.
    pub(crate) fn finish(&mut self, descriptors: &[(BorrowedFd<'_>, RawFd)]) {
        if let Some(Ids { user, group }) = self.becomes {
            self.steps.push(Step::BecomeUser(user, group));
        }
        self.steps.push(Step::NewSession);
        self.steps.push(Step::DieWithParent);
        self.steps.push(Step::ClearSignalMask);
        let is_in_the_way = |fd: RawFd, place: RawFd| {
            fd != place && descriptors.iter().any(|(_, other)| *other == fd)
        };
        let mut spare = PLACES;
        let mut moved = Vec::with_capacity(descriptors.len());
        for (fd, place) in descriptors {
            let fd = fd.as_raw_fd();
            if is_in_the_way(fd, *place) {
                while descriptors
                    .iter()
                    .any(|(taken, _)| taken.as_raw_fd() == spare)
                {
                    spare += 1;
                }
                self.steps.push(Step::PlaceDescriptor(fd, spare));
                moved.push((spare, *place));
                spare += 1;
            } else {
                moved.push((fd, *place));
            }
        }
        // What the caller has open besides, on whatever number, ends with this process.
        self.steps.push(Step::CloseAllOnExec);
        self.steps.extend(
            moved
                .into_iter()
                .map(|(fd, place)| Step::PlaceDescriptor(fd, place)),
        );
    }
}

/// The id in a runner's user namespace that stands for an id outside.
fn inner_id(id: u32) -> u32 {
    id.max(1)
}

/// The names that a target is made of.
fn names(target: &str) -> impl Iterator<Item = &str> {
    target.split('/').filter(|name| !name.is_empty())
}

/// The caller's own mask of the permissions that new files get.
fn file_mask() -> libc::mode_t {
    let mask = rustix::process::umask(Mode::empty());
    rustix::process::umask(mask);
    mask.as_raw_mode()
}

fn path_string(path: &Path) -> Result<CString, StartError> {
    string(path.as_os_str().as_bytes())
}

fn string(text: impl Into<Vec<u8>>) -> Result<CString, StartError> {
    CString::new(text).map_err(|error| {
        StartError::new("use a path with a NUL byte in it", io::Error::other(error))
    })
}
