//! `wasi:filesystem/types` of WASI 0.2: wasmtime-wasi's, with the functions that change
//! something replaced by ones that report refusals and answer the right error code.

use super::streams::{Input, Output};
use crate::component::refused::{Attempt, Better, Code, explain};
use crate::component::{ComponentLinker, ComponentState as State, status};
use std::sync::Arc;
use wasmtime::StoreContextMut;
use wasmtime::component::{Resource, ResourceTable};
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystem, WasiFilesystemView};

use wasmtime_wasi::p2::bindings::filesystem::types::{
    self, DescriptorFlags, ErrorCode, HostDescriptor, NewTimestamp, OpenFlags, PathFlags,
};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, FsResult};

/// The interface and the version provided.
pub(super) const TYPES: &str = "wasi:filesystem/types@0.2.12";

pub(super) type Handle = Resource<Descriptor>;

/// Adds the interface.
pub(super) fn link(linker: &mut ComponentLinker) -> wasmtime::Result<()> {
    types::add_to_linker::<_, WasiFilesystem>(linker, State::filesystem)?;
    link_streams(linker)?;
    link_opening(linker)?;
    link_directories(linker)?;
    link_two_places(linker)?;
    link_attributes(linker)?;
    super::status::link(linker)
}

fn link_streams(linker: &mut ComponentLinker) -> wasmtime::Result<()> {
    type Made<T> = wasmtime::Result<(Result<Resource<T>, ErrorCode>,)>;
    let mut types = linker.instance(TYPES)?;
    types.func_wrap(
        "[method]descriptor.read-via-stream",
        |mut store: StoreContextMut<'_, State>,
         (handle, at): (Handle, u64)|
         -> Made<DynInputStream> {
            let table = &mut store.data_mut().table;
            let Descriptor::File(file) = table.get(&handle)? else {
                return Ok((Err(ErrorCode::IsDirectory),));
            };
            let input: DynInputStream = Box::new(Input::new(Arc::clone(&file.file), at));
            Ok((Ok(table.push(input)?),))
        },
    )?;
    types.func_wrap(
        "[method]descriptor.write-via-stream",
        |mut store: StoreContextMut<'_, State>,
         (handle, at): (Handle, u64)|
         -> Made<DynOutputStream> {
            output(&mut store.data_mut().table, &handle, Some(at))
        },
    )?;
    types.func_wrap(
        "[method]descriptor.append-via-stream",
        |mut store: StoreContextMut<'_, State>, (handle,): (Handle,)| -> Made<DynOutputStream> {
            output(&mut store.data_mut().table, &handle, None)
        },
    )
}

fn output(
    table: &mut ResourceTable,
    handle: &Handle,
    at: Option<u64>,
) -> wasmtime::Result<(Result<Resource<DynOutputStream>, ErrorCode>,)> {
    let Descriptor::File(file) = table.get(handle)? else {
        return Ok((Err(ErrorCode::BadDescriptor),));
    };
    let output: DynOutputStream = Box::new(Output::new(Arc::clone(&file.file), at));
    Ok((Ok(table.push(output)?),))
}

fn link_opening(linker: &mut ComponentLinker) -> wasmtime::Result<()> {
    type Open = (Handle, PathFlags, String, OpenFlags, DescriptorFlags);
    linker.instance(TYPES)?.func_wrap_async(
        "[method]descriptor.open-at",
        |mut store: StoreContextMut<'_, State>, (handle, follow, path, open, flags): Open| {
            let action = if open.contains(OpenFlags::CREATE) {
                "create"
            } else if open.contains(OpenFlags::TRUNCATE) || flags.contains(DescriptorFlags::WRITE) {
                "write"
            } else {
                "read"
            };
            let attempt = Attempt::at(action, &handle, &path);
            Box::new(async move {
                let mut view = store.data_mut().filesystem();
                let result = view.open_at(handle, follow, path, open, flags).await;
                if let Ok(opened) = &result
                    && flags.contains(DescriptorFlags::MUTATE_DIRECTORY)
                {
                    status::note_mutable(store.data_mut(), opened);
                }
                settle(&mut store, &attempt, result)
            })
        },
    )
}

