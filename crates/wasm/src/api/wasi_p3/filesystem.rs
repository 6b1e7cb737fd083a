//! `wasi:filesystem/types` of WASI 0.3: wasmtime-wasi's, with the functions that change
//! something replaced by ones that report refusals and answer the right error code.

use crate::component::refused::{Attempt, Better, Code, explain};
use crate::component::{ComponentLinker, ComponentState as State, status};
use wasmtime::component::{Accessor, Resource};
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystem, WasiFilesystemView};
use wasmtime_wasi::p3::bindings::filesystem::types::{
    self, DescriptorFlags, ErrorCode, HostDescriptorWithStore as _, NewTimestamp, OpenFlags,
    PathFlags,
};
use wasmtime_wasi::p3::filesystem::FilesystemResult;

/// The interface and the version provided.
pub(super) const TYPES: &str = "wasi:filesystem/types@0.3.0";

pub(super) type Handle = Resource<Descriptor>;

/// Adds the interface.
pub(super) fn link(linker: &mut ComponentLinker) -> wasmtime::Result<()> {
    types::add_to_linker::<_, WasiFilesystem>(linker, State::filesystem)?;
    link_opening(linker)?;
    link_directories(linker)?;
    link_two_places(linker)?;
    link_attributes(linker)?;
    super::status::link(linker)?;
    super::listing::link(linker)
}

fn link_opening(linker: &mut ComponentLinker) -> wasmtime::Result<()> {
    type Open = (Handle, PathFlags, String, OpenFlags, DescriptorFlags);
    linker.instance(TYPES)?.func_wrap_concurrent(
        "[method]descriptor.open-at",
        |store: &Accessor<State>, (handle, follow, path, open, flags): Open| {
            let action = if open.contains(OpenFlags::CREATE) {
                "create"
            } else if open.contains(OpenFlags::TRUNCATE) || flags.contains(DescriptorFlags::WRITE) {
                "write"
            } else {
                "read"
            };
            let attempt = Attempt::at(action, &handle, &path);
            Box::pin(async move {
                let view = store.with_getter::<WasiFilesystem>(State::filesystem);
                let result =
                    WasiFilesystem::open_at(&view, handle, follow, path, open, flags).await;
                if let Ok(opened) = &result
                    && flags.contains(DescriptorFlags::MUTATE_DIRECTORY)
                {
                    store.with(|mut access| status::note_mutable(access.data_mut(), opened));
                }
                settle(store, &attempt, result)
            })
        },
    )
}

fn link_directories(linker: &mut ComponentLinker) -> wasmtime::Result<()> {
    let mut types = linker.instance(TYPES)?;
    types.func_wrap_concurrent(
        "[method]descriptor.create-directory-at",
        |store: &Accessor<State>, (handle, path): (Handle, String)| {
            let attempt = Attempt::at("create", &handle, &path);
            Box::pin(async move {
                let view = store.with_getter::<WasiFilesystem>(State::filesystem);
                let result = WasiFilesystem::create_directory_at(&view, handle, path).await;
                settle(store, &attempt, result)
            })
        },
    )?;
    types.func_wrap_concurrent(
        "[method]descriptor.remove-directory-at",
        |store: &Accessor<State>, (handle, path): (Handle, String)| {
            let attempt = Attempt::at("remove", &handle, &path);
            let path = status::without_slashes(&path).to_owned();
            Box::pin(async move {
                let view = store.with_getter::<WasiFilesystem>(State::filesystem);
                let result = WasiFilesystem::remove_directory_at(&view, handle, path).await;
                settle(store, &attempt, result)
            })
        },
    )?;
    types.func_wrap_concurrent(
        "[method]descriptor.unlink-file-at",
        |store: &Accessor<State>, (handle, path): (Handle, String)| {
            let attempt = Attempt::at("remove", &handle, &path);
            Box::pin(async move {
                let view = store.with_getter::<WasiFilesystem>(State::filesystem);
                let result = WasiFilesystem::unlink_file_at(&view, handle, path).await;
                settle(store, &attempt, result)
            })
        },
    )
}

