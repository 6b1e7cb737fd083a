//! To whom a connection leads: TLS, with the authorities that are believed.

use lighter_types::egress::RequestError;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use std::io;
use std::sync::{Arc, OnceLock};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use webpki::EndEntityCert;

/// What connections over TLS are made with. The certificates of the authorities are read when the first one is.
pub(crate) struct Tls {
    authorities: Vec<u8>,
    config: OnceLock<Option<Arc<ClientConfig>>>,
}

/// Why a connection over TLS was not made.
pub(crate) enum Fault {
    /// The certificate is not believed, for this reason.
    Certificate(String),
    /// Something else.
    Other(RequestError),
}

impl Tls {
    pub(crate) fn new(authorities: Vec<u8>) -> Self {
        Self {
            authorities,
            config: OnceLock::new(),
        }
    }

    /// Makes sure that a connection leads to a host: a name, an IPv4 address, or an IPv6 address in brackets.
    pub(crate) async fn connect(
        &self,
        host: &str,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, Fault> {
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let name = bare.unwrap_or(host).trim_end_matches('.').to_owned();
        let name =
            ServerName::try_from(name).map_err(|_| Fault::Other(RequestError::UriInvalid))?;
        let config = self.config.get_or_init(|| config(&self.authorities).ok());
        // A system may know no authority, and the user have named none.
        let nobody =
            || Fault::Certificate("nobody is believed who could have signed it".to_owned());
        let config = config.clone().ok_or_else(nobody)?;
        let connector = TlsConnector::from(config);
        connector
            .connect(name, stream)
            .await
            .map_err(|error| fault(&error))
    }
}

fn config(authorities: &[u8]) -> Result<Arc<ClientConfig>, rustls::Error> {
    let mut roots = RootCertStore::empty();
    // A certificate that is none, or too old to be used, is nobody's.
    let certificates = CertificateDer::pem_slice_iter(authorities).filter_map(Result::ok);
    let believed: Vec<CertificateDer<'static>> = certificates.collect();
    roots.add_parsable_certificates(believed.iter().cloned());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Verifier {
        inner: WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?,
        believed,
    };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Believes authorities, and servers that show one of their certificates as their own: what people make for
/// themselves is often both.
#[derive(Debug)]
struct Verifier {
    inner: Arc<WebPkiServerVerifier>,
    believed: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self
            .inner
            .verify_server_cert(certificate, between, name, ocsp, now)
        {
            // That is said of one that is valid now: its times are looked at before what it is for.
            Err(error) if is_authority(&error) && self.believed.contains(certificate) => {
                let parsed = EndEntityCert::try_from(certificate)
                    .map_err(|_| CertificateError::BadEncoding)?;
                parsed
                    .verify_is_valid_for_subject_name(name)
                    .map_err(|_| CertificateError::NotValidForName)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner
            .verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner
            .verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Whether a certificate was refused for being an authority's.
fn is_authority(error: &rustls::Error) -> bool {
    let rustls::Error::InvalidCertificate(CertificateError::Other(other)) = error else {
        return false;
    };
    let cause = other.0.downcast_ref::<webpki::Error>();
    matches!(cause, Some(webpki::Error::CaUsedAsEndEntity))
}

fn fault(error: &io::Error) -> Fault {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    match inner {
        Some(rustls::Error::InvalidCertificate(error)) => Fault::Certificate(words(error)),
        Some(rustls::Error::NoCertificatesPresented) => {
            Fault::Certificate("it has none".to_owned())
        }
        Some(rustls::Error::AlertReceived(alert)) => {
            Fault::Other(RequestError::TlsAlert(u8::from(*alert)))
        }
        Some(_) => Fault::Other(RequestError::TlsProtocol),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            Fault::Other(RequestError::TlsProtocol)
        }
        None => Fault::Other(crate::fault::of_io(error)),
    }
}

/// What is wrong with a certificate.
fn words(error: &CertificateError) -> String {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "it has expired".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is for another host".to_owned()
        }
        // One whose authority has another key than who has that name here.
        CertificateError::UnknownIssuer
        | CertificateError::BadSignature
        | CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "nobody who is believed has signed it".to_owned()
        }
        CertificateError::Revoked => "it was revoked".to_owned(),
        // An authority's own, that is not among those which are believed.
        other if is_authority(&other.clone().into()) => {
            "nobody who is believed has signed it".to_owned()
        }
        other => other.to_string(),
    }
}