fn link_directories(linker: &mut ComponentLinker) -> wasmtime::Result<()> {
    let mut types = linker.instance(TYPES)?;
    types.func_wrap_async(
        "[method]descriptor.create-directory-at",
        |mut store: StoreContextMut<'_, State>, (handle, path): (Handle, String)| {
            let attempt = Attempt::at("create", &handle, &path);
            Box::new(async move {
                let mut view = store.data_mut().filesystem();
                let result = view.create_directory_at(handle, path).await;
                settle(&mut store, &attempt, result)
            })
        },
    )?;
    types.func_wrap_async(
        "[method]descriptor.remove-directory-at",
        |mut store: StoreContextMut<'_, State>, (handle, path): (Handle, String)| {
            let attempt = Attempt::at("remove", &handle, &path);
            let path = status::without_slashes(&path).to_owned();
            Box::new(async move {
                let mut view = store.data_mut().filesystem();
                let result = view.remove_directory_at(handle, path).await;
                settle(&mut store, &attempt, result)
            })
        },
    )?;
    types.func_wrap_async(
        "[method]descriptor.unlink-file-at",
        |mut store: StoreContextMut<'_, State>, (handle, path): (Handle, String)| {
            let attempt = Attempt::at("remove", &handle, &path);
            Box::new(async move {
                let mut view = store.data_mut().filesystem();
                let result = view.unlink_file_at(handle, path).await;
                settle(&mut store, &attempt, result)
            })
        },
    )
}

fn link_two_places(linker: &mut ComponentLinker) -> wasmtime::Result<()> {
    type Rename = (Handle, String, Handle, String);
    type Link = (Handle, PathFlags, String, Handle, String);
    let mut types = linker.instance(TYPES)?;
    types.func_wrap_async(
        "[method]descriptor.rename-at",
        |mut store: StoreContextMut<'_, State>, (old, from, new, to): Rename| {
            let attempt = Attempt::at("rename", &old, &from).and(&new, &to);
            Box::new(async move {
                let mut view = store.data_mut().filesystem();
                let result = view.rename_at(old, from, new, to).await;
                settle(&mut store, &attempt, result)
            })
        },
    )?;
    types.func_wrap_async(
        "[method]descriptor.link-at",
        |mut store: StoreContextMut<'_, State>, (old, follow, from, new, to): Link| {
            let attempt = Attempt::at("link", &new, &to).and(&old, &from);
            Box::new(async move {
                let mut view = store.data_mut().filesystem();
                let result = view.link_at(old, follow, from, new, to).await;
                settle(&mut store, &attempt, result)
            })
        },
    )?;
    types.func_wrap_async(
        "[method]descriptor.symlink-at",
        |mut store: StoreContextMut<'_, State>,
         (handle, target, path): (Handle, String, String)| {
            let attempt = Attempt::symlink(&handle, &path, &target);
            Box::new(async move {
                let mut view = store.data_mut().filesystem();
                let result = view.symlink_at(handle, target, path).await;
                settle(&mut store, &attempt, result)
            })
        },
    )
}

fn link_attributes(linker: &mut ComponentLinker) -> wasmtime::Result<()> {
    type Times = (Handle, NewTimestamp, NewTimestamp);
    type TimesAt = (Handle, PathFlags, String, NewTimestamp, NewTimestamp);
    let mut types = linker.instance(TYPES)?;
    types.func_wrap_async(
        "[method]descriptor.set-size",
        |mut store: StoreContextMut<'_, State>, (handle, size): (Handle, u64)| {
            let attempt = Attempt::at("resize", &handle, "");
            Box::new(async move {
                let result = store.data_mut().filesystem().set_size(handle, size).await;
                settle(&mut store, &attempt, result)
            })
        },
    )?;
    types.func_wrap_async(
        "[method]descriptor.set-times",
        |mut store: StoreContextMut<'_, State>, (handle, read, write): Times| {
            let attempt = Attempt::at("set times of", &handle, "");
            Box::new(async move {
                let mut view = store.data_mut().filesystem();
                let result = view.set_times(handle, read, write).await;
                settle(&mut store, &attempt, result)
            })
        },
    )?;
    types.func_wrap_async(
        "[method]descriptor.set-times-at",
        |mut store: StoreContextMut<'_, State>, (handle, follow, path, read, write): TimesAt| {
            let attempt = Attempt::at("set times of", &handle, &path);
            Box::new(async move {
                let mut view = store.data_mut().filesystem();
                let result = view.set_times_at(handle, follow, path, read, write).await;
                settle(&mut store, &attempt, result)
            })
        },
    )
}

/// Makes the guest's answer of a result, and a report if it was a refusal.
pub(super) fn settle<R>(
    store: &mut StoreContextMut<'_, State>,
    attempt: &Attempt,
    result: FsResult<R>,
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
    Ok((Err(match explain(store.data_mut(), attempt, code) {
        Some(Better::ReadOnly) => ErrorCode::ReadOnly,
        Some(Better::CrossDevice) => ErrorCode::CrossDevice,
        None => error,
    }),))
}
