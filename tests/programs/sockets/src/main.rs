//! Uses the network as its arguments say, and prints what came of each. Every address is an argument.
//!
//!     connect ADDRESS TEXT   sends TEXT, prints what comes back
//!     serve ADDRESS COUNT    takes COUNT connections, one after the other, and echoes each to its end
//!     send ADDRESS TEXT      the same as connect, in datagrams
//!     receive ADDRESS COUNT  echoes COUNT datagrams
//!     inherit COUNT          serve, on the listener that is descriptor 3
//!     own ADDRESS TEXT       listens, connects to itself, prints what arrives
//!     lookup NAME            prints the name's addresses
//!     churn ADDRESS COUNT    connects so often, and again, to who hangs up at once; says so after each round
//!     hold ADDRESS COUNT     takes so many connections and keeps them until the first one ends
//!     listen ADDRESS COUNT   listens on so many ports of the system's choice, prints how many it got
//!     bind ADDRESS           binds and listens, prints where
//!     bind-udp ADDRESS       binds, prints where

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket};

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["connect", address, text] => connect(address, text),
        ["serve", address, count] => {
            TcpListener::bind(address).and_then(|listener| serve(&listener, count))
        }
        ["send", address, text] => send(address, text),
        ["receive", address, count] => receive(address, count),
        ["inherit", count] => serve(&inherited(), count),
        ["own", address, text] => own(address, text),
        ["hold", address, count] => hold(address, count),
        ["listen", address, count] => Ok(listen(address, count)),
        ["churn", address, count] => churn(address, count),
        ["lookup", name] => lookup(name),
        ["bind", address] => TcpListener::bind(address)
            .and_then(|listener| listener.local_addr())
            .map(|address| address.to_string()),
        ["bind-udp", address] => UdpSocket::bind(address)
            .and_then(|socket| socket.local_addr())
            .map(|address| address.to_string()),
        _ => panic!("unknown words: {words:?}"),
    };
    match done {
        Ok(text) => println!("{text}"),
        Err(error) => {
            println!("{:?}", error.kind());
            std::process::exit(1);
        }
    }
}

fn connect(address: &str, text: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(text.as_bytes())?;
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut back = String::new();
    stream.read_to_string(&mut back)?;
    Ok(back)
}

fn churn(address: &str, count: &str) -> std::io::Result<String> {
    for round in ["first", "second"] {
        for number in 0..count.parse().expect("a number") {
            // Whoever is there hangs up at any moment.
            if let Ok(mut stream) = TcpStream::connect(address) {
                if number % 3 == 0 {
                    let _ = stream.write_all(b"hello");
                }
                if number % 2 == 0 {
                    let _ = stream.read(&mut [0; 8]);
                }
            }
            if number % 100 == 0 {
                // A socket that nothing becomes of.
                let _ = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.send_to(b"x", address));
            }
        }
        println!("{round}");
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
    Ok("over".to_owned())
}

fn own(address: &str, text: &str) -> std::io::Result<String> {
    let listener = TcpListener::bind(address)?;
    assert_eq!(listener.local_addr()?.to_string(), address);
    let mut client = TcpStream::connect(address)?;
    let (mut stream, _) = listener.accept()?;
    client.write_all(text.as_bytes())?;
    drop(client);
    let mut heard = String::new();
    stream.read_to_string(&mut heard)?;
    Ok(heard)
}

fn hold(address: &str, count: &str) -> std::io::Result<String> {
    let listener = TcpListener::bind(address)?;
    println!("ready");
    let count = count.parse().expect("a number");
    let mut held = listener.incoming().take(count).collect::<std::io::Result<Vec<_>>>()?;
    println!("held");
    let _ = held[0].read(&mut [0])?;
    Ok("over".to_owned())
}

fn listen(address: &str, count: &str) -> String {
    let count: usize = count.parse().expect("a number");
    let listeners = (0..count).map(|_| TcpListener::bind(address));
    let mut held = Vec::new();
    for listener in listeners {
        match listener {
            Ok(listener) => held.push(listener),
            Err(error) => return format!("{} and {:?}", held.len(), error.kind()),
        }
    }
    held.len().to_string()
}

fn lookup(name: &str) -> std::io::Result<String> {
    let addresses = (name, 0).to_socket_addrs()?;
    let texts: Vec<String> = addresses.map(|address| address.ip().to_string()).collect();
    Ok(texts.join(" "))
}

fn serve(listener: &TcpListener, count: &str) -> std::io::Result<String> {
    println!("ready");
    let mut bytes = 0;
    for _ in 0..count.parse().expect("a number") {
        let (mut stream, _) = listener.accept()?;
        let mut buffer = [0; 4096];
        loop {
            let read = stream.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            bytes += read;
            stream.write_all(&buffer[..read])?;
        }
    }
    Ok(format!("{bytes} bytes"))
}

fn send(address: &str, text: &str) -> std::io::Result<String> {
    let any = if address.starts_with('[') {
        "[::]:0"
    } else {
        "0.0.0.0:0"
    };
    let socket = UdpSocket::bind(any)?;
    socket.send_to(text.as_bytes(), address)?;
    let mut buffer = [0; 65_536];
    let (length, _) = socket.recv_from(&mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

fn receive(address: &str, count: &str) -> std::io::Result<String> {
    let socket = UdpSocket::bind(address)?;
    println!("ready");
    let mut buffer = [0; 65_536];
    let mut bytes = 0;
    for _ in 0..count.parse().expect("a number") {
        let (length, from) = socket.recv_from(&mut buffer)?;
        bytes += length;
        socket.send_to(&buffer[..length], from)?;
    }
    Ok(format!("{bytes} bytes"))
}

#[cfg(target_env = "p1")]
fn inherited() -> TcpListener {
    use std::os::fd::FromRawFd;
    // Safety: the host opened it for this program.
    unsafe { TcpListener::from_raw_fd(3) }
}

#[cfg(not(target_env = "p1"))]
fn inherited() -> TcpListener {
    panic!("a component inherits no listener")
}
