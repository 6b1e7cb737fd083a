//! Credentials that the egress role adds to requests and the guest never sees.

use super::error::{Form, GrantError};
use super::host::HostName;
use super::secret::{SecretSource, is_variable_name};
use std::fmt;
use std::str::FromStr;

const FORM: Form = Form {
    key: "credential",
    expected: "HOST=[FIELD:]env:NAME or HOST=[FIELD:]file:PATH",
};

/// The header field where none is named.
const DEFAULT_FIELD: &str = "authorization";

/// Fields that say how a message is framed or routed (RFC 9110, section 7.6.1; RFC 9112): no
/// credential is sent in them.
const FRAMING_FIELDS: &[&str] = &[
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// A header that is set on requests to one host, over TLS only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialGrant {
    /// The host, exactly: no pattern, so that no other host is told.
    pub host: HostName,
    /// The header field, in lower case.
    pub field: String,
    /// Where the caller has the value.
    pub source: SecretSource,
}

impl FromStr for CredentialGrant {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        let (host, rest) = text.split_once('=').unwrap_or((text, ""));
        // Whoever writes the value itself here should not find it in a log.
        let shown = if rest.is_empty() {
            host.to_owned()
        } else {
            format!("{host}=***")
        };
        let (field, source) = match parse_source(rest) {
            Some(source) => (DEFAULT_FIELD, source),
            None => rest
                .split_once(':')
                .and_then(|(field, rest)| Some((field, parse_source(rest)?)))
                .ok_or_else(|| FORM.malformed(&shown))?,
        };
        let host = parse_host(host).map_err(|reason| FORM.wrong(&shown, reason))?;
        let field = field.to_ascii_lowercase();
        let is_token =
            |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if field.is_empty() || !field.bytes().all(is_token) {
            return Err(FORM.wrong(&shown, "the field is no name of an HTTP header"));
        }
        if FRAMING_FIELDS.contains(&field.as_str()) {
            let reason = format!("the header \"{field}\" carries no credential");
            return Err(FORM.wrong(&shown, reason));
        }
        Ok(Self {
            host,
            field,
            source,
        })
    }
}

/// A name, and nothing around it.
fn parse_host(text: &str) -> Result<HostName, String> {
    if text.contains('*') {
        return Err("a credential is for one host, by its name".to_owned());
    }
    if text.contains("://") {
        return Err(
            "a credential is for a host, without a scheme: it is sent over TLS only".to_owned(),
        );
    }
    if let Some((host, port)) = text.rsplit_once(':')
        && !port.is_empty()
        && port.bytes().all(|byte| byte.is_ascii_digit())
    {
        return Err(format!(
            "a credential is for a host on all its ports: {host}"
        ));
    }
    HostName::parse(text)
}

fn parse_source(text: &str) -> Option<SecretSource> {
    if let Some(name) = text.strip_prefix("env:") {
        return is_variable_name(name).then(|| SecretSource::Environment(name.to_owned()));
    }
    let path = text.strip_prefix("file:")?;
    let is_path = !path.is_empty() && !path.contains('\0');
    is_path.then(|| SecretSource::File(path.to_owned()))
}

impl fmt::Display for CredentialGrant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}=", self.host)?;
        if self.field != DEFAULT_FIELD {
            write!(formatter, "{}:", self.field)?;
        }
        match &self.source {
            SecretSource::File(path) => write!(formatter, "file:{path}"),
            SecretSource::Environment(name) => write!(formatter, "env:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> String {
        text.parse::<CredentialGrant>().expect("valid").to_string()
    }

    fn error(text: &str) -> String {
        text.parse::<CredentialGrant>()
            .expect_err("invalid")
            .to_string()
    }

    #[test]
    fn both_sources_are_read() {
        assert_eq!(canonical("API.test=env:TOKEN"), "api.test=env:TOKEN");
        assert_eq!(
            canonical("api.test=authorization:env:TOKEN"),
            "api.test=env:TOKEN"
        );
        assert_eq!(
            canonical("api.test=X-Api-Key:file:/run/a:b=c"),
            "api.test=x-api-key:file:/run/a:b=c"
        );
    }

    #[test]
    fn value_written_in_place_of_its_source_is_not_shown() {
        assert_eq!(
            error("api.test=hunter2"),
            "invalid grant credential \"api.test=***\": expected HOST=[FIELD:]env:NAME or HOST=[FIELD:]file:PATH"
        );
        assert!(!error("*.test=env:hunter-2").contains("hunter"));
    }

    #[test]
    fn patterns_and_framing_fields_are_refused() {
        assert!(error("*.test=env:T").contains("for one host"));
        assert!(error("https://api.test=env:T").contains("without a scheme"));
        assert!(error("api.test:443=env:T").contains("on all its ports: api.test"));
        assert!(error("api.test=host:env:T").contains("carries no credential"));
        assert!(error("api.test=a b:env:T").contains("no name of an HTTP header"));
        assert!(error("api.test=file:").contains("expected"));
        assert!(error("api.test").contains("expected"));
        assert!(error("=env:T").contains("no host"));
    }
}
