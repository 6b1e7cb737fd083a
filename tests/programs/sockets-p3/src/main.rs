//! Uses `wasi:sockets` 0.3 as its arguments say, and prints what came of it. Every address is an argument.
//!
//!     connect ADDRESS TEXT   sends TEXT, prints what comes back
//!     serve ADDRESS COUNT    takes COUNT connections, one after the other, and echoes each to its end
//!     send ADDRESS TEXT      the same as connect, in datagrams
//!     send-connected         the same by a socket that is connected
//!     receive ADDRESS COUNT  echoes COUNT datagrams
//!     own ADDRESS TEXT       listens, connects to itself, prints what arrives
//!     own-datagrams ADDRESS TEXT   binds, sends to itself, prints what comes back to the sender
//!     serve-both FIRST SECOND COUNT   listens on two, takes COUNT connections of both and echoes each
//!     lookup NAME            prints the name's addresses
//!     relay ADDRESS TO       passes connections and datagrams on to TO, and what comes back, for ever
//!     hold ADDRESS COUNT     takes so many connections and keeps them until the first one ends

use std::cell::Cell;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use wasip3::cli::environment;
use wasip3::sockets::ip_name_lookup::resolve_addresses;
use wasip3::sockets::types::{
    ErrorCode, IpAddress, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress, TcpSocket, UdpSocket,
};
use wasip3::wit_bindgen::spawn_local;
use wasip3::wit_stream;

wasip3::cli::command::export!(Sockets);

struct Sockets;

type Answer<T> = Result<T, ErrorCode>;

fn main() {
    println!("the export of 0.2 was called");
}

impl wasip3::exports::cli::run::Guest for Sockets {
    async fn run() -> Result<(), ()> {
        let words: Vec<String> = environment::get_arguments().into_iter().skip(1).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let done = match words[..] {
            ["connect", to, text] => connect(to, text).await,
            ["serve", at, count] => serve(at, count).await,
            ["send", to, text] => send(to, text, false).await,
            ["send-connected", to, text] => send(to, text, true).await,
            ["receive", at, count] => receive(at, count).await,
            ["own", at, text] => own(at, text).await,
            ["own-datagrams", at, text] => own_datagrams(at, text).await,
            ["serve-both", first, second, count] => serve_both(&[first, second], count).await,
            ["lookup", name] => return lookup(name).await,
            ["relay", at, to] => relay(at, to).await,
            ["hold", at, count] => hold(at, count).await,
            _ => panic!("unknown words: {words:?}"),
        };
        match done {
            Ok(text) => {
                println!("{text}");
                Ok(())
            }
            Err(error) => {
                println!("{error:?}");
                Err(())
            }
        }
    }
}

fn parse(text: &str) -> (IpSocketAddress, IpAddressFamily) {
    match text.parse().expect("an address") {
        SocketAddr::V4(address) => {
            let [a, b, c, d] = address.ip().octets();
            let address = Ipv4SocketAddress {
                port: address.port(),
                address: (a, b, c, d),
            };
            (IpSocketAddress::Ipv4(address), IpAddressFamily::Ipv4)
        }
        SocketAddr::V6(address) => {
            let [a, b, c, d, e, f, g, h] = address.ip().segments();
            let address = Ipv6SocketAddress {
                port: address.port(),
                flow_info: 0,
                address: (a, b, c, d, e, f, g, h),
                scope_id: 0,
            };
            (IpSocketAddress::Ipv6(address), IpAddressFamily::Ipv6)
        }
    }
}

/// Writes all, and says that it was all.
async fn write(socket: &TcpSocket, bytes: Vec<u8>) -> Answer<()> {
    let (mut writer, reader) = wit_stream::new();
    let sent = socket.send(reader);
    let rest = writer.write_all(bytes).await;
    assert!(rest.is_empty(), "the stream takes all");
    drop(writer);
    sent.await
}

