//! Asks name servers: the one role that reads what strangers on the network answer.
//!
//! A stub resolver (RFC 1035, section 7; RFC 1123, section 6.1.3). For each name, one after the other, until
//! one has addresses: each server, as often as was ordered, is asked for addresses of both families at once
//! and has its time to answer. What does not fit into a datagram the keeper has asked again by a stream.

use domain::base::iana::{Class, Rcode, Rtype};
use domain::base::{Message, MessageBuilder, Name, ToName};
use domain::rdata::{A, Aaaa, Cname};
use lighter_types::runner_protocol::{MOST_ADDRESSES, Resolution, ResolveOrder, ServerLink};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::{Duration, Instant};

/// The longest message, in bytes.
const MESSAGE_BYTES: usize = 65_535;

/// Asks what was ordered, by these sockets.
pub(crate) fn resolve(order: &ResolveOrder, sockets: &[OwnedFd]) -> Resolution {
    let (mut failure, mut has_heard) = (None, false);
    for (index, name) in (0_u8..).zip(&order.names) {
        match ask_for(name, order, sockets) {
            Found::Addresses(addresses, time_to_live_seconds) => {
                return Resolution::Found {
                    name: index,
                    addresses,
                    time_to_live_seconds,
                };
            }
            Found::Truncated(server) => {
                return Resolution::Truncated {
                    name: index,
                    server,
                };
            }
            Found::Nothing => has_heard = true,
            Found::Failed => (failure, has_heard) = (Some(Resolution::Failed), true),
            Found::Silence => failure = failure.or(Some(Resolution::Silence)),
        }
    }
    match failure {
        Some(Resolution::Silence) if has_heard => Resolution::Failed,
        failure => failure.unwrap_or(Resolution::Nothing),
    }
}

/// What became of one name.
enum Found {
    /// It has addresses, good for so many seconds.
    Addresses(Vec<IpAddr>, u32),
    /// It has none.
    Nothing,
    /// This server has more to say than fits.
    Truncated(u8),
    /// A server answered, and none usably.
    Failed,
    /// No server answered.
    Silence,
}

fn ask_for(name: &str, order: &ResolveOrder, sockets: &[OwnedFd]) -> Found {
    let time_limit = Duration::from_millis(order.time_limit_ms.into());
    let mut is_answered = false;
    for _ in 0..order.attempts {
        for (server, socket) in (0_u8..).zip(sockets) {
            let Some(mut questions) = Question::both(name) else {
                return Found::Nothing;
            };
            let deadline = Instant::now() + time_limit;
            // A server that cannot be reached has not answered, and that is seen from the questions.
            let _ = match order.link {
                ServerLink::Datagrams { .. } => {
                    exchange_datagrams(socket, &mut questions, deadline)
                }
                ServerLink::Stream => exchange_stream(socket, &mut questions, deadline),
            };
            if let Some(found) = conclude(&questions, server) {
                return found;
            }
            is_answered |= questions.iter().any(|question| question.answer.is_some());
        }
    }
    if is_answered {
        Found::Failed
    } else {
        Found::Silence
    }
}

/// A question and its answer.
struct Question {
    query: Message<Vec<u8>>,
    answer: Option<Answer>,
}

/// What a server says to one question.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// These addresses, good for so many seconds; none at all where it has none of the family.
    Addresses(Vec<IpAddr>, u32),
    /// There is no such name, of whatever family.
    NoName,
    /// More than fits.
    Truncated,
    /// That it cannot or does not want to say.
    Unusable,
}

impl Question {
    /// The questions for addresses of IPv4 and IPv6; none if no server can be asked for such a name.
    fn both(name: &str) -> Option<[Self; 2]> {
        let name = Name::<Vec<u8>>::from_str(name).ok()?;
        Some([Self::new(&name, Rtype::A)?, Self::new(&name, Rtype::AAAA)?])
    }

    fn new(name: &Name<Vec<u8>>, kind: Rtype) -> Option<Self> {
        let mut id = [0; 2];
        getrandom::fill(&mut id).ok()?;
        let mut message = MessageBuilder::new_vec();
        message.header_mut().set_id(u16::from_ne_bytes(id));
        message.header_mut().set_rd(true);
        let mut message = message.question();
        message.push((name, kind, Class::IN)).ok()?;
        Some(Self {
            query: message.into_message(),
            answer: None,
        })
    }

    /// Takes a message for its answer, if it is that.
    fn hear(&mut self, bytes: &[u8]) {
        let Ok(message) = Message::from_octets(bytes) else {
            return;
        };
        if self.answer.is_none() && message.is_answer(&self.query) {
            self.answer = Some(Answer::read(&message));
        }
    }
}

impl Answer {
    fn read(message: &Message<&[u8]>) -> Self {
        let header = message.header();
        match header.rcode() {
            _ if header.tc() => Self::Truncated,
            Rcode::NOERROR => Self::addresses(message).unwrap_or(Self::Unusable),
            Rcode::NXDOMAIN => Self::NoName,
            _ => Self::Unusable,
        }
    }

