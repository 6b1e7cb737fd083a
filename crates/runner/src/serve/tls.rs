//! TLS of a server whose key is the keeper's: it signs for each handshake.

use lighter_types::http::ServerTls;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::sign::{CertifiedKey, Signer, SigningKey, SingleCertAndKey};
use rustls::{Error, ServerConfig, SignatureAlgorithm, SignatureScheme};
use std::fs::File;
use std::io::{Read, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// The longest signature, in bytes: that of RSA with 8192 bits.
const SIGNATURE_BYTES: usize = 1024;

/// By what connections over TLS are accepted.
///
/// # Errors
/// The provider of cryptography is not what it was compiled to be.
pub(super) fn acceptor(tls: &ServerTls, keeper: File) -> Result<Arc<ServerConfig>, Error> {
    let key = RemoteKey {
        keeper: Arc::new(Mutex::new(keeper)),
        schemes: tls
            .schemes
            .iter()
            .copied()
            .map(SignatureScheme::from)
            .collect(),
        algorithm: SignatureAlgorithm::from(tls.algorithm),
    };
    let chain = tls
        .chain
        .iter()
        .cloned()
        .map(CertificateDer::from)
        .collect();
    let certified = CertifiedKey::new(chain, Arc::new(key));
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // Who comes again needs no signature.
    config.ticketer = ring::Ticketer::new()?;
    Ok(Arc::new(config))
}

#[derive(Clone, Debug)]
struct RemoteKey {
    keeper: Arc<Mutex<File>>,
    schemes: Vec<SignatureScheme>,
    algorithm: SignatureAlgorithm,
}

impl SigningKey for RemoteKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let scheme = self
            .schemes
            .iter()
            .find(|scheme| offered.contains(scheme))?;
        Some(Box::new(RemoteSigner {
            keeper: Arc::clone(&self.keeper),
            scheme: *scheme,
        }))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }
}

#[derive(Debug)]
struct RemoteSigner {
    keeper: Arc<Mutex<File>>,
    scheme: SignatureScheme,
}

impl Signer for RemoteSigner {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let failed = |error: std::io::Error| Error::General(error.to_string());
        let request = [&u16::from(self.scheme).to_be_bytes(), message].concat();
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        // Both sides keep to the bounds of what one message takes.
        keeper.write_all(&request).map_err(failed)?;
        let mut signature = vec![0; SIGNATURE_BYTES];
        let length = keeper.read(&mut signature).map_err(failed)?;
        signature.truncate(length);
        // No signature is as short.
        match length {
            0 | 1 => Err(Error::General("the keeper did not sign".to_owned())),
            _ => Ok(signature),
        }
    }

    fn scheme(&self) -> SignatureScheme {
        self.scheme
    }
}
