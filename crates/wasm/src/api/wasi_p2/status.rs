//! `stat`, `stat-at`, `get-flags` and the entries of a directory, of WASI 0.2.

use super::filesystem::{Handle, TYPES, settle};
use crate::component::{ComponentLinker, ComponentState as State, status};
use rustix::fs::{FileType, Stat};
use wasmtime::StoreContextMut;
use wasmtime::component::Resource;
use wasmtime_wasi::filesystem::WasiFilesystemView;
use wasmtime_wasi::p2::FsError;
use wasmtime_wasi::p2::bindings::clocks::wall_clock::Datetime;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry, DirectoryEntryStream,
    ErrorCode, HostDescriptor as _, HostDirectoryEntryStream as _, PathFlags,
};

type Answer<T> = wasmtime::Result<(Result<T, ErrorCode>,)>;

pub(super) fn link(linker: &mut ComponentLinker) -> wasmtime::Result<()> {
    let mut types = linker.instance(TYPES)?;
    types.func_wrap(
        "[method]descriptor.stat",
        |mut store: StoreContextMut<'_, State>, (handle,): (Handle,)| -> Answer<DescriptorStat> {
            let found = status::of_handle(store.data(), &handle)?;
            let result = found.map(describe).map_err(FsError::from);
            settle(&mut store, &status::attempt(&handle, ""), result)
        },
    )?;
    types.func_wrap(
        "[method]descriptor.stat-at",
        |mut store: StoreContextMut<'_, State>,
         (handle, flags, path): (Handle, PathFlags, String)|
         -> Answer<DescriptorStat> {
            let is_followed = flags.contains(PathFlags::SYMLINK_FOLLOW);
            let found = status::of_path(store.data(), &handle, &path, is_followed)?;
            let result = found.map(describe).map_err(FsError::from);
            settle(&mut store, &status::attempt(&handle, &path), result)
        },
    )?;
    types.func_wrap_async(
        "[method]descriptor.get-flags",
        |mut store: StoreContextMut<'_, State>, (handle,): (Handle,)| {
            let attempt = status::attempt(&handle, "");
            let own = Handle::new_borrow(handle.rep());
            Box::new(async move {
                let mut result = store.data_mut().filesystem().get_flags(handle).await;
                if let Ok(flags) = &mut result
                    && status::is_fixed_directory(store.data(), &own)
                {
                    *flags &= !DescriptorFlags::MUTATE_DIRECTORY;
                }
                settle(&mut store, &attempt, result)
            })
        },
    )?;
    types.func_wrap_async(
        "[method]directory-entry-stream.read-directory-entry",
        |mut store: StoreContextMut<'_, State>, (stream,): (Resource<DirectoryEntryStream>,)| {
            Box::new(async move { next_entry(store.data_mut(), &stream).await })
        },
    )
}

/// The next entry that is still there: wasmtime-wasi gives an error for one that somebody removed
/// while it looked.
async fn next_entry(
    state: &mut State,
    stream: &Resource<DirectoryEntryStream>,
) -> Answer<Option<DirectoryEntry>> {
    loop {
        let stream = Resource::new_borrow(stream.rep());
        match state.filesystem().read_directory_entry(stream).await {
            Ok(entry) => return Ok((Ok(entry),)),
            Err(error) => match error.downcast()? {
                ErrorCode::NoEntry => {}
                code => return Ok((Err(code),)),
            },
        }
    }
}

fn describe(stat: Stat) -> DescriptorStat {
    // WASI 0.2 has no times before 1970.
    let datetime = |seconds: i64, nanoseconds| {
        Some(Datetime {
            seconds: u64::try_from(seconds).ok()?,
            nanoseconds: u32::try_from(nanoseconds).ok()?,
        })
    };
    DescriptorStat {
        type_: kind(FileType::from_raw_mode(stat.st_mode)),
        link_count: stat.st_nlink,
        size: u64::try_from(stat.st_size).unwrap_or(0),
        data_access_timestamp: datetime(stat.st_atime, stat.st_atime_nsec),
        data_modification_timestamp: datetime(stat.st_mtime, stat.st_mtime_nsec),
        status_change_timestamp: datetime(stat.st_ctime, stat.st_ctime_nsec),
    }
}

fn kind(kind: FileType) -> DescriptorType {
    match kind {
        FileType::RegularFile => DescriptorType::RegularFile,
        FileType::Directory => DescriptorType::Directory,
        FileType::Symlink => DescriptorType::SymbolicLink,
        FileType::Fifo => DescriptorType::Fifo,
        FileType::Socket => DescriptorType::Socket,
        FileType::CharacterDevice => DescriptorType::CharacterDevice,
        FileType::BlockDevice => DescriptorType::BlockDevice,
        FileType::Unknown => DescriptorType::Unknown,
    }
}
