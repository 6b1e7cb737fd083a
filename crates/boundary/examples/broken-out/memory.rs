//! Memory that a guest may not have: executable, in files of its own, shared.

use crate::Case;
use crate::attempts::Attempts;
use crate::raw::{HERE, call, path};
use crate::stage::Stage;
use libc::{
    MAP_ANONYMOUS, MAP_PRIVATE, MAP_SHARED, PROT_EXEC, PROT_READ, PROT_WRITE, SYS_memfd_create,
    SYS_memfd_secret, SYS_mmap, SYS_mprotect, SYS_openat, SYS_personality, SYS_pkey_mprotect,
    SYS_shmat, SYS_shmget,
};
use std::io;

pub(crate) const CASES: &[Case] = &[
    ("new_executable_memory_is_refused", executable),
    ("executable_mapping_of_a_file_is_refused", executable_file),
    ("change_of_our_own_code_is_refused", own_code),
    ("memory_file_is_refused", memory_file),
    ("shared_mapping_is_refused", shared),
    ("memory_above_the_limit_is_refused", above_the_limit),
];

const PAGE: usize = 4096;
const NO_FILE: usize = usize::MAX;

fn map(protection: i32, flags: i32, file: usize) -> io::Result<usize> {
    call(
        SYS_mmap,
        [0, PAGE, protection as usize, flags as usize, file, 0],
    )
}

fn executable(_: &Stage, attempts: &mut Attempts) {
    let private = MAP_PRIVATE | MAP_ANONYMOUS;
    let all = PROT_READ | PROT_WRITE | PROT_EXEC;
    attempts.make("mmap r-x", || map(PROT_READ | PROT_EXEC, private, NO_FILE));
    attempts.make("mmap rwx", || map(all, private, NO_FILE));
    attempts.make("mmap rwx, shared", || {
        map(all, MAP_SHARED | MAP_ANONYMOUS, NO_FILE)
    });
    attempts.make("mprotect r-x", || {
        let memory = map(PROT_READ | PROT_WRITE, private, NO_FILE)?;
        call(
            SYS_mprotect,
            [memory, PAGE, (PROT_READ | PROT_EXEC) as usize],
        )
    });
    attempts.make("mprotect rwx", || {
        let memory = map(PROT_READ | PROT_WRITE, private, NO_FILE)?;
        call(SYS_mprotect, [memory, PAGE, all as usize])
    });
    attempts.make("pkey_mprotect r-x", || {
        let memory = map(PROT_READ | PROT_WRITE, private, NO_FILE)?;
        let protection = (PROT_READ | PROT_EXEC) as usize;
        call(SYS_pkey_mprotect, [memory, PAGE, protection, usize::MAX])
    });
    attempts.make("shmat", || {
        let segment = call(SYS_shmget, [0, PAGE, 0o1700])?;
        call(SYS_shmat, [segment, 0, libc::SHM_EXEC as usize])
    });
    let read_implies_exec = 0x0040_0000;
    attempts.call("personality", SYS_personality, [read_implies_exec]);
}

fn executable_file(stage: &Stage, attempts: &mut Attempts) {
    let files = [
        format!("{}/artifact", stage.code),
        format!("{}/file", stage.read_only),
        format!("{}/file", stage.writable),
    ];
    for file in files {
        let name = path(&*file);
        let open = || call(SYS_openat, [HERE, name.as_ptr().addr(), 0]);
        attempts.make(&format!("mmap {file}"), || {
            map(PROT_READ | PROT_EXEC, MAP_PRIVATE, open()?)
        });
        attempts.make(&format!("mprotect {file}"), || {
            let memory = map(PROT_READ, MAP_PRIVATE, open()?)?;
            call(
                SYS_mprotect,
                [memory, PAGE, (PROT_READ | PROT_EXEC) as usize],
            )
        });
    }
}

fn own_code(_: &Stage, attempts: &mut Attempts) {
    let code = (own_code as *const ()).addr() / PAGE * PAGE;
    let all = (PROT_READ | PROT_WRITE | PROT_EXEC) as usize;
    attempts.call("mprotect rwx", SYS_mprotect, [code, PAGE, all]);
    attempts.call("end of the seal", libc::SYS_prctl, [65, 0, 0, 0, 0]);
}

fn memory_file(_: &Stage, attempts: &mut Attempts) {
    let name = c"x".as_ptr().addr();
    attempts.call("memfd_create", SYS_memfd_create, [name, 0]);
    attempts.call("memfd_create executable", SYS_memfd_create, [name, 0x10]);
    attempts.call("memfd_secret", SYS_memfd_secret, [0]);
}

