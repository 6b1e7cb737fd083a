//! A name server of the tests' own, on a loopback address of its own.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

/// What the server says to one question.
#[derive(Clone, Debug)]
pub enum Reply {
    /// These addresses, good for an hour; those of the family that is asked for.
    Addresses(Vec<IpAddr>),
    /// The name is another's, which has these addresses.
    Alias(&'static str, Vec<IpAddr>),
    /// There is no such name.
    NoName,
    /// Nothing at all.
    Silence,
    /// What [`Reply::Addresses`] says, and by datagrams that it does not fit.
    Long(Vec<IpAddr>),
    /// By datagrams that it does not fit, and nothing by a stream.
    LongSilence,
    /// That it does not want to answer.
    Refusal,
    /// Bytes that are no message, then a message that answers another question, then [`Reply::Addresses`].
    AfterLies(Vec<IpAddr>),
    /// A message of this name's own bytes: a name that points at itself.
    Loop,
}

/// A server. It goes on until the test ends.
#[derive(Debug)]
pub struct NameServer {
    /// Its address.
    pub address: IpAddr,
    questions: Arc<AtomicU32>,
}

/// The type of a record with an IPv4 address, one with an IPv6 address, and an alias.
const A: u16 = 1;
const AAAA: u16 = 28;
const CNAME: u16 = 5;

impl NameServer {
    /// Starts a server that answers for each name. It has the port of name servers, so this is for root.
    ///
    /// # Panics
    /// No address is free.
    #[must_use]
    pub fn start(reply: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // Tests are processes of their own: each has addresses of its own.
        let process = std::process::id();
        let (socket, listener) = (0..200)
            .find_map(|_| {
                let number = NEXT.fetch_add(1, Ordering::Relaxed);
                let address =
                    Ipv4Addr::from(0x7f40_0000 | (process.wrapping_mul(61) + number) & 0x1f_ffff);
                let socket = UdpSocket::bind((address, 53)).ok()?;
                Some((socket, TcpListener::bind((address, 53)).ok()?))
            })
            .expect("an address of loopback has port 53 free, and this is root");
        let address = socket.local_addr().expect("it is bound").ip();
        let reply = Arc::new(reply);
        let questions = Arc::new(AtomicU32::new(0));
        let (of_streams, counter) = (Arc::clone(&reply), Arc::clone(&questions));
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                counter.fetch_add(1, Ordering::Relaxed);
                answer_datagram(&socket, &buffer[..length], from, reply.as_ref());
            }
        });
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let reply = Arc::clone(&of_streams);
                thread::spawn(move || answer_stream(stream, reply.as_ref()));
            }
        });
        Self { address, questions }
    }

    /// How many questions came as datagrams.
    #[must_use]
    pub fn questions(&self) -> u32 {
        self.questions.load(Ordering::Relaxed)
    }
}

fn answer_datagram(
    socket: &UdpSocket,
    query: &[u8],
    from: SocketAddr,
    reply: &(impl Fn(&str) -> Reply + ?Sized),
) {
    let name = name_of(query);
    let messages = match reply(&name) {
        Reply::Silence => Vec::new(),
        Reply::Long(_) | Reply::LongSilence => vec![message(query, 0x8380, &[])],
        Reply::AfterLies(addresses) => {
            let mut other = message(query, 0x8180, &[(Vec::new(), record(A, &[6, 6, 6, 6]))]);
            other[0] ^= 0xff;
            let mut question = message(query, 0x8180, &[(Vec::new(), record(A, &[6, 6, 6, 6]))]);
            question[13] ^= 1;
            vec![
                b"lies".to_vec(),
                Vec::new(),
                other,
                question,
                plain(query, &Reply::Addresses(addresses)),
            ]
        }
        reply => vec![plain(query, &reply)],
    };
    for message in messages {
        socket.send_to(&message, from).expect("it can be sent");
    }
}

/// Answers what comes by a stream: each message has its length before it.
fn answer_stream(mut stream: TcpStream, reply: &(impl Fn(&str) -> Reply + ?Sized)) {
    let mut length = [0; 2];
    while stream.read_exact(&mut length).is_ok() {
        let mut query = vec![0; u16::from_be_bytes(length).into()];
        if stream.read_exact(&mut query).is_err() {
            return;
        }
        let answer = match reply(&name_of(&query)) {
            Reply::Silence | Reply::LongSilence => continue,
            Reply::Long(addresses) => plain(&query, &Reply::Addresses(addresses)),
            reply => plain(&query, &reply),
        };
        let length = u16::try_from(answer.len()).expect("it is short");
        // Whoever asked may be gone.
        let _ = stream.write_all(&length.to_be_bytes());
        let _ = stream.write_all(&answer);
    }
}

/// The name of a query's question, with dots.
fn name_of(query: &[u8]) -> String {
    let mut labels = Vec::new();
    let mut at = 12;
    while query[at] != 0 {
        let end = at + 1 + usize::from(query[at]);
        labels.push(String::from_utf8_lossy(&query[at + 1..end]).into_owned());
        at = end;
    }
    labels.join(".")
}

/// The message for replies that are one.
fn plain(query: &[u8], reply: &Reply) -> Vec<u8> {
    let kind = u16::from_be_bytes([query[query.len() - 4], query[query.len() - 3]]);
    let records = |owner: &[u8], addresses: &[IpAddr]| -> Vec<(Vec<u8>, Vec<u8>)> {
        let records = addresses.iter().filter_map(|address| match address {
            IpAddr::V4(address) => (kind == A).then(|| record(A, &address.octets())),
            IpAddr::V6(address) => (kind == AAAA).then(|| record(AAAA, &address.octets())),
        });
        records.map(|record| (owner.to_vec(), record)).collect()
    };
    match reply {
        Reply::Addresses(addresses) => message(query, 0x8180, &records(&[], addresses)),
        Reply::Alias(name, addresses) => {
            let mut encoded: Vec<u8> = Vec::new();
            for label in name.split('.') {
                encoded.push(u8::try_from(label.len()).expect("it is short"));
                encoded.extend(label.as_bytes());
            }
            encoded.push(0);
            let mut all = vec![(Vec::new(), record(CNAME, &encoded))];
            all.extend(records(&encoded, addresses));
            message(query, 0x8180, &all)
        }
        Reply::NoName => message(query, 0x8183, &[]),
        Reply::Loop => {
            // The alias points at itself: at the offset of the alias.
            let at = u8::try_from(query.len() + 12).expect("it is short");
            message(query, 0x8180, &[(Vec::new(), record(CNAME, &[0xc0, at]))])
        }
        _ => message(query, 0x8185, &[]),
    }
}

/// A record from its type on, without its owner.
fn record(kind: u16, data: &[u8]) -> Vec<u8> {
    let mut record = kind.to_be_bytes().to_vec();
    record.extend([0, 1]);
    record.extend(3600_u32.to_be_bytes());
    record.extend(
        u16::try_from(data.len())
            .expect("it is short")
            .to_be_bytes(),
    );
    record.extend(data);
    record
}

/// A message to a query with these flags and records; an empty owner is the question's name.
fn message(query: &[u8], flags: u16, records: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut message = query[..2].to_vec();
    message.extend(flags.to_be_bytes());
    message.extend([0, 1, 0]);
    message.push(u8::try_from(records.len()).expect("few"));
    message.extend([0; 4]);
    message.extend(&query[12..]);
    for (owner, record) in records {
        match owner.as_slice() {
            [] => message.extend([0xc0, 12]),
            owner => message.extend(owner),
        }
        message.extend(record);
    }
    message
}
