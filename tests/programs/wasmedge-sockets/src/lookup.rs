//! `sock_getaddrinfo`, with a list of sixteen entries.

use crate::wasi::{Result, check, raw};
use std::net::SocketAddr;

const MOST: usize = 16;

#[repr(C)]
#[derive(Clone, Copy)]
struct Entry {
    flags: u16,
    family: u8,
    kind: u8,
    protocol: u8,
    length: u32,
    address: *mut Sockaddr,
    name: *mut u8,
    name_length: u32,
    next: *mut Entry,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Sockaddr {
    family: u8,
    length: u32,
    data: *mut [u8; 26],
}

/// What the numbers of the hints are: flags, family, type and protocol.
pub type Hints = [u8; 4];

/// One line for each result: address, type, protocol; the canonical name behind the first.
pub fn look_up(host: &str, service: &str, hints: Hints) -> Result<Vec<String>> {
    let mut data = [[0; 26]; MOST];
    let mut names = [[0_u8; 32]; MOST];
    let mut addresses: Vec<Sockaddr> =
        data.iter_mut().map(|data| Sockaddr { family: 0, length: 14, data }).collect();
    let empty = Entry {
        flags: 0,
        family: 0,
        kind: 0,
        protocol: 0,
        length: 0,
        address: std::ptr::null_mut(),
        name: std::ptr::null_mut(),
        name_length: 32,
        next: std::ptr::null_mut(),
    };
    let [flags, family, kind, protocol] = hints;
    let asked = Entry { flags: flags.into(), family, kind, protocol, ..empty };
    let mut list = [empty; MOST];
    let first = list.as_mut_ptr();
    for index in 0..MOST {
        list[index].address = &mut addresses[index];
        list[index].name = names[index].as_mut_ptr();
        if index + 1 < MOST {
            list[index].next = first.wrapping_add(index + 1);
        }
    }
    let (host, head, mut count) = (format!("{host}\0"), first as u32, 0);
    check(unsafe {
        raw::sock_getaddrinfo(
            host.as_ptr(),
            host.len() as u32,
            service.as_ptr(),
            service.len() as u32,
            (&raw const asked).cast(),
            &head,
            MOST as u32,
            &mut count,
        )
    })?;
    let lines = (0..count as usize).map(|index| {
        let (entry, address) = (unsafe { first.add(index).read() }, addresses[index]);
        let data = unsafe { address.data.read() };
        assert_eq!((entry.family, entry.length), (address.family, address.length + 2));
        let port = u16::from_be_bytes([data[0], data[1]]);
        let ip = match (address.family, address.length) {
            (1, 14) => <[u8; 4]>::try_from(&data[2..6]).unwrap().into(),
            (2, 26) => <[u8; 16]>::try_from(&data[6..22]).unwrap().into(),
            other => panic!("no family: {other:?}"),
        };
        let name = String::from_utf8_lossy(&names[index][..entry.name_length as usize]);
        let line = format!("{} {} {} {name}", SocketAddr::new(ip, port), entry.kind, entry.protocol);
        line.trim_end().to_owned()
    });
    Ok(lines.collect())
}
