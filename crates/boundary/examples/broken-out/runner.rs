//! The locked process: reads its order, locks itself as the real roles do, then plays its case.

use crate::attempts::{Attempts, Word, tell};
use crate::raw::call;
use crate::stage::{Kind, Stage};
use lighter_lock::{Bounds, Grants, LockError, Role, lock};
use lighter_types::bundle::FileRight;
use lighter_types::runner_protocol::{
    CONTROL_FD, HEADER_BYTES, TO_RUNNER_BYTES, decode, message_length,
};
use std::error::Error;
use std::os::fd::AsRawFd;

/// What the process may use up. This program takes 16 MiB of it by itself.
const BOUNDS: Bounds = Bounds {
    data_bytes: Some(64 << 20),
    address_bytes: None,
    cpu_seconds: Some(60),
    file_bytes: None,
    threads: Some(8),
};

/// Plays the case that the keeper orders.
pub(crate) fn play() {
    let stage = order();
    let (_, case) = crate::cases()
        .chain([&crate::network::REACH])
        .find(|(name, _)| *name == stage.case)
        .expect("the keeper knows the cases");
    if let Err(error) = put_lock_on(&stage) {
        tell(&Word::Failed(format!("{error}: {:?}", error.source())));
        return;
    }
    case(&stage, &mut Attempts::new());
}

fn order() -> Stage {
    let mut header = [0; HEADER_BYTES];
    read_all(&mut header);
    let mut body = vec![0; message_length(header, TO_RUNNER_BYTES).expect("the keeper is ours")];
    read_all(&mut body);
    decode(&body).expect("the keeper is ours")
}

fn read_all(mut bytes: &mut [u8]) {
    while !bytes.is_empty() {
        let arguments = [CONTROL_FD as usize, bytes.as_mut_ptr().addr(), bytes.len()];
        let read = call(libc::SYS_read, arguments).expect("the keeper is there");
        assert!(read > 0, "the keeper is gone");
        bytes = bytes.get_mut(read..).unwrap_or_default();
    }
}

fn put_lock_on(stage: &Stage) -> Result<(), LockError> {
    let right = |path: &str, is_writable| FileRight {
        runner_path: path.to_owned(),
        is_writable,
    };
    match stage.kind {
        Kind::Free => Ok(()),
        Kind::Tree => {
            let grants = Grants {
                artifact: Some(&format!("{}/artifact", stage.code)),
                files: &[right(&stage.read_only, false), right(&stage.writable, true)],
                has_network: false,
                has_published: false,
                bounds: BOUNDS,
                has_own_root: true,
                may_lack_parts: false,
            };
            lock(Role::Run, &grants)?.seal_code()
        }
        Kind::Network => {
            let grants = Grants {
                artifact: None,
                files: &[],
                has_network: true,
                has_published: true,
                bounds: BOUNDS,
                has_own_root: true,
                may_lack_parts: false,
            };
            let mut lock = lock(Role::Run, &grants)?;
            let listener = lock.take_listener().expect("it has a network");
            tell(&Word::Asks(listener.as_raw_fd()));
            read_all(&mut [0]);
            drop(listener);
            lock.seal_code()
        }
        Kind::Empty => {
            let grants = Grants {
                artifact: None,
                files: &[],
                has_network: false,
                has_published: false,
                bounds: Bounds {
                    data_bytes: None,
                    address_bytes: Some(64 << 20),
                    ..BOUNDS
                },
                has_own_root: true,
                may_lack_parts: false,
            };
            lock(Role::Compile, &grants).map(drop)
        }
    }
}