    /// The addresses of the name that the aliases end at.
    fn addresses(message: &Message<&[u8]>) -> Option<Self> {
        let end = message.canonical_name()?;
        let mut addresses: Vec<IpAddr> = Vec::new();
        let mut time_to_live = u32::MAX;
        let records = message.answer().ok()?;
        for alias in records.limit_to_in::<Cname<_>>() {
            time_to_live = time_to_live.min(alias.ok()?.ttl().as_secs());
        }
        for record in records.limit_to_in::<A>() {
            let record = record.ok()?;
            if record.owner().name_eq(&end) {
                addresses.push(record.data().addr().into());
                time_to_live = time_to_live.min(record.ttl().as_secs());
            }
        }
        for record in records.limit_to_in::<Aaaa>() {
            let record = record.ok()?;
            if record.owner().name_eq(&end) {
                addresses.push(record.data().addr().into());
                time_to_live = time_to_live.min(record.ttl().as_secs());
            }
        }
        addresses.truncate(MOST_ADDRESSES / 2);
        Some(Self::Addresses(addresses, time_to_live))
    }
}

/// What both answers together say; nothing yet if another server may know more.
fn conclude(questions: &[Question], server: u8) -> Option<Found> {
    let mut answers = questions.iter().map(|question| question.answer.as_ref());
    if answers
        .clone()
        .any(|answer| answer == Some(&Answer::Truncated))
    {
        return Some(Found::Truncated(server));
    }
    let mut all = Vec::new();
    let mut time_to_live = u32::MAX;
    for answer in answers.clone() {
        if let Some(Answer::Addresses(addresses, seconds)) = answer {
            all.extend(addresses);
            time_to_live = time_to_live.min(*seconds);
        }
    }
    if !all.is_empty() {
        return Some(Found::Addresses(all, time_to_live));
    }
    let has_no_name = answers
        .clone()
        .any(|answer| answer == Some(&Answer::NoName));
    let is_clear = answers.all(|answer| matches!(answer, Some(Answer::Addresses(..))));
    (has_no_name || is_clear).then_some(Found::Nothing)
}

/// Some servers say of one family only, and wrongly, that there is no such name (RFC 4074, section 4.2).
fn is_done(questions: &[Question]) -> bool {
    questions.iter().all(|question| question.answer.is_some())
}

