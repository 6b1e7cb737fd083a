//! The error numbers of WASI 0.1, and what becomes of the system's.

use std::io;

/// An error number of WASI 0.1 (`typenames.witx`, `$errno`); `wasi_unstable` has the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Errno(u16);

impl Errno {
    pub(super) const ACCES: Self = Self(2);
    pub(super) const AFNOSUPPORT: Self = Self(5);
    pub(super) const AGAIN: Self = Self(6);
    pub(super) const BADF: Self = Self(8);
    pub(super) const FAULT: Self = Self(21);
    pub(super) const ILSEQ: Self = Self(25);
    pub(super) const INVAL: Self = Self(28);
    pub(super) const IO: Self = Self(29);
    pub(super) const MFILE: Self = Self(33);
    pub(super) const MSGSIZE: Self = Self(35);
    pub(super) const NAMETOOLONG: Self = Self(37);
    pub(super) const NOPROTOOPT: Self = Self(50);
    pub(super) const NOSYS: Self = Self(52);
    pub(super) const NOTDIR: Self = Self(54);
    pub(super) const NOTSOCK: Self = Self(57);
    pub(super) const NOTSUP: Self = Self(58);
    pub(super) const OVERFLOW: Self = Self(61);
    pub(super) const PERM: Self = Self(63);
    pub(super) const SPIPE: Self = Self(70);
    pub(super) const NOTCAPABLE: Self = Self(76);

    // What WasmEdge's extension has besides, for its resolver: `EAI_` of POSIX.
    pub(super) const RESOLVER_ADDRFAMILY: Self = Self(77);
    pub(super) const RESOLVER_AGAIN: Self = Self(78);
    pub(super) const RESOLVER_BADFLAGS: Self = Self(79);
    pub(super) const RESOLVER_FAIL: Self = Self(80);
    pub(super) const RESOLVER_FAMILY: Self = Self(81);
    pub(super) const RESOLVER_NODATA: Self = Self(83);
    pub(super) const RESOLVER_NONAME: Self = Self(84);
    pub(super) const RESOLVER_SERVICE: Self = Self(85);
    pub(super) const RESOLVER_SOCKTYPE: Self = Self(86);

    /// The number as a guest sees it.
    pub(crate) const fn number(self) -> u16 {
        self.0
    }
}

/// The system's error numbers and WASI's, by name.
const NUMBERS: &[(rustix::io::Errno, u16)] = {
    use rustix::io::Errno as E;
    &[
        (E::TOOBIG, 1),
        (E::ACCESS, 2),
        (E::ADDRINUSE, 3),
        (E::ADDRNOTAVAIL, 4),
        (E::AFNOSUPPORT, 5),
        (E::AGAIN, 6),
        (E::ALREADY, 7),
        (E::BADF, 8),
        (E::BADMSG, 9),
        (E::BUSY, 10),
        (E::CANCELED, 11),
        (E::CHILD, 12),
        (E::CONNABORTED, 13),
        (E::CONNREFUSED, 14),
        (E::CONNRESET, 15),
        (E::DEADLK, 16),
        (E::DESTADDRREQ, 17),
        (E::DOM, 18),
        (E::DQUOT, 19),
        (E::EXIST, 20),
        (E::FAULT, 21),
        (E::FBIG, 22),
        (E::HOSTUNREACH, 23),
        (E::ILSEQ, 25),
        (E::INPROGRESS, 26),
        (E::INTR, 27),
        (E::INVAL, 28),
        (E::IO, 29),
        (E::ISCONN, 30),
        (E::ISDIR, 31),
        (E::LOOP, 32),
        (E::MFILE, 33),
        (E::MLINK, 34),
        (E::MSGSIZE, 35),
        (E::MULTIHOP, 36),
        (E::NAMETOOLONG, 37),
        (E::NETDOWN, 38),
        (E::NETRESET, 39),
        (E::NETUNREACH, 40),
        (E::NFILE, 41),
        (E::NOBUFS, 42),
        (E::NODEV, 43),
        (E::NOENT, 44),
        (E::NOEXEC, 45),
        (E::NOLCK, 46),
        (E::NOLINK, 47),
        (E::NOMEM, 48),
        (E::NOPROTOOPT, 50),
        (E::NOSPC, 51),
        (E::NOSYS, 52),
        (E::NOTCONN, 53),
        (E::NOTDIR, 54),
        (E::NOTEMPTY, 55),
        (E::NOTRECOVERABLE, 56),
        (E::NOTSOCK, 57),
        (E::NOTSUP, 58),
        (E::OPNOTSUPP, 58),
        (E::NOTTY, 59),
        (E::NXIO, 60),
        (E::OVERFLOW, 61),
        (E::OWNERDEAD, 62),
        (E::PERM, 63),
        (E::PIPE, 64),
        (E::PROTO, 65),
        (E::PROTONOSUPPORT, 66),
        (E::PROTOTYPE, 67),
        (E::RANGE, 68),
        (E::ROFS, 69),
        (E::SPIPE, 70),
        (E::SRCH, 71),
        (E::STALE, 72),
        (E::TIMEDOUT, 73),
        (E::TXTBSY, 74),
        (E::XDEV, 75),
    ]
};

impl From<rustix::io::Errno> for Errno {
    fn from(errno: rustix::io::Errno) -> Self {
        NUMBERS
            .iter()
            .find(|(system, _)| *system == errno)
            .map_or(Self::IO, |(_, wasi)| Self(*wasi))
    }
}

impl From<io::Error> for Errno {
    fn from(error: io::Error) -> Self {
        if let Some(errno) = rustix::io::Errno::from_io_error(&error) {
            return errno.into();
        }
        match error.kind() {
            io::ErrorKind::PermissionDenied => Self::PERM,
            io::ErrorKind::InvalidInput => Self::INVAL,
            io::ErrorKind::Unsupported => Self::NOTSUP,
            _ => Self::IO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_errors_keep_their_names() {
        assert_eq!(
            Errno::from(rustix::io::Errno::SPIPE),
            Errno::SPIPE,
            "the two lists agree"
        );
        assert_eq!(Errno::from(rustix::io::Errno::NOTDIR), Errno::NOTDIR);
    }

    #[test]
    fn error_without_a_name_in_wasi_is_io() {
        assert_eq!(Errno::from(rustix::io::Errno::USERS), Errno::IO);
    }

    #[test]
    fn path_that_leads_out_is_not_permitted() {
        let escape = io::Error::new(io::ErrorKind::PermissionDenied, "out");
        assert_eq!(Errno::from(escape), Errno::PERM);
    }
}
