//! A command of WASI 0.2: the first argument says what it does.

use std::fs;
use std::io::{self, Read, Write};
use wasip2::cli;
use wasip2::filesystem::preopens;
use wasip2::filesystem::types::{
    Descriptor, DescriptorFlags, ErrorCode, NewTimestamp, OpenFlags, PathFlags,
};

wit_bindgen::generate!({
    inline: "
        package test:guest;
        world guest {
            import wasi:config/store@0.2.0-rc.1;
            import wasi:logging/logging@0.1.0-draft;
        }
        package wasi:config@0.2.0-rc.1 {
            interface store {
                variant error { upstream(string), io(string) }
                get: func(key: string) -> result<option<string>, error>;
                get-all: func() -> result<list<tuple<string, string>>, error>;
            }
        }
        package wasi:logging@0.1.0-draft {
            interface logging {
                enum level { trace, debug, info, warn, error, critical }
                log: func(level: level, context: string, message: string);
            }
        }
    ",
    generate_all,
});

use wasi::config::store;
use wasi::logging::logging;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["hello"] => println!("hello"),
        ["show"] => show(),
        ["copy"] => drop(io::copy(&mut io::stdin(), &mut io::stdout()).expect("a copy")),
        ["count"] => println!(
            "{}",
            io::copy(&mut io::stdin(), &mut io::sink()).expect("input")
        ),
        ["take", bytes] => take(bytes.parse().expect("a number")),
        ["fill", bytes] => fill(bytes.parse().expect("a number")),
        ["exit", code] => std::process::exit(code.parse().expect("a number")),
        ["exit-with-code", code] => cli::exit::exit_with_code(code.parse().expect("a number")),
        ["terminals"] => terminals(),
        ["read", path] => print!("{}", fs::read_to_string(path).expect("a file")),
        ["tree", path] => tree(path),
        ["files", path] => files(path),
        ["try", action, root, path @ ..] => attempt(action, root, path),
        ["sockets"] => sockets(),
        ["http", authority] => http(authority),
        ["poll"] => poll(),
        ["config", key] => println!("{:?}", store::get(key)),
        ["config"] => println!("{:?}", store::get_all()),
        ["log", context, message] => logging::log(logging::Level::Warn, context, message),
        ["trap"] => outer(),
        ["closed"] => closed(),
        other => panic!("unknown words {other:?}"),
    }
}

fn show() {
    println!("arguments {:?}", std::env::args().collect::<Vec<_>>());
    println!("environment {:?}", cli::environment::get_environment());
    println!("directory {:?}", cli::environment::initial_cwd());
    let names: Vec<String> = preopens::get_directories()
        .into_iter()
        .map(|(_, name)| name)
        .collect();
    println!("open {names:?}");
}

/// Reads exactly so many bytes and leaves the rest.
fn take(bytes: usize) {
    let stdin = cli::stdin::get_stdin();
    let mut taken = Vec::new();
    while taken.len() < bytes {
        taken.extend(
            stdin
                .blocking_read((bytes - taken.len()) as u64)
                .expect("input"),
        );
    }
    io::stdout().write_all(&taken).expect("output");
}

fn fill(bytes: usize) {
    let line: Vec<u8> = (0..1000_usize).map(|index| (index % 251) as u8).collect();
    let mut stdout = io::stdout().lock();
    for start in (0..bytes).step_by(line.len()) {
        stdout
            .write_all(&line[..line.len().min(bytes - start)])
            .expect("output");
    }
    stdout.flush().expect("output");
}

fn terminals() {
    let stdin = cli::terminal_stdin::get_terminal_stdin().is_some();
    let stdout = cli::terminal_stdout::get_terminal_stdout().is_some();
    let stderr = cli::terminal_stderr::get_terminal_stderr().is_some();
    println!("{stdin} {stdout} {stderr}");
}

fn tree(path: &str) {
    let mut names: Vec<String> = fs::read_dir(path)
        .expect("a directory")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("text")
        })
        .collect();
    names.sort();
    println!("{}", names.join(" "));
}

/// Goes once through what files can do.
fn files(path: &str) {
    let at = |name: &str| format!("{path}/{name}");
    fs::create_dir(at("d")).expect("mkdir");
    fs::write(at("d/a"), "one").expect("write");
    let mut file = fs::OpenOptions::new()
        .append(true)
        .open(at("d/a"))
        .expect("append");
    file.write_all(b" two").expect("append");
    file.set_len(5).expect("set_len");
    assert_eq!(fs::read_to_string(at("d/a")).expect("read"), "one t");
    fs::rename(at("d/a"), at("d/b")).expect("rename");
    fs::hard_link(at("d/b"), at("d/c")).expect("link");
    assert_eq!(fs::metadata(at("d/c")).expect("stat").len(), 5);
    tree(&at("d"));
    fs::remove_file(at("d/b")).expect("unlink");
    fs::remove_file(at("d/c")).expect("unlink");
    fs::remove_dir(at("d")).expect("rmdir");
    assert!(fs::metadata(at("d")).is_err());
    println!("done");
}

