//! What requests to the outside are sent with: where they may go, credentials, and whom TLS believes.

use crate::Error;
use lighter_boundary::Network;
use lighter_types::egress::{Credential, EgressOrder};
use lighter_types::escape::escape;
use lighter_types::grant::{CredentialGrant, Grants, SecretSource};
use lighter_types::program::ProgramKind;
use lighter_types::secret::SecretBytes;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

/// Where systems keep the certificates of the authorities that they believe, the first that is there.
const SYSTEM_AUTHORITIES: &[&str] = &[
    // Debian and what is made of it, Alpine, Arch, Gentoo.
    "/etc/ssl/certs/ca-certificates.crt",
    // Fedora, RHEL and what is made of them.
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    // openSUSE.
    "/etc/ssl/ca-bundle.pem",
    // Alpine without the package, the BSDs.
    "/etc/ssl/cert.pem",
];
/// The most that is read of such a file, in bytes.
const AUTHORITIES_BYTES: u64 = 2 << 20;
/// The longest credential, in bytes: servers take no longer fields.
const CREDENTIAL_BYTES: u64 = 8 << 10;

/// The network of who sends a component's requests; none if none may be sent.
pub(crate) fn network(network: &Network, kind: ProgramKind) -> Option<Arc<Network>> {
    let sends = kind == ProgramKind::Component && network.policy.has_requests();
    sends.then(|| {
        Arc::new(Network {
            policy: network.policy.clone(),
            is_host: network.is_host,
            sends_requests: true,
            ..Network::default()
        })
    })
}

/// Makes the order of who sends requests, when it is started.
pub(crate) fn order(
    credentials: Vec<Credential>,
    authorities: Vec<u8>,
) -> Box<dyn Fn() -> io::Result<EgressOrder> + Send + Sync> {
    Box::new(move || {
        let mut all = system_authorities();
        all.push(b'\n');
        all.extend_from_slice(&authorities);
        Ok(EgressOrder {
            authorities: all,
            credentials: credentials.clone(),
            ..EgressOrder::default()
        })
    })
}

/// The authorities of the system; none, if it has none that can be read.
fn system_authorities() -> Vec<u8> {
    let read = SYSTEM_AUTHORITIES
        .iter()
        .map(|path| read(path, AUTHORITIES_BYTES));
    read.flatten().next().unwrap_or_default()
}

/// Reads the files of the authorities that the user believes besides.
///
/// # Errors
/// One cannot be read, or holds no certificate.
pub(crate) fn read_authorities(grants: &Grants) -> Result<Vec<u8>, Error> {
    let mut all = Vec::new();
    for authority in grants.authorities() {
        let path = authority.as_str();
        let refused = |what: String| Error::Refused {
            reason: format!("cannot believe the authorities in {}: {what}", escape(path)),
            hint: Some("name a file with certificates in PEM: --ca FILE".to_owned()),
        };
        let content = read(path, AUTHORITIES_BYTES)
            .map_err(|error| refused(format!("it cannot be read: {error}")))?;
        if !is_certificate(&content) {
            return Err(refused("it holds no certificate in PEM".to_owned()));
        }
        all.extend(content);
        all.push(b'\n');
        if all.len() as u64 > AUTHORITIES_BYTES {
            return Err(refused("together they are larger than 2 MiB".to_owned()));
        }
    }
    Ok(all)
}

/// Whether there is the beginning of a certificate (RFC 7468, section 5). Who sends requests parses it.
fn is_certificate(content: &[u8]) -> bool {
    let begins = b"-----BEGIN CERTIFICATE-----";
    content.windows(begins.len()).any(|window| window == begins)
}

/// Reads the values of all credentials, from where the caller has them.
///
/// # Errors
/// One is not there, or is none that a header can hold.
pub(crate) fn read_credentials(
    grants: &Grants,
    find_variable: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Vec<Credential>, Error> {
    let read_one = |grant: &CredentialGrant| {
        let value = match &grant.source {
            SecretSource::Environment(variable) => find_variable(variable)
                .map(OsString::into_encoded_bytes)
                .ok_or_else(|| Error::Refused {
                    reason: format!(
                        "cannot give the credential for {}: the variable {} is not set",
                        grant.host,
                        escape(variable)
                    ),
                    hint: Some(format!("export {}=...", escape(variable))),
                })?,
            SecretSource::File(path) => {
                read(path, CREDENTIAL_BYTES).map_err(|error| Error::Refused {
                    reason: format!(
                        "cannot give the credential for {}: {} cannot be read: {error}",
                        grant.host,
                        escape(path)
                    ),
                    hint: None,
                })?
            }
        };
        let value = value_of(grant, value).map_err(|what| Error::Refused {
            reason: format!("cannot give the credential for {}: {what}", grant.host),
            hint: None,
        })?;
        Ok(Credential {
            host: grant.host.to_string(),
            field: grant.field.clone(),
            value: SecretBytes::new(value),
        })
    };
    grants.credentials().map(read_one).collect()
}

/// What a field is set to: a token for `authorization` is one of a bearer (RFC 6750, section 2.1).
fn value_of(grant: &CredentialGrant, mut value: Vec<u8>) -> Result<Vec<u8>, &'static str> {
    // The end of a file's only line is no part of it.
    while value.last().is_some_and(|last| b"\r\n".contains(last)) {
        value.pop();
    }
    if value.is_empty() {
        return Err("it is empty");
    }
    if value.len() as u64 > CREDENTIAL_BYTES {
        return Err("it is longer than 8 KiB");
    }
    // RFC 9110, section 5.5.
    let is_visible = |byte: &u8| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f);
    if !value.iter().all(is_visible) {
        return Err("it has characters in it that no header holds");
    }
    if grant.field == "authorization" && !value.contains(&b' ') {
        value.splice(..0, *b"Bearer ");
    }
    Ok(value)
}

/// Reads a file that may not be longer.
fn read(path: &str, most: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut content)?;
    if content.len() as u64 > most {
        let reason = format!("it is larger than {} KiB", most >> 10);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, reason));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(grant: &str, text: &str) -> Result<String, &'static str> {
        let grant = grant.parse().expect("a grant");
        let value = value_of(&grant, text.as_bytes().to_vec())?;
        Ok(String::from_utf8(value).expect("text"))
    }

    #[test]
    fn token_is_sent_as_a_bearers_and_other_schemes_as_they_are() {
        let of = |text| value("a.example=env:T", text);
        assert_eq!(of("abc\n").as_deref(), Ok("Bearer abc"));
        assert_eq!(of("Basic abc").as_deref(), Ok("Basic abc"));
        assert_eq!(value("a.example=x-key:env:T", "abc").as_deref(), Ok("abc"));
    }

    #[test]
    fn what_no_header_holds_is_refused() {
        let of = |text| value("a.example=env:T", text);
        assert_eq!(of("\n"), Err("it is empty"));
        assert!(of("a\r\nhost: b").is_err());
        assert!(of("a\0b").is_err());
        assert!(of(&"a".repeat(9000)).is_err());
    }
}
