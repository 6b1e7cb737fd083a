//! Uses sockets by the crate that programs made for WasmEdge use. Every address is an argument.
//!
//!     connect ADDRESS TEXT   sends TEXT, prints what comes back
//!     serve ADDRESS COUNT    takes COUNT connections, one after the other, and echoes each to its end
//!     send ADDRESS TEXT      the same as connect, in datagrams
//!     receive ADDRESS COUNT  echoes COUNT datagrams
//!     lookup NAME SERVICE    prints the name's addresses

use std::io::{Read, Result, Write};
use wasmedge_wasi_socket::{Shutdown, TcpListener, TcpStream, UdpSocket, nslookup};

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["connect", address, text] => connect(address, text),
        ["serve", address, count] => serve(address, count),
        ["send", address, text] => send(address, text),
        ["receive", address, count] => receive(address, count),
        ["lookup", name, service] => nslookup(name, service).map(|found| format!("{found:?}")),
        _ => panic!("unknown words: {words:?}"),
    };
    match done {
        Ok(text) => println!("{text}"),
        Err(error) => {
            println!("{:?}", error.raw_os_error());
            std::process::exit(1);
        }
    }
}

fn connect(address: &str, text: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(text.as_bytes())?;
    stream.shutdown(Shutdown::Write)?;
    let mut back = String::new();
    stream.read_to_string(&mut back)?;
    Ok(back)
}

fn serve(address: &str, count: &str) -> Result<String> {
    let listener = TcpListener::bind(address, false)?;
    println!("ready");
    let mut bytes = 0;
    for _ in 0..count.parse().expect("a number") {
        let (mut stream, _) = listener.accept(false)?;
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

fn send(address: &str, text: &str) -> Result<String> {
    let any = if address.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" };
    let socket = UdpSocket::bind(any)?;
    socket.send_to(text.as_bytes(), address)?;
    let mut buffer = [0; 65_536];
    let (length, from) = socket.recv_from(&mut buffer)?;
    Ok(format!("{} from {from}", String::from_utf8_lossy(&buffer[..length])))
}

fn receive(address: &str, count: &str) -> Result<String> {
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
