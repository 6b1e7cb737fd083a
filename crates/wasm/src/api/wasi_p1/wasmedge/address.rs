//! Addresses in a guest's memory.
//!
//! ```text
//!   pointer ──▶ { u32 buffer, u32 length }
//!                     │         4    IPv4, in the network's order
//!                     │         16   IPv6, or IPv4 at its beginning where the host writes one
//!                     │         128  { u16 family, address }
//!                     ▼
//!                  length bytes
//! ```

use crate::api::wasi_p1::errno::Errno;
use crate::api::wasi_p1::memory::Memory;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A family of addresses, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Any,
    V4,
    V6,
    Unix,
}

impl Family {
    /// The family of a number.
    pub(super) fn of(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::Any),
            1 => Some(Self::V4),
            2 => Some(Self::V6),
            3 => Some(Self::Unix),
            _ => None,
        }
    }

    /// The number of an address's family.
    pub(super) fn number_of(address: IpAddr) -> u8 {
        match address {
            IpAddr::V4(_) => 1,
            IpAddr::V6(_) => 2,
        }
    }
}

/// The lengths of a buffer: an address of a family, or one with its family before it.
const V4_BYTES: u32 = 4;
const V6_BYTES: u32 = 16;
const STORAGE_BYTES: u32 = 128;

/// A buffer of the guest's for one address, which lies in its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    at: u32,
    length: u32,
}

impl Place {
    /// Reads where the buffer is.
    ///
    /// # Errors
    /// `inval` for a length that no address has, `fault`.
    pub(super) fn read(memory: &Memory<'_>, pointer: u32) -> Result<Self, Errno> {
        let [a, b, c, d, e, f, g, h] = memory.read::<8>(pointer)?;
        let place = Self {
            at: u32::from_le_bytes([a, b, c, d]),
            length: u32::from_le_bytes([e, f, g, h]),
        };
        if !matches!(place.length, V4_BYTES | V6_BYTES | STORAGE_BYTES) {
            return Err(Errno::INVAL);
        }
        memory.check(place.at, place.length)?;
        Ok(place)
    }

    /// Whether an address of the family has room.
    pub(super) fn has_room(&self, is_v6: bool) -> bool {
        !is_v6 || self.length != V4_BYTES
    }

    /// Reads the address.
    ///
    /// # Errors
    /// `nosys` for a path, `inval` for an unknown family, `fault`.
    pub(super) fn address(&self, memory: &Memory<'_>) -> Result<IpAddr, Errno> {
        let (family, at) = match self.length {
            V4_BYTES => (Family::V4, self.at),
            V6_BYTES => (Family::V6, self.at),
            _ => {
                let number = u16::from_le_bytes(memory.read(self.at)?);
                let family = Family::of(number.into()).ok_or(Errno::INVAL)?;
                (family, self.behind_family()?)
            }
        };
        match family {
            Family::V4 => Ok(Ipv4Addr::from(memory.read::<4>(at)?).into()),
            Family::V6 => Ok(Ipv6Addr::from(memory.read::<16>(at)?).into()),
            Family::Unix => Err(Errno::NOSYS),
            Family::Any => Err(Errno::INVAL),
        }
    }

    /// Writes an address.
    ///
    /// # Errors
    /// `inval` where it has no room, `fault`.
    pub(super) fn write(&self, memory: &mut Memory<'_>, address: IpAddr) -> Result<(), Errno> {
        if !self.has_room(address.is_ipv6()) {
            return Err(Errno::INVAL);
        }
        let mut at = self.at;
        if self.length == STORAGE_BYTES {
            let family = u16::from(Family::number_of(address));
            memory.write(at, &family.to_le_bytes())?;
            at = self.behind_family()?;
        }
        match address {
            IpAddr::V4(address) => memory.write(at, &address.octets()),
            IpAddr::V6(address) => memory.write(at, &address.octets()),
        }
    }

    fn behind_family(&self) -> Result<u32, Errno> {
        self.at.checked_add(2).ok_or(Errno::FAULT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A memory with the descriptions of buffers of some lengths at 0, all of which are at 64.
    fn memory(lengths: &[u32]) -> Vec<u8> {
        let mut bytes = vec![0; 192];
        for (place, length) in bytes.chunks_exact_mut(8).zip(lengths) {
            place[..4].copy_from_slice(&64_u32.to_le_bytes());
            place[4..].copy_from_slice(&length.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn addresses_come_back_as_they_were_written() {
        let mut bytes = memory(&[4, 16, 128]);
        let mut memory = Memory::Own(&mut bytes);
        for (pointer, text) in [
            (0, "10.1.2.3"),
            (8, "fd00::1"),
            (16, "10.1.2.3"),
            (16, "fd00::1"),
        ] {
            let address: IpAddr = text.parse().expect("an address");
            let place = Place::read(&memory, pointer).expect("a place");
            assert_eq!(place.write(&mut memory, address), Ok(()));
            assert_eq!(place.address(&memory), Ok(address));
        }
    }

    #[test]
    fn family_stands_before_the_address_in_the_guests_order() {
        let mut bytes = memory(&[128]);
        let mut memory = Memory::Own(&mut bytes);
        let place = Place::read(&memory, 0).expect("a place");
        let address = IpAddr::from([10, 1, 2, 3]);
        assert_eq!(place.write(&mut memory, address), Ok(()));
        assert_eq!(bytes[64..70], [1, 0, 10, 1, 2, 3]);
    }

    #[test]
    fn address_without_room_is_not_written() {
        let mut bytes = memory(&[4]);
        let mut memory = Memory::Own(&mut bytes);
        let place = Place::read(&memory, 0).expect("a place");
        let address = IpAddr::from(Ipv6Addr::LOCALHOST);
        assert_eq!(place.write(&mut memory, address), Err(Errno::INVAL));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let mut bytes = memory(&[0, 5, 128, 128]);
        // The buffer of the last leads out of the memory.
        bytes[24..28].copy_from_slice(&100_u32.to_le_bytes());
        let memory = Memory::Own(&mut bytes);
        assert_eq!(Place::read(&memory, 0), Err(Errno::INVAL));
        assert_eq!(Place::read(&memory, 8), Err(Errno::INVAL));
        let place = Place::read(&memory, 16).expect("a place");
        assert_eq!(place.address(&memory), Err(Errno::INVAL), "of no family");
        assert_eq!(Place::read(&memory, 24), Err(Errno::FAULT));
        assert_eq!(Place::read(&memory, u32::MAX), Err(Errno::FAULT));
    }

    #[test]
    fn paths_are_not_there() {
        let mut bytes = memory(&[128]);
        bytes[64] = 3;
        let memory = Memory::Own(&mut bytes);
        let place = Place::read(&memory, 0).expect("a place");
        assert_eq!(place.address(&memory), Err(Errno::NOSYS));
    }
}