/// Waits until a socket has something, or the deadline.
fn wait(socket: &OwnedFd, flags: PollFlags, deadline: Instant) -> Result<(), Errno> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Errno::TIMEDOUT);
        }
        let left = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        };
        match poll(&mut [PollFd::new(socket, flags)], Some(&left)) {
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

fn exchange_datagrams(
    socket: &OwnedFd,
    questions: &mut [Question],
    deadline: Instant,
) -> Result<(), Errno> {
    for question in questions.iter() {
        rustix::io::write(socket, question.query.as_slice())?;
    }
    let mut datagram = vec![0; MESSAGE_BYTES];
    while !is_done(questions) {
        wait(socket, PollFlags::IN, deadline)?;
        match rustix::io::read(socket, &mut datagram) {
            Ok(length) => {
                let bytes = datagram.get(..length).unwrap_or_default();
                questions
                    .iter_mut()
                    .for_each(|question| question.hear(bytes));
            }
            // One that was damaged on its way.
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A stream has the length before each message (RFC 1035, section 4.2.2).
fn exchange_stream(
    socket: &OwnedFd,
    questions: &mut [Question],
    deadline: Instant,
) -> Result<(), Errno> {
    let mut outgoing = Vec::new();
    for question in questions.iter() {
        let query = question.query.as_slice();
        let length = u16::try_from(query.len()).map_err(|_| Errno::MSGSIZE)?;
        outgoing.extend_from_slice(&length.to_be_bytes());
        outgoing.extend_from_slice(query);
    }
    let mut rest = outgoing.as_slice();
    while !rest.is_empty() {
        wait(socket, PollFlags::OUT, deadline)?;
        match rustix::io::write(socket, rest) {
            Ok(written) => rest = rest.get(written..).unwrap_or_default(),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    while !is_done(questions) {
        let mut length = [0; 2];
        read_exact(socket, &mut length, deadline)?;
        let mut message = vec![0; u16::from_be_bytes(length).into()];
        read_exact(socket, &mut message, deadline)?;
        questions
            .iter_mut()
            .for_each(|question| question.hear(&message));
        // There is no other way to hear the rest.
        let truncated = questions
            .iter_mut()
            .filter(|question| question.answer == Some(Answer::Truncated));
        truncated.for_each(|question| question.answer = Some(Answer::Unusable));
    }
    Ok(())
}

fn read_exact(socket: &OwnedFd, mut buffer: &mut [u8], deadline: Instant) -> Result<(), Errno> {
    while !buffer.is_empty() {
        wait(socket, PollFlags::IN, deadline)?;
        match rustix::io::read(socket, &mut *buffer) {
            Ok(0) => return Err(Errno::PIPE),
            Ok(length) => buffer = buffer.get_mut(length..).unwrap_or_default(),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::base::message_builder::AnswerBuilder;
    use proptest::prelude::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    use std::net::Ipv4Addr;

    fn question() -> Question {
        let [question, _] = Question::both("a.example").expect("it can be asked");
        question
    }

    /// An answer to a question, with what is put into it.
    fn answer(
        question: &Question,
        code: Rcode,
        fill: impl FnOnce(&mut AnswerBuilder<Vec<u8>>),
    ) -> Vec<u8> {
        let builder = MessageBuilder::new_vec();
        let mut builder = builder
            .start_answer(&question.query, code)
            .expect("it has room");
        fill(&mut builder);
        builder.finish()
    }

    fn name(text: &str) -> Name<Vec<u8>> {
        text.parse().expect("a name")
    }

    fn heard(bytes: impl FnOnce(&Question) -> Vec<u8>) -> Option<Answer> {
        let mut question = question();
        let bytes = bytes(&question);
        question.hear(&bytes);
        question.answer
    }

    #[test]
    fn addresses_are_those_that_the_aliases_end_at() {
        let here = Ipv4Addr::new(192, 0, 2, 1);
        let answer = heard(|question| {
            answer(question, Rcode::NOERROR, |answer| {
                let alias = Cname::new(name("b.example"));
                answer.push((name("A.example"), 300, alias)).expect("room");
                answer
                    .push((name("b.example"), 60, A::new(here)))
                    .expect("room");
                // An address that nobody asked for.
                let other = A::new(Ipv4Addr::new(192, 0, 2, 2));
                answer.push((name("c.example"), 10, other)).expect("room");
            })
        });
        assert_eq!(answer, Some(Answer::Addresses(vec![here.into()], 60)));
    }

    #[test]
    fn message_that_answers_another_question_is_not_heard() {
        assert_eq!(heard(|question| question.query.as_slice().to_vec()), None);
        let other_id = |question: &Question| {
            let mut bytes = answer(question, Rcode::NOERROR, |_| {});
            bytes[0] ^= 1;
            bytes
        };
        assert_eq!(heard(other_id), None);
        let [_, other] = Question::both("b.example").expect("it can be asked");
        assert_eq!(heard(|_| answer(&other, Rcode::NOERROR, |_| {})), None);
        assert_eq!(heard(|_| Vec::new()), None);
    }

    #[test]
    fn codes_of_servers_are_told_apart() {
        let of = |code| heard(|question| answer(question, code, |_| {}));
        assert_eq!(
            of(Rcode::NOERROR),
            Some(Answer::Addresses(Vec::new(), u32::MAX))
        );
        assert_eq!(of(Rcode::NXDOMAIN), Some(Answer::NoName));
        for code in [
            Rcode::SERVFAIL,
            Rcode::REFUSED,
            Rcode::FORMERR,
            Rcode::NOTIMP,
        ] {
            assert_eq!(of(code), Some(Answer::Unusable), "{code}");
        }
        let truncated = |question: &Question| {
            answer(question, Rcode::NOERROR, |answer| {
                answer.header_mut().set_tc(true)
            })
        };
        assert_eq!(heard(truncated), Some(Answer::Truncated));
    }

    #[test]
    fn stream_is_read_in_whatever_pieces_it_comes() {
        let (ours, theirs) = socketpair(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            None,
        )
        .expect("descriptors are left");
        let mut questions = Question::both("a.example").expect("it can be asked");
        let mut bytes = Vec::new();
        for question in &questions {
            let answer = answer(question, Rcode::NOERROR, |_| {});
            let length = u16::try_from(answer.len()).expect("it is short");
            bytes.extend(length.to_be_bytes());
            bytes.extend(answer);
        }
        let writer = std::thread::spawn(move || {
            for byte in bytes {
                rustix::io::write(&theirs, &[byte]).expect("there is room");
            }
            theirs
        });
        let deadline = Instant::now() + Duration::from_secs(30);
        exchange_stream(&ours, &mut questions, deadline).expect("all is answered");
        assert!(matches!(conclude(&questions, 0), Some(Found::Nothing)));
        drop(writer.join());
        // Whoever hangs up in the middle has not answered.
        let mut questions = Question::both("a.example").expect("it can be asked");
        let ended = exchange_stream(&ours, &mut questions, deadline);
        assert_eq!(ended, Err(Errno::PIPE));
    }

    proptest! {
        #[test]
        fn no_bytes_of_a_server_make_it_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..600),
            is_like_an_answer in any::<bool>(),
        ) {
            let mut question = question();
            let mut message = question.query.as_slice().to_vec();
            message[2] |= 0x80;
            // Some records of whatever.
            message[7] = 9;
            message.extend(&bytes);
            question.hear(if is_like_an_answer { &message } else { &bytes });
            let _ = conclude(&[question], 0);
        }
    }
}
