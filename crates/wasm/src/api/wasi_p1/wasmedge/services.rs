//! The ports of well-known services (IANA, "Service Name and Transport Protocol Port Number Registry").

use lighter_types::grant::Protocol::{self, Tcp, Udp};

/// A service: its name, its port, and by what it is reached.
type Service = (&'static str, u16, &'static [Protocol]);

/// Those that programs name: nothing of the host's `/etc/services` is read.
const SERVICES: &[Service] = &[
    ("ftp-data", 20, &[Tcp]),
    ("ftp", 21, &[Tcp]),
    ("ssh", 22, &[Tcp]),
    ("telnet", 23, &[Tcp]),
    ("smtp", 25, &[Tcp]),
    ("domain", 53, &[Tcp, Udp]),
    ("tftp", 69, &[Udp]),
    ("http", 80, &[Tcp]),
    ("www", 80, &[Tcp]),
    ("kerberos", 88, &[Tcp, Udp]),
    ("pop3", 110, &[Tcp]),
    ("nntp", 119, &[Tcp]),
    ("ntp", 123, &[Udp]),
    ("imap", 143, &[Tcp]),
    ("imap2", 143, &[Tcp]),
    ("snmp", 161, &[Tcp, Udp]),
    ("ldap", 389, &[Tcp, Udp]),
    ("https", 443, &[Tcp, Udp]),
    ("submissions", 465, &[Tcp]),
    ("syslog", 514, &[Udp]),
    ("submission", 587, &[Tcp]),
    ("ldaps", 636, &[Tcp, Udp]),
    ("domain-s", 853, &[Tcp, Udp]),
    ("ftps", 990, &[Tcp]),
    ("imaps", 993, &[Tcp]),
    ("pop3s", 995, &[Tcp]),
    ("socks", 1080, &[Tcp]),
    ("mqtt", 1883, &[Tcp]),
    ("nfs", 2049, &[Tcp, Udp]),
    ("mysql", 3306, &[Tcp]),
    ("postgresql", 5432, &[Tcp]),
    ("amqps", 5671, &[Tcp]),
    ("amqp", 5672, &[Tcp]),
    ("redis", 6379, &[Tcp]),
    ("http-alt", 8080, &[Tcp, Udp]),
    ("secure-mqtt", 8883, &[Tcp]),
];

/// The port of a service, and by what it is reached.
pub(super) fn find(name: &str) -> Option<(u16, &'static [Protocol])> {
    let found = SERVICES.iter().find(|(known, ..)| *known == name);
    found.map(|(_, port, protocols)| (*port, *protocols))
}
