//! `sock_getaddrinfo`: a guest's question, and the list of its own that is filled with the answers.
//!
//! ```text
//!   result ──▶ addrinfo, 28 bytes                     ┌▶ the next addrinfo, up to `max`
//!                u16 flags                        0   │
//!                u8  family, kind, protocol       2   │
//!                u32 length of the C address      8   │
//!                u32 ──▶ sockaddr, 12 bytes       12  │
//!                u32 ──▶ canonical name, length   16  │
//!                u32 next ────────────────────────24──┘
//!
//!   sockaddr   u8 family, u32 length, u32 ──▶ data: a C `sockaddr` behind its family
//!                0          4           8
//! ```

use super::Function;
use super::address::Family;
use super::resolve::{Answer, Hints, flags, resolve};
use crate::api::wasi_p1::call;
use crate::api::wasi_p1::context::WasiContext;
use crate::api::wasi_p1::errno::Errno;
use crate::api::wasi_p1::memory::Memory;
use crate::api::wasi_p1::types::{Record, number};
use crate::core::CoreState;
use lighter_types::network::LookupError;
use lighter_types::refusal::Refusal;
use std::net::{IpAddr, SocketAddr};
use wasmtime::Caller;

pub(super) const FUNCTIONS: &[Function] = &[("sock_getaddrinfo", 8, |linker, module, name, _| {
    let ask = |caller: Caller<'_, CoreState>,
               host: u32,
               host_length: u32,
               service: u32,
               service_length: u32,
               hints: u32,
               list: u32,
               most: u32,
               count: u32| {
        let question = Question {
            host: (host, host_length),
            service: (service, service_length),
            hints,
        };
        let results = Results { list, most, count };
        sock_getaddrinfo(caller, &question, &results)
    };
    linker.func_wrap(module, name, ask).map(drop)
})];

/// The longest text of a question, in bytes: what is longer is no name.
const TEXT_BYTES: u32 = 4096;

/// The bytes of one entry of the list.
const ENTRY_BYTES: usize = 28;

/// The bytes of a C `sockaddr`, its family included.
const V4_BYTES: u32 = 16;
const V6_BYTES: u32 = 28;

/// What is asked: pointers, and the lengths of texts.
struct Question {
    host: (u32, u32),
    service: (u32, u32),
    hints: u32,
}

/// Where the answers go.
struct Results {
    /// Where the pointer to the list's first entry is.
    list: u32,
    most: u32,
    /// Where their number is told.
    count: u32,
}

fn sock_getaddrinfo(
    caller: Caller<'_, CoreState>,
    question: &Question,
    results: &Results,
) -> wasmtime::Result<u32> {
    call(caller, |context, memory| {
        memory.check(results.count, 4)?;
        let list = u32::from_le_bytes(memory.read(results.list)?);
        let host = read_text(memory, question.host)?;
        let service = read_text(memory, question.service)?;
        let hints = read_hints(memory, question.hints)?;
        if !context.has_network && !host.is_empty() {
            context.refuse(Refusal::lookup(host));
            return Err(Errno::ACCES);
        }
        let answers = resolve(&host, &service, &hints, |name| look_up(context, name))?;
        let most = usize::try_from(results.most).unwrap_or(usize::MAX);
        let answers = answers.get(..answers.len().min(most)).unwrap_or_default();
        let name = (hints.flags & flags::CANONICAL_NAME != 0).then_some(host.as_str());
        let count = write_list(memory, list, answers, hints.flags, name)?;
        memory.write_u32(results.count, count)
    })
}

fn look_up(context: &WasiContext, name: &str) -> Result<Vec<IpAddr>, Errno> {
    context.look_up(name).map_err(|error| match error {
        LookupError::Invalid | LookupError::Unresolvable => Errno::RESOLVER_NONAME,
        LookupError::Temporary => Errno::RESOLVER_AGAIN,
        LookupError::Refused | LookupError::Permanent => Errno::RESOLVER_FAIL,
    })
}

/// Reads a text, which may end in a NUL before its length is over.
fn read_text(memory: &Memory<'_>, (at, length): (u32, u32)) -> Result<String, Errno> {
    if at == 0 {
        return Ok(String::new());
    }
    memory.check(at, length)?;
    if length > TEXT_BYTES {
        return Err(Errno::RESOLVER_NONAME);
    }
    let bytes = memory.read_bytes(at, length)?;
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8(text.to_vec()).map_err(|_| Errno::RESOLVER_NONAME)
}

