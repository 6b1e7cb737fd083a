//! A command of WASI 0.3: the first argument says what it does.
//!
//! Rust's own library is on WASI 0.2, so this is also a component that mixes the two.

use futures::join;
use std::time::Duration;
use wasip3::cli::{environment, exit, stderr, stdin, stdout};
use wasip3::clocks::monotonic_clock;
use wasip3::filesystem::{preopens, types as filesystem};
use wasip3::wit_stream;

wasip3::cli::command::export!(Command);

struct Command;

impl wasip3::exports::cli::run::Guest for Command {
    async fn run() -> Result<(), ()> {
        let arguments: Vec<String> = environment::get_arguments().into_iter().skip(1).collect();
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["hello"] => print("hello\n").await,
            ["copy"] => copy().await,
            ["fill", bytes] => fill(bytes.parse().expect("a number")).await,
            ["tick"] => tick().await,
            ["exit", code] => exit::exit_with_code(code.parse().expect("a number")),
            ["error"] => return Err(()),
            ["mixed"] => {
                println!("from 0.2 {:?}", std::env::args().nth(1));
                print("from 0.3\n").await;
            }
            ["show"] => {
                let directory = environment::get_initial_cwd();
                let open: Vec<String> = preopens::get_directories()
                    .into_iter()
                    .map(|(_, name)| name)
                    .collect();
                print(&format!("{directory:?} {open:?}\n")).await;
            }
            ["terminals"] => {
                let stdin = wasip3::cli::terminal_stdin::get_terminal_stdin().is_some();
                let stdout = wasip3::cli::terminal_stdout::get_terminal_stdout().is_some();
                print(&format!("{stdin} {stdout}\n")).await;
            }
            ["read", root, path] => read(root, path).await,
            ["write", root, path, text] => write(root, path, text).await,
            ["list", root] => list(root).await,
            ["try", action, root, path @ ..] => attempt(action, root, path).await,
            ["sockets"] => sockets().await,
            ["http", authority] => http(authority).await,
            ["trap"] => core::arch::wasm32::unreachable(),
            ["closed"] => closed().await,
            other => panic!("unknown words {other:?}"),
        }
        Ok(())
    }
}

async fn print(text: &str) {
    let (mut sender, receiver) = wit_stream::new();
    let (result, ()) = join!(stdout::write_via_stream(receiver).into_future(), async {
        assert!(sender.write_all(text.as_bytes().to_vec()).await.is_empty());
        drop(sender);
    });
    result.expect("output");
}

async fn copy() {
    let (input, end) = stdin::read_via_stream();
    stdout::write_via_stream(input).await.expect("output");
    end.await.expect("input");
}

async fn fill(bytes: usize) {
    let data: Vec<u8> = (0..bytes).map(|index| (index % 1000 % 251) as u8).collect();
    let (mut sender, receiver) = wit_stream::new();
    let (result, ()) = join!(stdout::write_via_stream(receiver).into_future(), async {
        assert!(sender.write_all(data).await.is_empty());
        drop(sender);
    });
    result.expect("output");
}

/// Counts on while input is awaited.
async fn tick() {
    let (mut input, _end) = stdin::read_via_stream();
    let reading = async {
        let mut total = 0;
        loop {
            let (_, bytes) = input.read(Vec::with_capacity(100)).await;
            if bytes.is_empty() {
                break total;
            }
            total += bytes.len();
        }
    };
    let ticking = async {
        let (mut sender, receiver) = wit_stream::new();
        let (result, ()) = join!(stderr::write_via_stream(receiver).into_future(), async {
            for _ in 0..3 {
                let pause = Duration::from_millis(20).as_nanos() as u64;
                monotonic_clock::wait_for(pause).await;
                assert!(sender.write_all(b"tick\n".to_vec()).await.is_empty());
            }
            drop(sender);
        });
        result.expect("error output");
    };
    let (total, ()) = join!(reading, ticking);
    print(&format!("{total}\n")).await;
}

async fn closed() {
    let (mut sender, receiver) = wit_stream::new();
    let (result, ()) = join!(stdout::write_via_stream(receiver).into_future(), async {
        while sender.write_all(vec![b'x'; 4096]).await.is_empty() {}
        drop(sender);
    });
    eprintln!("{result:?}");
}

fn root(name: &str) -> filesystem::Descriptor {
    let mut directories = preopens::get_directories().into_iter();
    directories
        .find(|(_, known)| known == name)
        .expect("an open directory")
        .0
}

