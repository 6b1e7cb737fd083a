//! Uses the socket functions of WasmEdge, both generations, as its arguments say. Every address is an argument.
//!
//!     connect ADDRESS TEXT       sends TEXT, prints what comes back
//!     connect-storage, connect-nonblocking   the same with longer addresses, and without waiting
//!     connect-threads            the same, where one thread sends and another receives
//!     own ADDRESS TEXT           listens, connects to itself, prints what arrives
//!     serve ADDRESS COUNT        takes COUNT connections, one after the other, and echoes each to its end
//!     serve-nonblocking          the same without waiting
//!     send ADDRESS TEXT          the same as connect, in datagrams
//!     send-first                 the same with the functions of the first generation
//!     send-connected             the same by a socket that is connected
//!     receive ADDRESS COUNT      echoes COUNT datagrams
//!     lookup HOST SERVICE FLAGS FAMILY TYPE PROTOCOL   prints the results
//!     options | pointers | families | denied           see there

mod checks;
mod lookup;
mod wasi;

use std::net::SocketAddr;
use wasi::{DATAGRAM, Layout, READ, Result, STREAM, WRITE, raw};

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
    let count = |text: &str| text.parse::<usize>().expect("a number");
    let done = match words[..] {
        ["connect", to, text] => connect(&address(to), text, Layout::Short),
        ["connect-storage", to, text] => connect(&address(to), text, Layout::Storage),
        ["connect-nonblocking", to, text] => connect_nonblocking(&address(to), text),
        ["connect-threads", to, text] => connect_threads(&address(to), text),
        ["own", at, text] => own(&address(at), text),
        ["serve", at, times] => serve(&address(at), count(times), false),
        ["serve-nonblocking", at, times] => serve(&address(at), count(times), true),
        ["send", to, text] => send(&address(to), text),
        ["send-first", to, text] => send_first(&address(to), text),
        ["send-connected", to, text] => send_connected(&address(to), text),
        ["receive", at, times] => receive(&address(at), count(times)),
        ["lookup", host, service, ref numbers @ ..] => {
            let hints: Vec<u8> = numbers.iter().map(|text| text.parse().expect("a number")).collect();
            lookup::look_up(host, service, hints.try_into().expect("four numbers")).map(|lines| lines.join("\n"))
        }
        ["options"] => checks::options(),
        ["pointers"] => checks::pointers(),
        ["families"] => checks::families(),
        ["denied"] => checks::denied(),
        _ => panic!("unknown words: {words:?}"),
    };
    match done {
        Ok(text) => println!("{text}"),
        Err(errno) => {
            println!("errno {errno}");
            std::process::exit(1);
        }
    }
}

/// What comes to the end of a connection.
fn rest(mut receive: impl FnMut(&mut [u8]) -> Result<usize>) -> Result<String> {
    let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let received = receive(&mut buffer)?;
        if received == 0 {
            return Ok(String::from_utf8_lossy(&all).into_owned());
        }
        all.extend_from_slice(&buffer[..received]);
    }
}

fn connect(to: &SocketAddr, text: &str, layout: Layout) -> Result<String> {
    let fd = wasi::open(wasi::family(to), STREAM)?;
    assert_eq!(wasi::status(fd)?, (6, 0));
    wasi::connect(fd, to, layout)?;
    assert_eq!(wasi::peer(fd)?, *to);
    wasi::send(fd, text.as_bytes())?;
    wasi::check(unsafe { raw::sock_shutdown(fd, 2) })?;
    let back = rest(|buffer| wasi::receive(fd, buffer, 0).map(|(length, _)| length))?;
    wasi::close(fd)?;
    assert_eq!(wasi::close(fd), Err(8));
    Ok(back)
}

fn connect_nonblocking(to: &SocketAddr, text: &str) -> Result<String> {
    let fd = wasi::open(wasi::family(to), STREAM)?;
    wasi::set_flags(fd, wasi::NONBLOCK)?;
    assert_eq!(wasi::status(fd)?, (6, 4));
    match wasi::connect(fd, to, Layout::Short) {
        // In progress.
        Err(26) => wasi::wait(fd, WRITE, true)?,
        done => done?,
    }
    wasi::check(wasi::option(fd, 2)? as u32)?;
    let mut buffer = [0; 16];
    assert_eq!(wasi::read(fd, &mut buffer), Err(6), "nothing has come");
    wasi::write(fd, text.as_bytes())?;
    wasi::check(unsafe { raw::sock_shutdown(fd, 2) })?;
    rest(|buffer| {
        wasi::wait(fd, READ, false)?;
        wasi::read(fd, buffer)
    })
}

fn connect_threads(to: &SocketAddr, text: &str) -> Result<String> {
    let fd = wasi::open(wasi::family(to), STREAM)?;
    wasi::connect(fd, to, Layout::Short)?;
    let receiver = std::thread::spawn(move || {
        rest(|buffer| wasi::receive(fd, buffer, 0).map(|(length, _)| length))
    });
    wasi::send(fd, text.as_bytes())?;
    wasi::check(unsafe { raw::sock_shutdown(fd, 2) })?;
    receiver.join().expect("it ends")
}

