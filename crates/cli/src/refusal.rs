//! Words for what a program was refused.

use lighter_types::escape::escape;
use lighter_types::grant::{Grants, MountKind, NetworkMode, Protocol};
use lighter_types::limits::MOST_THREADS;
use lighter_types::network::{Reason, Transport};
use lighter_types::refusal::{BindFault, Refusal};
use std::net::IpAddr;

/// One line for a refusal: what was tried, on what, and the flag that allows it.
pub(crate) fn refusal_line(refusal: &Refusal, grants: &Grants) -> String {
    match refusal {
        Refusal::ReadOnly { action, path } => {
            format!(
                "{} {}: {}",
                escape(action),
                escape(path),
                read_only_advice(path, grants)
            )
        }
        Refusal::Escape { path } => format!(
            "open {}: it leads out of the granted directories; allow it with -v SOURCE:TARGET",
            escape(path)
        ),
        Refusal::Permission { action, path } => {
            let advice = if rustix::process::geteuid().is_root() {
                "its owner on the host does not let root's programs; name the owner with --user UID:GID"
            } else {
                "your own rights on the host do not reach it; change the file's permissions"
            };
            format!("{} {}: {advice}", escape(action), escape(path))
        }
        Refusal::Thread { most } => {
            let flag = if *most == MOST_THREADS {
                ""
            } else {
                " (--pids-limit)"
            };
            let running = if *most == 1 { "is" } else { "are" };
            format!("start a thread: {most} {running} running, and no more are allowed{flag}")
        }
        Refusal::Reach {
            transport,
            address,
            reason,
        } => reach_line(*transport, &escape(address), reason, grants),
        Refusal::Listen { protocol, port } => format!(
            "listen on {} port {port}: it is not published; allow it with -p {port}{}",
            protocol.name(),
            if *protocol == Protocol::Udp {
                "/udp"
            } else {
                ""
            }
        ),
        Refusal::Bind {
            protocol,
            address,
            fault,
        } => bind_line(*protocol, &escape(address), *fault),
        Refusal::Unlistened { port, host } => format!(
            "port {port} is not served at {}: the program has one listener for it, which is shown elsewhere",
            escape(host)
        ),
        Refusal::Socket { action } => format!("{}: {}", escape(action), no_network(grants)),
        Refusal::Lookup { name, reason } => lookup_line(name, reason, grants),
        Refusal::Unanswered {
            name,
            servers,
            is_silent,
        } => unanswered_line(name, servers, *is_silent),
        Refusal::Request {
            origin,
            address,
            reason,
        } => request_line(&escape(origin), address.as_deref(), reason, grants),
        Refusal::Certificate { origin, fault } => format!(
            "request {}: its certificate is not believed: {}{}",
            escape(origin),
            escape(fault),
            authority_advice(fault)
        ),
        Refusal::Unsent { reason } => {
            format!("send requests: {}", escape(reason))
        }
    }
}

/// What was to be requested, why it may not be, and what would allow it.
fn request_line(origin: &str, address: Option<&str>, reason: &Reason, grants: &Grants) -> String {
    let what = match address {
        Some(address) => format!("request {origin} ({})", escape(address)),
        None => format!("request {origin}"),
    };
    let why = match reason {
        Reason::NotGranted { .. } if grants.network() == NetworkMode::None => {
            no_network(grants).to_owned()
        }
        Reason::NotGranted { .. } => {
            format!(
                "it is not granted; allow it with --allow-net {}",
                quoted(origin)
            )
        }
        _ => not_granted(reason, &by_address(origin, address), grants),
    };
    format!("{what}: {why}")
}

/// The grant of an address that an origin's name leads to.
fn by_address(origin: &str, address: Option<&str>) -> String {
    let (scheme, rest) = origin.split_once("://").unwrap_or(("https", origin));
    let port = match rest.rsplit_once(':') {
        Some((_, port)) if !port.ends_with(']') => format!(":{port}"),
        _ => String::new(),
    };
    let address = address.unwrap_or(rest);
    let address = match address.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) => format!("[{address}]"),
        _ => address.to_owned(),
    };
    if address == rest {
        return quoted(origin);
    }
    quoted(&format!("{scheme}://{address}{port}"))
}