async fn open(
    root: &filesystem::Descriptor,
    path: &str,
    how: filesystem::OpenFlags,
    flags: filesystem::DescriptorFlags,
) -> Result<filesystem::Descriptor, filesystem::ErrorCode> {
    let follow = filesystem::PathFlags::SYMLINK_FOLLOW;
    root.open_at(follow, path.to_owned(), how, flags).await
}

async fn read(directory: &str, path: &str) {
    let flags = filesystem::DescriptorFlags::READ;
    let file = open(
        &root(directory),
        path,
        filesystem::OpenFlags::empty(),
        flags,
    )
    .await
    .expect("a file");
    let (content, end) = file.read_via_stream(0);
    stdout::write_via_stream(content).await.expect("output");
    end.await.expect("content");
}

async fn write(directory: &str, path: &str, text: &str) {
    let flags = filesystem::DescriptorFlags::WRITE;
    let file = open(&root(directory), path, filesystem::OpenFlags::CREATE, flags)
        .await
        .expect("a file");
    let (mut sender, receiver) = wit_stream::new();
    let (result, ()) = join!(file.write_via_stream(receiver, 0).into_future(), async {
        assert!(sender.write_all(text.as_bytes().to_vec()).await.is_empty());
        drop(sender);
    });
    result.expect("a write");
    let size = file.stat().await.expect("a file").size;
    print(&format!("{size}\n")).await;
}

async fn list(directory: &str) {
    let (mut entries, end) = root(directory).read_directory();
    let mut names = Vec::new();
    while let Some(entry) = entries.next().await {
        names.push(entry.name);
    }
    end.await.expect("a directory");
    names.sort();
    print(&format!("{}\n", names.join(" "))).await;
}

async fn attempt(action: &str, directory: &str, path: &[&str]) {
    use filesystem::{DescriptorFlags, NewTimestamp, OpenFlags, PathFlags};
    let root = root(directory);
    let at = |index: usize| path[index].to_owned();
    let result = match action {
        "read" => open(&root, path[0], OpenFlags::empty(), DescriptorFlags::READ)
            .await
            .map(drop),
        "write" => open(&root, path[0], OpenFlags::empty(), DescriptorFlags::WRITE)
            .await
            .map(drop),
        "create" => open(&root, path[0], OpenFlags::CREATE, DescriptorFlags::WRITE)
            .await
            .map(drop),
        "mkdir" => root.create_directory_at(at(0)).await,
        "rmdir" => root.remove_directory_at(at(0)).await,
        "unlink" => root.unlink_file_at(at(0)).await,
        "rename" => root.rename_at(at(0), &root, at(1)).await,
        "link" => root.link_at(PathFlags::empty(), at(0), &root, at(1)).await,
        "symlink" => root.symlink_at(at(0), at(1)).await,
        "times" => {
            let follow = PathFlags::SYMLINK_FOLLOW;
            root.set_times_at(follow, at(0), NewTimestamp::Now, NewTimestamp::Now)
                .await
        }
        "own-times" => root.set_times(NewTimestamp::Now, NewTimestamp::Now).await,
        other => panic!("unknown action {other}"),
    };
    let text = match result {
        Ok(()) => "ok\n".to_owned(),
        Err(code) => format!("{code:?}\n"),
    };
    print(&text).await;
}

async fn sockets() {
    use wasip3::sockets::ip_name_lookup::resolve_addresses;
    use wasip3::sockets::types::{IpAddressFamily, TcpSocket, UdpSocket};
    let tcp = TcpSocket::create(IpAddressFamily::Ipv4).err();
    let udp = UdpSocket::create(IpAddressFamily::Ipv6).err();
    let name = resolve_addresses("example.com".to_owned()).await.err();
    print(&format!("{tcp:?}\n{udp:?}\n{name:?}\n")).await;
}

async fn http(authority: &str) {
    use wasip3::http::client;
    use wasip3::http::types::{Fields, Request, Scheme};
    let (_, trailers) = wasip3::wit_future::new(|| Ok(None));
    let (request, _sent) = Request::new(Fields::new(), None, trailers, None);
    request.set_scheme(Some(&Scheme::Https)).expect("a scheme");
    request
        .set_authority(Some(authority))
        .expect("an authority");
    request
        .set_path_with_query(Some("/secret?x"))
        .expect("a path");
    let error = client::send(request).await.err();
    print(&format!("{error:?}\n")).await;
}
