//! Host names, as guests look them up.

use crate::host::Host;
use lighter_types::network::{Lookup, LookupError};
use std::net::{IpAddr, Ipv6Addr};
use tokio::sync::oneshot;

/// The answer to a lookup that goes on.
pub(crate) type Pending = oneshot::Receiver<Lookup>;

/// Starts to look up what a guest calls a host: a name, also of another script, or an address, which is its
/// own answer.
pub(crate) fn look_up(host: &dyn Host, text: &str) -> Pending {
    let (teller, told) = oneshot::channel();
    // Whoever asked may be gone when the answer comes.
    let reply = move |lookup| drop(teller.send(lookup));
    match parse(text) {
        Ok(Parsed::Name(name)) => host.look_up(name, Box::new(reply)),
        Ok(Parsed::Address(address)) => reply(Ok(vec![address])),
        Err(error) => reply(Err(error)),
    }
    told
}

/// The address that a text is, if it is one.
pub(crate) fn address(text: &str) -> Option<IpAddr> {
    match parse(text) {
        Ok(Parsed::Address(address)) => Some(address),
        Ok(Parsed::Name(_)) | Err(_) => None,
    }
}

/// The answer of a lookup that is over.
pub(crate) fn answer(told: Result<Lookup, oneshot::error::RecvError>) -> Lookup {
    // Who should have answered has ended.
    told.unwrap_or(Err(LookupError::Temporary))
}

enum Parsed {
    Name(String),
    Address(IpAddr),
}

/// The longest text that is looked at, in bytes: a name of 253 characters in any script.
const LONGEST: usize = 2048;

fn parse(text: &str) -> Result<Parsed, LookupError> {
    if text.len() > LONGEST {
        return Err(LookupError::Invalid);
    }
    match url::Host::parse(text) {
        Ok(url::Host::Domain(name)) => Ok(Parsed::Name(name)),
        Ok(url::Host::Ipv4(address)) => Ok(Parsed::Address(address.into())),
        Ok(url::Host::Ipv6(address)) => Ok(Parsed::Address(address.into())),
        // An address of IPv6 without the brackets of a URL.
        Err(_) => match text.parse::<Ipv6Addr>() {
            Ok(address) => Ok(Parsed::Address(address.into())),
            Err(_) => Err(LookupError::Invalid),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Result<String, LookupError> {
        Ok(match parse(text)? {
            Parsed::Name(name) => name,
            Parsed::Address(address) => format!("<{address}>"),
        })
    }

    #[test]
    fn names_of_other_scripts_are_written_as_servers_know_them() {
        assert_eq!(
            shown("Bücher.example"),
            Ok("xn--bcher-kva.example".to_owned())
        );
        assert_eq!(shown("DB.example."), Ok("db.example.".to_owned()));
    }

    #[test]
    fn addresses_are_their_own_answers() {
        assert_eq!(shown("10.1.2.3"), Ok("<10.1.2.3>".to_owned()));
        assert_eq!(shown("[fd00::1]"), Ok("<fd00::1>".to_owned()));
        assert_eq!(shown("fd00::1"), Ok("<fd00::1>".to_owned()));
    }

    #[test]
    fn what_is_no_name_is_not_passed_on() {
        for text in ["", "a b", "a/b", "1.2.3.4.5", &"a".repeat(LONGEST + 1)] {
            assert_eq!(shown(text), Err(LookupError::Invalid), "{text}");
        }
    }
}