fn read_hints(memory: &Memory<'_>, at: u32) -> Result<Hints, Errno> {
    if at == 0 {
        return Ok(Hints::NONE);
    }
    let entry: [u8; ENTRY_BYTES] = memory.read(at)?;
    let [flags, family, kind, protocol] =
        [(0, 2), (2, 1), (3, 1), (4, 1)].map(|(at, length)| field(&entry, at, length));
    Hints::of(flags, family, kind, protocol)
}

fn field(record: &[u8], at: usize, length: usize) -> u32 {
    u32::try_from(number(record, at, length)).unwrap_or(u32::MAX)
}

/// Fills the list, as far as it goes, and gives how many answers it took. It may be a circle: there is an end
/// to the answers.
fn write_list(
    memory: &mut Memory<'_>,
    first: u32,
    answers: &[Answer],
    flags: u32,
    mut name: Option<&str>,
) -> Result<u32, Errno> {
    if first == 0 && !answers.is_empty() {
        return Err(Errno::FAULT);
    }
    let (mut at, mut count) = (first, 0);
    for answer in answers {
        if at == 0 {
            break;
        }
        // The first one has the name.
        at = write_entry(memory, at, answer, flags, name.take())?;
        count += 1;
    }
    Ok(count)
}

/// Fills one entry, and gives where the next one is.
fn write_entry(
    memory: &mut Memory<'_>,
    at: u32,
    answer: &Answer,
    flags: u32,
    name: Option<&str>,
) -> Result<u32, Errno> {
    let mut entry = Record::<ENTRY_BYTES> {
        bytes: memory.read(at)?,
    };
    let [address, name_at, name_room, next] = [12, 16, 20, 24].map(|at| field(&entry.bytes, at, 4));
    write_address(memory, address, answer.address)?;
    let name = name.unwrap_or_default();
    let name_length = write_name(memory, (name_at, name_room), name)?;
    let (kind, protocol) = answer.numbers();
    let length = match answer.address {
        SocketAddr::V4(_) => V4_BYTES,
        SocketAddr::V6(_) => V6_BYTES,
    };
    entry.put(0, flags.to_le_bytes().get(..2).unwrap_or_default());
    entry.put(2, &[Family::number_of(answer.address.ip())]);
    entry.put(3, kind.to_le_bytes().get(..1).unwrap_or_default());
    entry.put(4, protocol.to_le_bytes().get(..1).unwrap_or_default());
    entry.put(8, &length.to_le_bytes());
    entry.put(20, &name_length.to_le_bytes());
    memory.write(at, &entry.bytes)?;
    Ok(next)
}

/// Writes an address as C has it, behind its family. A guest says of its buffer that it holds the shorter one,
/// whichever it holds.
fn write_address(memory: &mut Memory<'_>, at: u32, address: SocketAddr) -> Result<(), Errno> {
    if at == 0 {
        return Err(Errno::FAULT);
    }
    let mut sockaddr = Record::<12> {
        bytes: memory.read(at)?,
    };
    let data_at = field(&sockaddr.bytes, 8, 4);
    let mut data = Record::<26>::new();
    data.put(0, &address.port().to_be_bytes());
    let length = match address.ip() {
        IpAddr::V4(address) => {
            data.put(2, &address.octets());
            V4_BYTES - 2
        }
        IpAddr::V6(address) => {
            data.put(6, &address.octets());
            V6_BYTES - 2
        }
    };
    let used = usize::try_from(length).map_err(|_| Errno::FAULT)?;
    memory.write(data_at, data.bytes.get(..used).ok_or(Errno::FAULT)?)?;
    sockaddr.put(0, &[Family::number_of(address.ip())]);
    sockaddr.put(4, &length.to_le_bytes());
    memory.write(at, &sockaddr.bytes)
}