/// What helps against a certificate that nobody believes.
fn authority_advice(fault: &str) -> &'static str {
    if fault.contains("signed") {
        "; name its authority's certificate with --ca FILE"
    } else {
        ""
    }
}

/// A name that was to be looked up, and why it may not be.
fn lookup_line(name: &str, reason: &Reason, grants: &Grants) -> String {
    let name = escape(name.strip_suffix('.').unwrap_or(name));
    let why = match reason {
        Reason::Ceiling { .. } => CEILING.to_owned(),
        _ if !grants.has_network() => no_network(grants).to_owned(),
        _ => format!(
            "it is not granted; allow it with --allow-net {name}:PORT or --allow-dns {name}"
        ),
    };
    format!("look up {name}: {why}")
}

/// A name that was looked up, and why there is no answer.
fn unanswered_line(name: &str, servers: &[IpAddr], is_silent: bool) -> String {
    let servers: Vec<String> = servers.iter().map(ToString::to_string).collect();
    let servers = servers.join(", ");
    let what = match (servers.as_str(), is_silent) {
        ("", _) => "there is no way to any name server".to_owned(),
        (servers, true) => format!("no name server answered (asked: {servers})"),
        (servers, false) => {
            format!("the name servers answered that they cannot say (asked: {servers})")
        }
    };
    format!("look up {}: {what}; name another with --dns", escape(name))
}

/// Why there is no network, and what would give one.
fn no_network(grants: &Grants) -> &'static str {
    match grants.network() {
        NetworkMode::None => "--network none takes the network away; leave it out",
        NetworkMode::Bridge | NetworkMode::Host => {
            "no network is granted; allow it with --allow-net HOST:PORT or -p PORT"
        }
    }
}

/// What a ceiling says.
const CEILING: &str = "[ceiling] of the configuration forbids it";

/// What was to be bound, and why it cannot be.
fn bind_line(protocol: Protocol, address: &str, fault: BindFault) -> String {
    let port = address.rsplit_once(':').map_or("PORT", |(_, port)| port);
    let suffix = match protocol {
        Protocol::Tcp => "",
        Protocol::Udp => "/udp",
    };
    let why = match fault {
        BindFault::Foreign => {
            "it is none of the program's own; bind 0.0.0.0, [::] or loopback".to_owned()
        }
        BindFault::OtherFamily { is_by_v6 } => {
            let (shown, address) = match is_by_v6 {
                true => ("IPv6", "0.0.0.0"),
                false => ("IPv4", "[::]"),
            };
            let flag = quoted(&format!("{address}:PORT:{port}{suffix}"));
            format!(
                "the host shows that port by {shown} alone; publish it by the other too, as -p {flag}"
            )
        }
        BindFault::Privileged => {
            "ports below 1024 are root's; bind a higher one, or leave --network host out".to_owned()
        }
    };
    format!("bind {address} ({}): {why}", protocol.name())
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    if word.contains(['[', '*']) {
        format!("'{word}'")
    } else {
        word.to_owned()
    }
}

/// What was to be reached, why it may not be, and what would allow it.
fn reach_line(transport: Transport, address: &str, reason: &Reason, grants: &Grants) -> String {
    let (what, scheme) = match transport {
        Transport::Tcp => ("connect to", "tcp://"),
        Transport::Udp => ("send to", "udp://"),
        Transport::Http => ("request", "http://"),
        Transport::Https => ("request", "https://"),
    };
    let by_address = quoted(&format!("{scheme}{address}"));
    let why = match reason {
        Reason::NotGranted { name: None } => {
            format!("it is not granted; allow it with --allow-net {by_address}")
        }
        Reason::NotGranted { name: Some(name) } => {
            let name = escape(name);
            let port = address.rsplit_once(':').map_or("", |(_, port)| port);
            return format!(
                "{what} {address} ({name}): it is not granted; allow it with --allow-net {scheme}{name}:{port}"
            );
        }
        reason => not_granted(reason, &by_address, grants),
    };
    format!("{what} {address}: {why}")
}