fn link_two_places(linker: &mut ComponentLinker) -> wasmtime::Result<()> {
    type Rename = (Handle, String, Handle, String);
    type Link = (Handle, PathFlags, String, Handle, String);
    let mut types = linker.instance(TYPES)?;
    types.func_wrap_concurrent(
        "[method]descriptor.rename-at",
        |store: &Accessor<State>, (old, from, new, to): Rename| {
            let attempt = Attempt::at("rename", &old, &from).and(&new, &to);
            Box::pin(async move {
                let view = store.with_getter::<WasiFilesystem>(State::filesystem);
                let result = WasiFilesystem::rename_at(&view, old, from, new, to).await;
                settle(store, &attempt, result)
            })
        },
    )?;
    types.func_wrap_concurrent(
        "[method]descriptor.link-at",
        |store: &Accessor<State>, (old, follow, from, new, to): Link| {
            let attempt = Attempt::at("link", &new, &to).and(&old, &from);
            Box::pin(async move {
                let view = store.with_getter::<WasiFilesystem>(State::filesystem);
                let result = WasiFilesystem::link_at(&view, old, follow, from, new, to).await;
                settle(store, &attempt, result)
            })
        },
    )?;
    types.func_wrap_concurrent(
        "[method]descriptor.symlink-at",
        |store: &Accessor<State>, (handle, target, path): (Handle, String, String)| {
            let attempt = Attempt::symlink(&handle, &path, &target);
            Box::pin(async move {
                let view = store.with_getter::<WasiFilesystem>(State::filesystem);
                let result = WasiFilesystem::symlink_at(&view, handle, target, path).await;
                settle(store, &attempt, result)
            })
        },
    )
}

fn link_attributes(linker: &mut ComponentLinker) -> wasmtime::Result<()> {
    type Times = (Handle, NewTimestamp, NewTimestamp);
    type TimesAt = (Handle, PathFlags, String, NewTimestamp, NewTimestamp);
    let mut types = linker.instance(TYPES)?;
    types.func_wrap_concurrent(
        "[method]descriptor.set-size",
        |store: &Accessor<State>, (handle, size): (Handle, u64)| {
            let attempt = Attempt::at("resize", &handle, "");
            Box::pin(async move {
                let view = store.with_getter::<WasiFilesystem>(State::filesystem);
                let result = WasiFilesystem::set_size(&view, handle, size).await;
                settle(store, &attempt, result)
            })
        },
    )?;
    types.func_wrap_concurrent(
        "[method]descriptor.set-times",
        |store: &Accessor<State>, (handle, read, write): Times| {
            let attempt = Attempt::at("set times of", &handle, "");
            Box::pin(async move {
                let view = store.with_getter::<WasiFilesystem>(State::filesystem);
                let result = WasiFilesystem::set_times(&view, handle, read, write).await;
                settle(store, &attempt, result)
            })
        },
    )?;
    types.func_wrap_concurrent(
        "[method]descriptor.set-times-at",
        |store: &Accessor<State>, (handle, follow, path, read, write): TimesAt| {
            let attempt = Attempt::at("set times of", &handle, &path);
            Box::pin(async move {
                let view = store.with_getter::<WasiFilesystem>(State::filesystem);
                let result =
                    WasiFilesystem::set_times_at(&view, handle, follow, path, read, write).await;
                settle(store, &attempt, result)
            })
        },
    )
}

/// Makes the guest's answer of a result, and a report if it was a refusal.
pub(super) fn settle<R>(
    store: &Accessor<State>,
    attempt: &Attempt,
    result: FilesystemResult<R>,
) -> wasmtime::Result<(Result<R, ErrorCode>,)> {
    let error = match result {
        Ok(value) => return Ok((Ok(value),)),
        Err(error) => error.downcast()?,
    };
    let code = match error {
        ErrorCode::Io => Code::Io,
        ErrorCode::Access => Code::Access,
        ErrorCode::NotPermitted => Code::NotPermitted,
        other => return Ok((Err(other),)),
    };
    Ok((Err(
        match store.with(|mut access| explain(access.data_mut(), attempt, code)) {
            Some(Better::ReadOnly) => ErrorCode::ReadOnly,
            Some(Better::CrossDevice) => ErrorCode::CrossDevice,
            None => error,
        },
    ),))
}