/// Writes as much of a name as there is room for, with a NUL behind it where there is room for that too.
fn write_name(memory: &mut Memory<'_>, (at, room): (u32, u32), name: &str) -> Result<u32, Errno> {
    if at == 0 || name.is_empty() {
        return Ok(0);
    }
    let mut bytes = name.as_bytes().to_vec();
    bytes.push(0);
    let length = usize::try_from(room).map_err(|_| Errno::FAULT)?;
    memory.write(at, bytes.get(..length).unwrap_or(&bytes))?;
    Ok(u32::try_from(name.len()).unwrap_or(u32::MAX).min(room))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lighter_types::grant::Protocol;

    /// A memory with a list of entries at 64, 128, ..., each with its address at +32, that one's data at
    /// 512 and room for four bytes of a name at 600.
    fn list(entries: u32, last_next: u32) -> Vec<u8> {
        let mut bytes = vec![0; 640];
        let mut put = |at: u32, number: u32| {
            let at = usize::try_from(at).expect("it is small");
            bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
        };
        for index in 0..entries {
            let at = 64 + 64 * index;
            put(at + 12, at + 32);
            put(at + 16, 600);
            put(at + 20, 4);
            put(
                at + 24,
                if index + 1 < entries {
                    at + 64
                } else {
                    last_next
                },
            );
            put(at + 32 + 8, 512);
        }
        bytes
    }

    fn answers(texts: &[&str]) -> Vec<Answer> {
        let answer = |text: &&str| Answer {
            address: text.parse().expect("an address"),
            protocol: Protocol::Udp,
        };
        texts.iter().map(answer).collect()
    }

    #[test]
    fn entry_is_laid_out_as_c_has_it() {
        let mut bytes = list(1, 0);
        let answers = answers(&["192.0.2.1:258"]);
        let count = write_list(&mut Memory::Own(&mut bytes), 64, &answers, 2, Some("a.b"));
        assert_eq!(count, Ok(1));
        assert_eq!(bytes[64..76], [2, 0, 1, 1, 2, 0, 0, 0, 16, 0, 0, 0]);
        assert_eq!(bytes[84..88], 3_u32.to_le_bytes(), "the name's length");
        assert_eq!(&bytes[600..604], b"a.b\0");
        assert_eq!(bytes[96..104], [1, 0, 0, 0, 14, 0, 0, 0]);
        assert_eq!(bytes[512..518], [1, 2, 192, 0, 2, 1]);
    }

    #[test]
    fn address_of_ipv6_stands_behind_its_flow() {
        let mut bytes = list(1, 0);
        let answers = answers(&["[2001:db8::1]:80"]);
        let count = write_list(&mut Memory::Own(&mut bytes), 64, &answers, 0, None);
        assert_eq!(count, Ok(1));
        assert_eq!(bytes[100..104], 26_u32.to_le_bytes());
        assert_eq!(bytes[512..522], [0, 80, 0, 0, 0, 0, 0x20, 1, 0x0d, 0xb8]);
        assert_eq!(bytes[84..88], [0; 4], "no name");
    }

    #[test]
    fn name_is_cut_to_the_room_for_it() {
        let mut bytes = list(1, 0);
        let answers = answers(&["192.0.2.1:1"]);
        let name = Some("name.example");
        assert!(write_list(&mut Memory::Own(&mut bytes), 64, &answers, 2, name).is_ok());
        assert_eq!(&bytes[600..605], b"name\0");
        assert_eq!(bytes[84..88], 4_u32.to_le_bytes());
    }

    #[test]
    fn list_ends_where_the_guest_ends_it() {
        let three = answers(&["192.0.2.1:1", "192.0.2.2:1", "192.0.2.3:1"]);
        let write =
            |mut bytes: Vec<u8>| write_list(&mut Memory::Own(&mut bytes), 64, &three, 0, None);
        assert_eq!(write(list(2, 0)), Ok(2));
        assert_eq!(write(list(1, 64)), Ok(3), "a circle");
        assert_eq!(write(list(1, 630)), Err(Errno::FAULT));
        assert_eq!(write(list(1, u32::MAX)), Err(Errno::FAULT));
        let mut none = vec![0; 64];
        let count = write_list(&mut Memory::Own(&mut none), 0, &three, 0, None);
        assert_eq!(count, Err(Errno::FAULT));
        let count = write_list(&mut Memory::Own(&mut none), 0, &[], 0, None);
        assert_eq!(count, Ok(0));
    }

    #[test]
    fn text_ends_at_its_length_or_a_nul() {
        let mut bytes = b"_a.b\0c\xff".to_vec();
        let memory = Memory::Own(&mut bytes);
        assert_eq!(read_text(&memory, (1, 6)), Ok("a.b".to_owned()));
        assert_eq!(read_text(&memory, (1, 2)), Ok("a.".to_owned()));
        assert_eq!(read_text(&memory, (0, 9)), Ok(String::new()));
        assert_eq!(read_text(&memory, (6, 1)), Err(Errno::RESOLVER_NONAME));
        assert_eq!(read_text(&memory, (1, 7)), Err(Errno::FAULT));
    }
}
