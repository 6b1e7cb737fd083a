//! The certificate of a server and its key, which stays here.

use crate::Error;
use lighter_container::Signer;
use lighter_types::escape::escape;
use lighter_types::http::ServerTls;
use rustls::SignatureScheme;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::sign::{CertifiedKey, SigningKey};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use webpki::{EndEntityCert, KeyUsage};

/// The files of a server's certificate and key, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, with those between it and an authority behind it.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// The most that is read of either, in bytes.
const FILE_BYTES: u64 = 1 << 20;

/// What a server needs: its runner the one, its keeper the other.
pub(crate) struct Tls {
    pub(crate) server: ServerTls,
    pub(crate) signer: Arc<dyn Signer>,
    /// What is to be said of the certificate.
    pub(crate) warning: Option<String>,
}

/// The schemes that a server signs by, the best first, as `rustls` orders them for each kind of key.
const SCHEMES: &[SignatureScheme] = &[
    SignatureScheme::ED25519,
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::ECDSA_NISTP521_SHA512,
    SignatureScheme::RSA_PSS_SHA512,
    SignatureScheme::RSA_PSS_SHA384,
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::RSA_PKCS1_SHA512,
    SignatureScheme::RSA_PKCS1_SHA384,
    SignatureScheme::RSA_PKCS1_SHA256,
];

struct Key(Arc<dyn SigningKey>);

impl Signer for Key {
    fn sign(&self, scheme: u16, message: &[u8]) -> Option<Vec<u8>> {
        let signer = self.0.choose_scheme(&[SignatureScheme::from(scheme)])?;
        signer.sign(message).ok()
    }
}

/// Reads a server's certificate and key.
///
/// # Errors
/// One cannot be read or is none, or they do not fit.
pub(crate) fn read(files: &TlsFiles) -> Result<Tls, Error> {
    let shown = |path: &Path| escape(&path.to_string_lossy());
    let (certificate_path, key_path) = (shown(&files.certificate), shown(&files.key));
    let refused = |reason: String, hint: &str| Error::Refused {
        reason,
        hint: Some(hint.to_owned()),
    };
    let certificates = content(&files.certificate).map_err(|error| {
        refused(
            format!("cannot read the certificate {certificate_path}: {error}"),
            "name a file that you can read: --tls-cert FILE",
        )
    })?;
    let no_certificate = |what: &str| {
        refused(
            format!("cannot serve TLS with {certificate_path}: {what}"),
            "name a file with a certificate in PEM, those of its authorities behind it: --tls-cert FILE",
        )
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&certificates)
        .collect::<Result<_, _>>()
        .map_err(|error| no_certificate(&format!("it is no PEM: {error}")))?;
    let own = chain
        .first()
        .ok_or_else(|| no_certificate("it holds no certificate"))?;
    let warning =
        warning(own, &certificate_path).map_err(|()| no_certificate("its certificate is none"))?;
    let key = content(&files.key).map_err(|error| {
        refused(
            format!("cannot read the key {key_path}: {error}"),
            "name a file that you can read: --tls-key FILE",
        )
    })?;
    let no_key = |what: &str| {
        refused(
            format!("cannot serve TLS with {key_path}: {what}"),
            "name a file with a key in PEM, which is not encrypted: --tls-key FILE",
        )
    };
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|_| no_key("it holds no key"))?;
    let key = ring::sign::any_supported_type(&key)
        .map_err(|_| no_key("its key is none of RSA, ECDSA or Ed25519"))?;
    let certified = CertifiedKey::new(chain.clone(), Arc::clone(&key));
    certified.keys_match().map_err(|_| {
        refused(
            format!("the certificate in {certificate_path} is not for the key in {key_path}"),
            "name the two files that were made together: --tls-cert FILE --tls-key FILE",
        )
    })?;
    let schemes = SCHEMES
        .iter()
        .filter(|scheme| key.choose_scheme(&[**scheme]).is_some())
        .map(|scheme| u16::from(*scheme))
        .collect();
    Ok(Tls {
        server: ServerTls {
            chain: chain
                .iter()
                .map(|certificate| certificate.to_vec())
                .collect(),
            schemes,
            algorithm: u8::from(key.algorithm()),
        },
        signer: Arc::new(Key(key)),
        warning,
    })
}

/// What clients will not like of a certificate.
///
/// # Errors
/// It is none.
fn warning(certificate: &CertificateDer<'_>, path: &str) -> Result<Option<String>, ()> {
    let parsed = EndEntityCert::try_from(certificate).map_err(drop)?;
    let algorithms = ring::default_provider()
        .signature_verification_algorithms
        .all;
    // Nobody is believed here, so it fails, and first by its times.
    let verified = parsed.verify_for_usage(
        algorithms,
        &[],
        &[],
        UnixTime::now(),
        KeyUsage::server_auth(),
        None,
        None,
    );
    Ok(match verified.err() {
        Some(webpki::Error::CertExpired { .. }) => Some(format!(
            "the certificate in {path} has expired: clients will refuse it"
        )),
        Some(webpki::Error::CertNotValidYet { .. }) => Some(format!(
            "the certificate in {path} is not valid yet: clients will refuse it"
        )),
        _ => None,
    })
}

fn content(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path)?
        .take(FILE_BYTES + 1)
        .read_to_end(&mut content)?;
    if content.len() as u64 > FILE_BYTES {
        let reason = format!("it is larger than {} KiB", FILE_BYTES >> 10);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, reason));
    }
    Ok(content)
}