/// Why what is granted opens it not.
fn not_granted(reason: &Reason, by_address: &str, grants: &Grants) -> String {
    match reason {
        Reason::NotGranted { .. } => "it is not granted".to_owned(),
        Reason::NameLeadsInside { name, kind } => format!(
            "{} is granted, but names lead to no {kind} addresses; allow it with --allow-net {by_address}",
            escape(name)
        ),
        Reason::AnyIsPublic { kind } => format!(
            "* is granted, but that opens no {kind} addresses; allow it with --allow-net {by_address}"
        ),
        Reason::Ceiling {
            is_for_own_word: false,
        } => CEILING.to_owned(),
        Reason::Ceiling {
            is_for_own_word: true,
        } => {
            let flag = match grants.hosts().next() {
                Some(_) => "--add-host",
                None => "--dns",
            };
            format!("{CEILING}: names lead there where the system's servers say, not {flag}")
        }
    }
}

/// Which flag would make a path writable: the mount that covers it, without `ro`.
fn read_only_advice(path: &str, grants: &Grants) -> String {
    let covering = grants
        .mounts()
        .filter(|mount| {
            let target = mount.target.as_str().trim_end_matches('/');
            path.strip_prefix(target)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
        .max_by_key(|mount| mount.target.as_str().len());
    match covering.map(|mount| (&mount.kind, mount.target.as_str())) {
        Some((
            MountKind::Bind {
                source,
                is_read_only: true,
            },
            target,
        )) => format!(
            "{target} is mounted read-only; allow it with -v {}:{target}",
            escape(source)
        ),
        Some((MountKind::Tmpfs { .. }, target)) => {
            format!("{target} is mounted read-only; allow it with --tmpfs {target}")
        }
        Some((_, target)) => format!("the file system below {target} is read-only on the host"),
        None => {
            let parent = path.rsplit_once('/').map_or("/", |(parent, _)| parent);
            let parent = if parent.is_empty() {
                "/DIRECTORY"
            } else {
                parent
            };
            let parent = escape(parent);
            format!(
                "nothing writable is there; allow it with -v SOURCE:{parent} or --tmpfs {parent}"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lighter_types::grant::Grant;

    fn grants(flags: &[(&str, &str)]) -> Grants {
        let mut grants = Grants::default();
        for (key, value) in flags {
            grants
                .add(Grant::parse(key, value).expect("valid"))
                .expect("no duplicate");
        }
        grants
    }

    fn line(path: &str, flags: &[(&str, &str)]) -> String {
        let refusal = Refusal::ReadOnly {
            action: "write".to_owned(),
            path: path.to_owned(),
        };
        refusal_line(&refusal, &grants(flags))
    }

    #[test]
    fn read_only_mount_is_named_with_the_flag_that_opens_it() {
        assert_eq!(
            line("/data/x", &[("volume", "./data:/data:ro")]),
            "write /data/x: /data is mounted read-only; allow it with -v ./data:/data"
        );
    }

    #[test]
    fn path_without_a_mount_is_told_what_would_be_there() {
        assert_eq!(
            line("/tmp/x", &[("volume", "./data:/data:ro")]),
            "write /tmp/x: nothing writable is there; allow it with -v SOURCE:/tmp or --tmpfs /tmp"
        );
    }

    #[test]
    fn guest_cannot_forge_a_line() {
        let told = line(
            "/data/x\nlighter: all is well",
            &[("volume", "./data:/data:ro")],
        );
        assert!(!told.contains('\n'));
    }
}