fn own(at: &SocketAddr, text: &str) -> Result<String> {
    let listener = listen(at)?;
    let fd = wasi::open(wasi::family(at), STREAM)?;
    wasi::connect(fd, at, Layout::Short)?;
    let mut accepted = 0;
    wasi::check(unsafe { raw::sock_accept(listener, &mut accepted) })?;
    wasi::send(fd, text.as_bytes())?;
    wasi::close(fd)?;
    rest(|buffer| wasi::read(accepted, buffer))
}

fn listen(at: &SocketAddr) -> Result<u32> {
    let listener = wasi::open(wasi::family(at), STREAM)?;
    wasi::set_option(listener, 0, &1_i32.to_le_bytes())?;
    wasi::bind(listener, at, Layout::Short)?;
    assert_eq!(wasi::option(listener, 13)?, 0);
    wasi::check(unsafe { raw::sock_listen(listener, 16) })?;
    assert_eq!(wasi::option(listener, 13)?, 1);
    assert_eq!(wasi::local(listener)?.port(), at.port());
    Ok(listener)
}

fn serve(at: &SocketAddr, count: usize, is_nonblocking: bool) -> Result<String> {
    let listener = listen(at)?;
    let mut fd = 0;
    if is_nonblocking {
        wasi::set_flags(listener, wasi::NONBLOCK)?;
        assert_eq!(unsafe { raw::sock_accept(listener, &mut fd) }, 6, "nobody has come");
    }
    println!("ready");
    let mut bytes = 0;
    for _ in 0..count {
        if is_nonblocking {
            wasi::wait(listener, READ, true)?;
            wasi::check(unsafe { raw::sock_accept_v2(listener, wasi::NONBLOCK, &mut fd) })?;
        } else {
            wasi::check(unsafe { raw::sock_accept(listener, &mut fd) })?;
        }
        assert!(wasi::peer(fd)?.ip().to_canonical().is_loopback());
        let mut buffer = [0; 4096];
        loop {
            if is_nonblocking {
                wasi::wait(fd, READ, false)?;
            }
            let (read, _) = wasi::receive(fd, &mut buffer, 0)?;
            if read == 0 {
                break;
            }
            bytes += read;
            wasi::write(fd, &buffer[..read])?;
        }
        wasi::close(fd)?;
    }
    Ok(format!("{bytes} bytes"))
}

/// A socket for datagrams that go to an address.
fn datagrams(to: &SocketAddr) -> Result<u32> {
    let fd = wasi::open(wasi::family(to), DATAGRAM)?;
    assert_eq!(wasi::status(fd)?, (5, 0));
    Ok(fd)
}

fn send(to: &SocketAddr, text: &str) -> Result<String> {
    let fd = datagrams(to)?;
    assert_eq!(wasi::send_to(fd, text.as_bytes(), to, Layout::Storage)? as usize, text.len());
    let mut buffer = [0; 65_536];
    let (length, from, flags) = wasi::receive_from(fd, &mut buffer)?;
    assert_eq!((from, flags), (*to, 0));
    // Once more, with too little room.
    wasi::send_to(fd, text.as_bytes(), to, Layout::Short)?;
    let (short, _, flags) = wasi::receive_from(fd, &mut [0; 2])?;
    assert_eq!((short, flags), (2, 1));
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

fn send_first(to: &SocketAddr, text: &str) -> Result<String> {
    let fd = datagrams(to)?;
    wasi::send_to(fd, text.as_bytes(), to, Layout::Short)?;
    let mut buffer = [0; 65_536];
    let (length, from) = wasi::receive_from_first(fd, &mut buffer, to.is_ipv6())?;
    assert_eq!(from, to.ip());
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

fn send_connected(to: &SocketAddr, text: &str) -> Result<String> {
    let fd = datagrams(to)?;
    wasi::connect(fd, to, Layout::Short)?;
    wasi::send(fd, text.as_bytes())?;
    let mut buffer = [0; 65_536];
    // A look first, with the flag that waits for all: a datagram is all.
    assert_eq!(wasi::receive(fd, &mut buffer[..2], 1 | 2)?, (2, 1));
    let (length, flags) = wasi::receive(fd, &mut buffer, 2)?;
    assert_eq!(flags, 0);
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

fn receive(at: &SocketAddr, count: usize) -> Result<String> {
    let fd = datagrams(at)?;
    wasi::bind(fd, at, Layout::Storage)?;
    println!("ready");
    let (mut buffer, mut bytes) = ([0; 65_536], 0);
    for _ in 0..count {
        let (length, from, _) = wasi::receive_from(fd, &mut buffer)?;
        bytes += length;
        wasi::send_to(fd, &buffer[..length], &from, Layout::Short)?;
    }
    Ok(format!("{bytes} bytes"))
}