/// One change below an open directory, and the error code it got.
fn attempt(action: &str, root: &str, path: &[&str]) {
    let (root, _) = preopens::get_directories()
        .into_iter()
        .find(|(_, name)| name == root)
        .expect("an open directory");
    let other = || directory(path[2]);
    let follow = PathFlags::SYMLINK_FOLLOW;
    let (read, write) = (DescriptorFlags::READ, DescriptorFlags::WRITE);
    let open = |how, flags| root.open_at(follow, path[0], how, flags).map(drop);
    let result = match action {
        "read" => open(OpenFlags::empty(), read),
        "write" => open(OpenFlags::empty(), write),
        "create" => open(OpenFlags::CREATE, write),
        "mkdir" => root.create_directory_at(path[0]),
        "rmdir" => root.remove_directory_at(path[0]),
        "unlink" => root.unlink_file_at(path[0]),
        "rename" => root.rename_at(path[0], &root, path[1]),
        "rename-to" => root.rename_at(path[0], &other(), path[1]),
        "link" => root.link_at(PathFlags::empty(), path[0], &root, path[1]),
        "symlink" => root.symlink_at(path[0], path[1]),
        "times" => root.set_times_at(follow, path[0], NewTimestamp::Now, NewTimestamp::Now),
        "own-times" => root.set_times(NewTimestamp::Now, NewTimestamp::Now),
        other => panic!("unknown action {other}"),
    };
    print_result(result);
}

fn directory(name: &str) -> Descriptor {
    let mut directories = preopens::get_directories().into_iter();
    directories
        .find(|(_, known)| known == name)
        .expect("an open directory")
        .0
}

fn print_result(result: Result<(), ErrorCode>) {
    match result {
        Ok(()) => println!("ok"),
        Err(code) => println!("{}", code.name()),
    }
}

fn sockets() {
    use wasip2::sockets::network::IpAddressFamily::{Ipv4, Ipv6};
    use wasip2::sockets::{instance_network, ip_name_lookup, tcp_create_socket, udp_create_socket};
    println!("{:?}", tcp_create_socket::create_tcp_socket(Ipv4).err());
    println!("{:?}", udp_create_socket::create_udp_socket(Ipv6).err());
    let network = instance_network::instance_network();
    println!(
        "{:?}",
        ip_name_lookup::resolve_addresses(&network, "example.com").err()
    );
    println!(
        "{:?}",
        std::net::TcpStream::connect("127.0.0.1:1")
            .map_err(|error| error.kind())
            .err()
    );
}

fn http(authority: &str) {
    use wasip2::http::outgoing_handler::handle;
    use wasip2::http::types::{Fields, OutgoingRequest, Scheme};
    let request = OutgoingRequest::new(Fields::new());
    request.set_scheme(Some(&Scheme::Http)).expect("a scheme");
    request
        .set_authority(Some(authority))
        .expect("an authority");
    request
        .set_path_with_query(Some("/secret?x"))
        .expect("a path");
    let answer = handle(request, None).expect("a request");
    answer.subscribe().block();
    println!(
        "{:?}",
        answer.get().expect("an answer").expect("once").err()
    );
}

/// Waits for input and a clock at once, twenty times, then reads what came.
fn poll() {
    let stdin = cli::stdin::get_stdin();
    let input = stdin.subscribe();
    let mut ticks = 0;
    loop {
        let clock = wasip2::clocks::monotonic_clock::subscribe_duration(20_000_000);
        let ready = wasip2::io::poll::poll(&[&input, &clock]);
        if ready.contains(&0) {
            break;
        }
        ticks += 1;
        eprintln!("tick");
    }
    drop(input);
    let mut text = String::new();
    io::stdin().read_to_string(&mut text).expect("input");
    println!("{} {text:?}", ticks > 2);
}

/// Writes until the reader is gone.
fn closed() {
    let stdout = cli::stdout::get_stdout();
    let error = loop {
        if let Err(error) = stdout.blocking_write_and_flush(&[b'x'; 4096]) {
            break error;
        }
    };
    eprintln!("{error:?}");
}

#[inline(never)]
fn outer() {
    inner(std::hint::black_box(7));
}

#[inline(never)]
fn inner(value: u32) {
    if std::hint::black_box(value) == 7 {
        core::arch::wasm32::unreachable();
    }
}