fn shared(stage: &Stage, attempts: &mut Attempts) {
    let both = PROT_READ | PROT_WRITE;
    attempts.make("mmap of nothing", || {
        map(both, MAP_SHARED | MAP_ANONYMOUS, NO_FILE)
    });
    attempts.make("mmap of a file", || {
        let file = path(format!("{}/file", stage.writable));
        let file = call(
            SYS_openat,
            [HERE, file.as_ptr().addr(), libc::O_RDWR as usize],
        )?;
        map(both, MAP_SHARED, file)
    });
    attempts.make("mmap of a file, validated", || {
        let file = path(format!("{}/file", stage.writable));
        let file = call(
            SYS_openat,
            [HERE, file.as_ptr().addr(), libc::O_RDWR as usize],
        )?;
        map(both, libc::MAP_SHARED_VALIDATE, file)
    });
}

/// More than the limit, in bytes.
const MUCH: usize = 128 << 20;

fn map_much(protection: i32, flags: i32) -> io::Result<usize> {
    let flags = (MAP_PRIVATE | flags) as usize;
    call(SYS_mmap, [0, MUCH, protection as usize, flags, NO_FILE, 0])
}

fn above_the_limit(stage: &Stage, attempts: &mut Attempts) {
    let both = PROT_READ | PROT_WRITE;
    let kinds = [
        ("memory", 0),
        ("memory that is not counted in advance", libc::MAP_NORESERVE),
        ("a stack", libc::MAP_STACK),
        ("a stack that grows", libc::MAP_GROWSDOWN),
        ("locked memory", libc::MAP_LOCKED),
        ("populated memory", libc::MAP_POPULATE),
        ("huge pages", libc::MAP_HUGETLB),
    ];
    for (name, flags) in kinds {
        attempts.make(&format!("mmap of {name}"), || {
            let memory = map_much(both, MAP_ANONYMOUS | flags).map_err(|error| {
                match error.raw_os_error() {
                    // The machine has set no such pages aside.
                    Some(libc::ENOMEM) if flags == libc::MAP_HUGETLB => {
                        io::Error::from_raw_os_error(libc::EOPNOTSUPP)
                    }
                    _ => error,
                }
            })?;
            call(libc::SYS_munmap, [memory, MUCH])
        });
    }
    attempts.make("mmap of a file", || {
        let file = path(format!("{}/file", stage.read_only));
        let file = call(SYS_openat, [HERE, file.as_ptr().addr(), 0])?;
        let memory = call(
            SYS_mmap,
            [0, MUCH, both as usize, MAP_PRIVATE as usize, file, 0],
        )?;
        call(libc::SYS_munmap, [memory, MUCH])
    });
    for (name, protection) in [("nothing", libc::PROT_NONE), ("zeros", PROT_READ)] {
        attempts.make(&format!("mprotect of {name}"), || {
            let memory = map_much(protection, MAP_ANONYMOUS)?;
            call(SYS_mprotect, [memory, MUCH, both as usize])?;
            call(libc::SYS_munmap, [memory, MUCH])
        });
    }
    attempts.make("many small mappings", || {
        let piece = MUCH / 128;
        let flags = (MAP_PRIVATE | MAP_ANONYMOUS) as usize;
        (0..128).try_fold(0, |_, _| {
            call(SYS_mmap, [0, piece, both as usize, flags, NO_FILE, 0])
        })
    });
    attempts.make("brk", || {
        let end = call(libc::SYS_brk, [0])?;
        match call(libc::SYS_brk, [end + MUCH])? {
            new if new >= end + MUCH => call(libc::SYS_brk, [end]),
            _ => Err(io::Error::from_raw_os_error(libc::ENOMEM)),
        }
    });
    attempts.make("mremap", || {
        let memory = map(both, MAP_PRIVATE | MAP_ANONYMOUS, NO_FILE)?;
        grow(memory)
    });
    attempts.make("mremap of the stack", || {
        let on_the_stack = 0_u8;
        // Below what is in use, so that the stack itself stays where it is.
        grow((&raw const on_the_stack).addr() / PAGE * PAGE - 4 * PAGE)
    });
}

/// Makes a page a part of a larger mapping.
fn grow(memory: usize) -> io::Result<usize> {
    let memory = call(
        libc::SYS_mremap,
        [memory, PAGE, MUCH, libc::MREMAP_MAYMOVE as usize],
    )?;
    call(libc::SYS_munmap, [memory, MUCH])
}
