//! Fuzz tests of a fixed count, the same inputs each time: what CI runs of the targets in `fuzz/`.

#![allow(clippy::expect_used, missing_docs, unreachable_pub)]

mod checks;
mod mutate;

use lighter_types::bundle::{Bundle, Entry, Preopen, Terminals};
use lighter_types::cpu::CpuFeatures;
use lighter_types::grant::KEYS;
use lighter_types::http::HttpSettings;
use lighter_types::limits::Limits;
use lighter_types::program::ProgramKind;
use lighter_types::refusal::Refusal;
use lighter_types::runner_protocol::{
    Confinement, End, FROM_RUNNER_BYTES, Failure, FromRunner, ImportFact, ImportState,
    InspectOrder, MissingImport, Order, ProgramFacts, TO_RUNNER_BYTES, Task, encode,
};
use lighter_types::secret::SecretBytes;
use mutate::{Random, mutate};

/// How many inputs each test makes.
const COUNT: usize = 200_000;

/// A value of each form, with its key.
const GRANTS: &[(&str, &str)] = &[
    ("allow-net", "https://*.example.com:8000-8010"),
    ("allow-net", "tcp://[fd00::/8]:443"),
    ("allow-net", "10.0.0.0/8:*"),
    ("allow-dns", "*.internal"),
    ("add-host", "db.example=[fd00::1]"),
    ("add-host", "host.docker.internal:host-gateway"),
    ("dns", "10.0.0.53"),
    ("publish", "127.0.0.1:8080-8081:80-81/udp"),
    ("publish", "[::1]::80"),
    ("volume", "./data:/data/../x:ro,cached"),
    ("volume", "cache:/c:nocopy"),
    ("mount", "type=bind,\"source=/a,b\",target=/b,readonly"),
    ("mount", "type=tmpfs,dst=/t,tmpfs-size=64m,tmpfs-mode=1777"),
    ("tmpfs", "/tmp:size=1.5g,mode=700,ro"),
    ("env", "NAME=value"),
    ("secret", "id=token,src=/run/token"),
    ("secret", "token=./token"),
    ("credential", "api.test=x-key:env:TOKEN"),
    ("link", "wasi:keyvalue@0.2.0=redis://me:pw@cache:6379/0"),
    ("set", "key=value"),
    ("deny", "wasi:sockets/tcp@0.2.6"),
    ("stub", "env.memory"),
    ("user", "1000:1000"),
];

const GRANT_WORDS: &[&[u8]] = &[
    b"tcp://",
    b"udp://",
    b"http://",
    b"https://",
    b"://",
    b"*.",
    b"*",
    b"[",
    b"]",
    b"::",
    b"::ffff:1.2.3.4",
    b"/0",
    b"/32",
    b"/128",
    b"/",
    b"..",
    b":",
    b",",
    b"=",
    b"\"",
    b"\"\"",
    b"@",
    b"%",
    b"-",
    b"_",
    b".",
    b"0",
    b"0x7f",
    b"65535",
    b"65536",
    b"4294967296",
    b"18446744073709551616",
    b"xn--",
    b"ro",
    b"rw",
    b"readonly",
    b"type=",
    b"src=",
    b"target=",
    b"id=",
    b"env:",
    b"file:",
    b"\0",
    b"\n",
    b"\r",
    b"\x1b[2J",
    "ü".as_bytes(),
    "\u{202e}".as_bytes(),
    b"\xff",
];

#[test]
fn no_text_breaks_the_grammar_of_grants() {
    let mut random = Random::new(0x11_6874_6572);
    for _ in 0..COUNT {
        let (key, value) = GRANTS[random.below(GRANTS.len())];
        let key = KEYS.iter().position(|known| *known == key).expect("known");
        let mut input = vec![u8::try_from(key).expect("there are few")];
        input.extend(mutate(&mut random, value.as_bytes(), GRANT_WORDS));
        checks::grant_grammar(&input);
    }
}

#[test]
fn every_seed_of_the_grammar_is_valid() {
    for (key, value) in GRANTS {
        assert!(
            lighter_types::grant::Grant::parse(key, value).is_ok(),
            "{key}={value}"
        );
    }
}

/// An address, a name, and grants.
const DECISIONS: &[&str] = &[
    "127.0.0.1:80\nexample.com\n*\n*.example.com:80\nexample.com",
    "[::ffff:10.0.0.1]:443\nwww.example.com.\n10.0.0.0/8:400-500\nudp://10.0.0.1",
    "[64:ff9b::7f00:1]:80\nlocalhost\n*:80\ntcp://[::/0]",
    "0.1.2.3:0\n\nhttps://1.1.1.1\n0.0.0.0/0",
    "[fe80::1%3]:1\nexample.com\n[fe80::/10]:1",
    "169.254.169.254:80\nmetadata.example.com\n*.example.com",
];