async fn read(socket: &TcpSocket) -> Answer<Vec<u8>> {
    let (mut reader, received) = socket.receive();
    let mut all = Vec::new();
    loop {
        let (status, bytes) = reader.read(Vec::with_capacity(4096)).await;
        all.extend(bytes);
        if matches!(status, wasip3::wit_bindgen::StreamResult::Dropped) {
            break;
        }
    }
    received.await?;
    Ok(all)
}

async fn connect(to: &str, text: &str) -> Answer<String> {
    let (address, family) = parse(to);
    let socket = TcpSocket::create(family)?;
    socket.connect(address).await?;
    write(&socket, text.into()).await?;
    Ok(String::from_utf8_lossy(&read(&socket).await?).into_owned())
}

async fn serve(at: &str, count: &str) -> Answer<String> {
    let (address, family) = parse(at);
    let socket = TcpSocket::create(family)?;
    socket.bind(address)?;
    let mut connections = socket.listen()?;
    println!("ready");
    let mut bytes = 0;
    for _ in 0..count.parse().expect("a number") {
        let connection = connections.next().await.expect("it listens");
        let heard = read(&connection).await?;
        bytes += heard.len();
        write(&connection, heard).await?;
    }
    Ok(format!("{bytes} bytes"))
}

async fn send(to: &str, text: &str, is_connected: bool) -> Answer<String> {
    let (address, family) = parse(to);
    let socket = UdpSocket::create(family)?;
    if is_connected {
        socket.connect(address)?;
        socket.send(text.into(), None).await?;
    } else {
        socket.send(text.into(), Some(address)).await?;
    }
    let (bytes, _) = socket.receive().await?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

async fn receive(at: &str, count: &str) -> Answer<String> {
    let (address, family) = parse(at);
    let socket = UdpSocket::create(family)?;
    socket.bind(address)?;
    println!("ready");
    let mut length = 0;
    for _ in 0..count.parse().expect("a number") {
        let (bytes, from) = socket.receive().await?;
        length += bytes.len();
        socket.send(bytes, Some(from)).await?;
    }
    Ok(format!("{length} bytes"))
}

async fn own(at: &str, text: &str) -> Answer<String> {
    let (address, family) = parse(at);
    let listener = TcpSocket::create(family)?;
    listener.bind(address)?;
    let mut connections = listener.listen()?;
    let client = TcpSocket::create(family)?;
    client.connect(address).await?;
    let connection = connections.next().await.expect("it listens");
    write(&client, text.into()).await?;
    Ok(String::from_utf8_lossy(&read(&connection).await?).into_owned())
}

async fn relay(at: &str, to: &str) -> Answer<String> {
    let (address, family) = parse(at);
    let (to, to_family) = parse(to);
    let outside = UdpSocket::create(family)?;
    outside.bind(address)?;
    let inside = UdpSocket::create(to_family)?;
    inside.connect(to)?;
    spawn_local(relay_datagrams(Rc::new(outside), Rc::new(inside)));
    let listener = TcpSocket::create(family)?;
    listener.bind(address)?;
    let mut connections = listener.listen()?;
    println!("ready");
    while let Some(outside) = connections.next().await {
        spawn_local(async move {
            let inside = TcpSocket::create(to_family).expect("it may");
            if inside.connect(to).await.is_err() {
                return;
            }
            let (from_outside, outside_ended) = outside.receive();
            let (from_inside, inside_ended) = inside.receive();
            let forth = inside.send(from_outside);
            let back = outside.send(from_inside);
            // Whoever ends one direction may still hear the other.
            let _ = (forth.await, back.await, outside_ended.await, inside_ended.await);
        });
    }
    Ok("over".to_owned())
}

/// Passes datagrams on for whoever sent the last one.
async fn relay_datagrams(outside: Rc<UdpSocket>, inside: Rc<UdpSocket>) {
    let client = Rc::new(Cell::new(None));
    let (back_to, from, to) = (Rc::clone(&client), Rc::clone(&inside), Rc::clone(&outside));
    spawn_local(async move {
        loop {
            // Nobody may be there yet, which the socket is told.
            if let Ok((bytes, _)) = from.receive().await {
                let _ = to.send(bytes, back_to.get()).await;
            }
        }
    });
    loop {
        if let Ok((bytes, sender)) = outside.receive().await {
            client.set(Some(sender));
            let _ = inside.send(bytes, None).await;
        }
    }
}

async fn hold(at: &str, count: &str) -> Answer<String> {
    let (address, family) = parse(at);
    let socket = TcpSocket::create(family)?;
    socket.bind(address)?;
    let mut connections = socket.listen()?;
    println!("ready");
    let mut held = Vec::new();
    for _ in 0..count.parse().expect("a number") {
        held.push(connections.next().await.expect("it listens"));
    }
    println!("held");
    read(held.first().expect("at least one")).await?;
    Ok("over".to_owned())
}

async fn own_datagrams(at: &str, text: &str) -> Answer<String> {
    let (address, family) = parse(at);
    let server = UdpSocket::create(family)?;
    server.bind(address)?;
    assert_eq!(format!("{:?}", server.get_local_address()?), format!("{address:?}"));
    let client = UdpSocket::create(family)?;
    client.send(text.into(), Some(address)).await?;
    let (bytes, from) = server.receive().await?;
    server.connect(from)?;
    server.send(bytes, None).await?;
    let (bytes, from) = client.receive().await?;
    assert_eq!(format!("{from:?}"), format!("{address:?}"));
    // Another one is heard as well, once it is not for the first alone.
    server.disconnect()?;
    let other = UdpSocket::create(family)?;
    other.connect(address)?;
    other.send(b"other".to_vec(), None).await?;
    let (heard, from) = server.receive().await?;
    server.send(heard, Some(from)).await?;
    assert_eq!(other.receive().await?.0, b"other");
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

async fn serve_both(addresses: &[&str], count: &str) -> Answer<String> {
    // Its own two, of each family, are among them.
    let count = count.parse::<u32>().expect("a number") + 2;
    let taken = Rc::new(Cell::new(0));
    for at in addresses {
        let (address, family) = parse(at);
        let socket = TcpSocket::create(family)?;
        socket.bind(address)?;
        assert_eq!(format!("{:?}", socket.get_local_address()?), format!("{address:?}"));
        let mut connections = socket.listen()?;
        let taken = Rc::clone(&taken);
        spawn_local(async move {
            let _socket = socket;
            while let Some(connection) = connections.next().await {
                let heard = read(&connection).await.expect("it is connected");
                write(&connection, heard).await.expect("it is connected");
                taken.set(taken.get() + 1);
            }
        });
    }
    let (IpSocketAddress::Ipv4(Ipv4SocketAddress { port, .. }) | IpSocketAddress::Ipv6(Ipv6SocketAddress { port, .. })) =
        parse(addresses[0]).0;
    for own in [format!("127.0.0.1:{port}"), format!("[::1]:{port}")] {
        assert_eq!(connect(&own, "own").await?, "own");
    }
    println!("ready");
    while taken.get() < count {
        wasip3::clocks::monotonic_clock::wait_for(1_000_000).await;
    }
    // Whoever was last still hears the rest.
    wasip3::clocks::monotonic_clock::wait_for(100_000_000).await;
    Ok("over".to_owned())
}

async fn lookup(name: &str) -> Result<(), ()> {
    let addresses = match resolve_addresses(name.to_owned()).await {
        Ok(addresses) => addresses,
        Err(error) => {
            println!("{error:?}");
            return Err(());
        }
    };
    let texts: Vec<String> = addresses
        .into_iter()
        .map(|address| match address {
            IpAddress::Ipv4((a, b, c, d)) => IpAddr::from(Ipv4Addr::new(a, b, c, d)).to_string(),
            IpAddress::Ipv6((a, b, c, d, e, f, g, h)) => {
                IpAddr::from(Ipv6Addr::new(a, b, c, d, e, f, g, h)).to_string()
            }
        })
        .collect();
    println!("{}", texts.join(" "));
    Ok(())
}
