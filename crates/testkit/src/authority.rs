//! An authority of the tests' own, and certificates that it signs.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use std::sync::atomic::{AtomicU32, Ordering};
use time::{Duration, OffsetDateTime};

/// An authority that nobody believes who was not told to.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key, as PEM.
pub struct Certificate {
    /// The certificate.
    pub certificate: String,
    /// Its key.
    pub key: String,
}

/// When a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// Now.
    Now,
    /// It was until yesterday.
    Past,
    /// It will be from tomorrow on.
    Future,
}

impl Authority {
    /// Makes an authority with a name and a key of its own.
    #[must_use]
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names are valid names");
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("authority {}", COUNT.fetch_add(1, Ordering::Relaxed));
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("there are random bytes");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("it signs itself");
        Self { issuer }
    }

    /// Its certificate, as PEM.
    #[must_use]
    pub fn certificate(&self) -> String {
        self.issuer.pem()
    }

    /// Signs a certificate for hosts: names and addresses.
    #[must_use]
    pub fn sign(&self, hosts: &[&str], validity: Validity) -> Certificate {
        let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(hosts).expect("the hosts are valid");
        let day = Duration::days(1);
        let (from, until) = match validity {
            Validity::Now => (-day, day),
            Validity::Past => (-day * 2, -day),
            Validity::Future => (day, day * 2),
        };
        let now = OffsetDateTime::now_utc();
        (params.not_before, params.not_after) = (now + from, now + until);
        let key = KeyPair::generate().expect("there are random bytes");
        let signed = params.signed_by(&key, &self.issuer).expect("it is signed");
        Certificate {
            certificate: signed.pem(),
            key: key.serialize_pem(),
        }
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}
