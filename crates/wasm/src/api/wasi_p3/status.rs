//! `stat`, `stat-at` and `get-flags` of WASI 0.3.

use super::filesystem::{Handle, TYPES, settle};
use crate::component::{ComponentLinker, ComponentState as State, status};
use rustix::fs::{FileType, Stat};
use wasmtime::component::Accessor;
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView};
use wasmtime_wasi::p3::bindings::clocks::system_clock::Instant;
use wasmtime_wasi::p3::bindings::filesystem::types::{
    DescriptorFlags, DescriptorStat, DescriptorType, HostDescriptorWithStore as _, PathFlags,
};
use wasmtime_wasi::p3::filesystem::FilesystemError;

pub(super) fn link(linker: &mut ComponentLinker) -> wasmtime::Result<()> {
    let mut types = linker.instance(TYPES)?;
    types.func_wrap_concurrent(
        "[method]descriptor.stat",
        |store: &Accessor<State>, (handle,): (Handle,)| {
            Box::pin(async move {
                let found = store.with(|mut access| status::of_handle(access.data_mut(), &handle));
                let result = found?.map(describe).map_err(FilesystemError::from);
                settle(store, &status::attempt(&handle, ""), result)
            })
        },
    )?;
    types.func_wrap_concurrent(
        "[method]descriptor.stat-at",
        |store: &Accessor<State>, (handle, flags, path): (Handle, PathFlags, String)| {
            let is_followed = flags.contains(PathFlags::SYMLINK_FOLLOW);
            Box::pin(async move {
                let found = store.with(|mut access| {
                    status::of_path(access.data_mut(), &handle, &path, is_followed)
                });
                let result = found?.map(describe).map_err(FilesystemError::from);
                settle(store, &status::attempt(&handle, &path), result)
            })
        },
    )?;
    types.func_wrap_concurrent(
        "[method]descriptor.get-flags",
        |store: &Accessor<State>, (handle,): (Handle,)| {
            let attempt = status::attempt(&handle, "");
            let own = Handle::new_borrow(handle.rep());
            Box::pin(async move {
                let view = store.with_getter::<WasiFilesystem>(State::filesystem);
                let mut result = WasiFilesystem::get_flags(&view, handle).await;
                if let Ok(flags) = &mut result
                    && store.with(|mut access| status::is_fixed_directory(access.data_mut(), &own))
                {
                    *flags &= !DescriptorFlags::MUTATE_DIRECTORY;
                }
                settle(store, &attempt, result)
            })
        },
    )
}

fn describe(stat: Stat) -> DescriptorStat {
    let instant = |seconds, nanoseconds| {
        Some(Instant {
            seconds,
            nanoseconds: u32::try_from(nanoseconds).ok()?,
        })
    };
    DescriptorStat {
        type_: kind(FileType::from_raw_mode(stat.st_mode)),
        link_count: stat.st_nlink,
        size: u64::try_from(stat.st_size).unwrap_or(0),
        data_access_timestamp: instant(stat.st_atime, stat.st_atime_nsec),
        data_modification_timestamp: instant(stat.st_mtime, stat.st_mtime_nsec),
        status_change_timestamp: instant(stat.st_ctime, stat.st_ctime_nsec),
    }
}

pub(super) fn kind(kind: FileType) -> DescriptorType {
    match kind {
        FileType::RegularFile => DescriptorType::RegularFile,
        FileType::Directory => DescriptorType::Directory,
        FileType::Symlink => DescriptorType::SymbolicLink,
        FileType::Fifo => DescriptorType::Fifo,
        FileType::Socket => DescriptorType::Socket,
        FileType::CharacterDevice => DescriptorType::CharacterDevice,
        FileType::BlockDevice => DescriptorType::BlockDevice,
        FileType::Unknown => DescriptorType::Other(None),
    }
}
