//! What the first eight bytes of a file say about it.
//!
//! This is all the trusted side ever reads of a program; everything else is parsed in a
//! locked role.

use serde::{Deserialize, Serialize};

/// The two kinds of compiled program that can be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ProgramKind {
    /// A core module (WebAssembly core specification, "Binary Format: Modules").
    Module,
    /// A component (Component Model, "Binary.md": layer field 1).
    Component,
}

impl ProgramKind {
    /// The kind's name as shown to a person.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Module => "core module",
            Self::Component => "component",
        }
    }
}

/// What a file is, as far as its first eight bytes tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// WebAssembly binary of a known kind.
    Wasm(ProgramKind),
    /// WebAssembly binary with a version or layer that is not one of the two kinds.
    UnknownWasm {
        /// The version field, little-endian `u16` at offset 4.
        version: u16,
        /// The layer field, little-endian `u16` at offset 6.
        layer: u16,
    },
    /// Probably the text format: blank space, `(` or a comment.
    Text,
    /// Native code made by wasmtime ahead of time (`.cwasm`).
    Precompiled,
    /// An ELF program for this or another machine.
    Elf,
    /// A script: it starts with `#!`.
    Script,
    /// Nothing at all.
    Empty,
    /// None of these.
    Unknown,
}

/// The number of bytes [`detect`] looks at.
pub const HEAD_LENGTH: usize = 8;

/// wasmtime marks its artifacts with this value of ELF's OS/ABI byte.
const ELF_OSABI_WASMTIME: u8 = 200;

/// Tells a file's kind from its first bytes; only the first [`HEAD_LENGTH`] are looked at.
#[must_use]
pub fn detect(head: &[u8]) -> FileKind {
    let head = head.get(..HEAD_LENGTH).unwrap_or(head);
    match *head {
        [] => FileKind::Empty,
        [0, b'a', b's', b'm', 1, 0, 0, 0] => FileKind::Wasm(ProgramKind::Module),
        [0, b'a', b's', b'm', 0x0d, 0, 1, 0] => FileKind::Wasm(ProgramKind::Component),
        [0, b'a', b's', b'm', v0, v1, l0, l1] => FileKind::UnknownWasm {
            version: u16::from_le_bytes([v0, v1]),
            layer: u16::from_le_bytes([l0, l1]),
        },
        [0x7f, b'E', b'L', b'F', _, _, _, ELF_OSABI_WASMTIME] => FileKind::Precompiled,
        [0x7f, b'E', b'L', b'F', ..] => FileKind::Elf,
        [b'#', b'!', ..] => FileKind::Script,
        [b'(' | b';', ..] => FileKind::Text,
        [b' ' | b'\t' | b'\r' | b'\n', ..] if head.iter().all(u8::is_ascii) => FileKind::Text,
        _ => FileKind::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wasm_kinds_are_told_apart() {
        assert_eq!(
            detect(b"\0asm\x01\0\0\0rest"),
            FileKind::Wasm(ProgramKind::Module)
        );
        assert_eq!(
            detect(b"\0asm\x0d\0\x01\0"),
            FileKind::Wasm(ProgramKind::Component)
        );
        assert_eq!(
            detect(b"\0asm\x0a\0\x01\0"),
            FileKind::UnknownWasm {
                version: 10,
                layer: 1
            }
        );
    }

    #[test]
    fn native_code_of_wasmtime_is_not_an_ordinary_elf_program() {
        assert_eq!(detect(b"\x7fELF\x02\x01\x01\xc8"), FileKind::Precompiled);
        assert_eq!(detect(b"\x7fELF\x02\x01\x01\x00"), FileKind::Elf);
    }

    #[test]
    fn short_and_foreign_files_are_named() {
        assert_eq!(detect(b""), FileKind::Empty);
        assert_eq!(detect(b"\0"), FileKind::Unknown);
        assert_eq!(detect(b"\0asm\x01"), FileKind::Unknown);
        assert_eq!(detect(b"#!/bin/sh"), FileKind::Script);
        assert_eq!(detect(b"(module)"), FileKind::Text);
        assert_eq!(detect(b"  \n(comp"), FileKind::Text);
        assert_eq!(detect(b"hello wo"), FileKind::Unknown);
    }
}