#[test]
fn no_text_breaks_the_policy_of_the_network() {
    let mut random = Random::new(0x706f_6c69_6379);
    for _ in 0..COUNT {
        let seed = DECISIONS[random.below(DECISIONS.len())];
        checks::network_policy(&mutate(&mut random, seed.as_bytes(), GRANT_WORDS));
    }
}

const SERVERS: &[&str] = &[
    "nameserver 10.0.0.53\nnameserver fe80::1%eth0\nsearch a.example b.example\n",
    "# a comment\ndomain corp.example.\noptions ndots:5 timeout:2 attempts:3 rotate\n",
    "nameserver\nsearch\noptions ndots:\n",
];

const SERVER_WORDS: &[&[u8]] = &[
    b"nameserver ",
    b"search ",
    b"domain ",
    b"options ",
    b"ndots:",
    b"timeout:",
    b"attempts:",
    b"4294967296",
    b"-1",
    b"%",
    b".",
    b"..",
    b"\n",
    b"\r",
    b"\t",
    b"\0",
    b"\xff",
    &[b'a'; 64],
    &[b'a'; 300],
];

#[test]
fn no_text_breaks_what_a_system_says_of_its_name_servers() {
    let mut random = Random::new(0x7365_7276_6572);
    for _ in 0..COUNT {
        let seed = SERVERS[random.below(SERVERS.len())];
        checks::name_servers(&mutate(&mut random, seed.as_bytes(), SERVER_WORDS));
    }
}

const FRAME_WORDS: &[&[u8]] = &[
    b"\x00\x00\x00\x00",
    b"\x01\x00\x00\x00",
    b"\xff\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\x80",
    b"\x00",
    b"\x01",
    b"\xff",
];

fn frames() -> Vec<Vec<u8>> {
    let order = InspectOrder {
        is_text: true,
        stubs: vec!["env".parse().expect("valid")],
        denials: vec![],
        cpu: CpuFeatures::from_bits(7),
        bounds: lighter_types::runner_protocol::Bounds::for_program(1 << 20),
    };
    let missing = Failure::MissingImports(vec![MissingImport {
        name: "env.log".to_owned(),
        note: Some("unknown".to_owned()),
    }]);
    let facts = ProgramFacts {
        kind: ProgramKind::Module,
        imports: vec![ImportFact {
            interface: "env".to_owned(),
            item: Some("log".to_owned()),
            state: ImportState::Missing,
        }],
        import_count: 1,
        exports: vec!["_start".to_owned()],
        export_count: 1,
        entry: Some("_start".to_owned()),
        failure: Some(missing.clone()),
    };
    let path = "../x".to_owned();
    let from = [
        FromRunner::Loaded,
        FromRunner::Refused(Refusal::Escape { path }),
        FromRunner::Ended(End::Exited(3)),
        FromRunner::Ended(End::Failed(missing)),
        FromRunner::Inspected(Box::new(facts)),
    ];
    let to = [
        Task::Run(Box::new(bundle())),
        Task::Inspect(order.clone()),
        Task::Compile(order),
    ];
    let from = from.iter().map(|m| encode(m, FROM_RUNNER_BYTES));
    let confinement = Confinement {
        has_own_root: true,
        may_lack_parts: false,
        data_bytes: Some(1 << 30),
        threads: None,
        has_network: true,
        has_published: true,
    };
    let to = to.map(|task| Order { confinement, task });
    let to = to.iter().map(|m| encode(m, TO_RUNNER_BYTES));
    from.chain(to).map(|f| f.expect("it is short")).collect()
}

fn bundle() -> Bundle {
    Bundle {
        kind: ProgramKind::Component,
        artifact: "/code".to_owned(),
        arguments: vec!["app".to_owned()],
        environment: vec![("A".to_owned(), "1".to_owned())],
        preopens: vec![Preopen {
            guest_path: "/data".to_owned(),
            runner_path: "/m/0".to_owned(),
        }],
        file_rights: Vec::new(),
        initial_directory: None,
        terminals: Terminals::default(),
        config: vec![("k".to_owned(), SecretBytes::new(vec![1, 2]))],
        stubs: vec![],
        denials: vec![],
        entry: Entry::Command,
        cpu: CpuFeatures::from_bits(0),
        limits: Limits::default(),
        network: None,
        http: HttpSettings::default(),
        tls: None,
        has_coredump: false,
    }
}

#[test]
fn no_bytes_break_the_runner_protocol() {
    let mut random = Random::new(0x6672_616d_6573);
    let seeds = frames();
    for _ in 0..COUNT {
        let seed = &seeds[random.below(seeds.len())];
        let mut input = mutate(&mut random, seed, FRAME_WORDS);
        // Half of the inputs have the right length, so that they get past the header.
        if random.below(2) == 0 && input.len() > 4 {
            let length = u32::try_from(input.len() - 4).expect("it is short");
            input[..4].copy_from_slice(&length.to_le_bytes());
        }
        checks::runner_protocol(&input);
    }
}
