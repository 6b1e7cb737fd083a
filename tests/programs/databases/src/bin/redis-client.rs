//! Uses a Redis server by the crate `redis`, and prints what came of it.
//!
//!     redis-client ADDRESS

use redis::{Commands, Connection, RedisResult, pipe};
use std::time::Duration;

fn main() {
    let address = std::env::args().nth(1).expect("an address");
    if let Err(error) = talk(&address) {
        println!("{error}");
        std::process::exit(1);
    }
}

fn talk(address: &str) -> RedisResult<()> {
    let client = redis::Client::open(format!("redis://{address}/"))?;
    let mut connection = client.get_connection()?;
    let () = connection.set("greeting", "hello")?;
    let greeting: String = connection.get("greeting")?;
    println!("greeting: {greeting}");
    for _ in 0..3 {
        let _: i64 = connection.incr("counter", 1)?;
    }
    let counter: i64 = connection.get("counter")?;
    println!("counter: {counter}");
    println!("list: {}", list(&mut connection)?);
    let large = vec![b'x'; 1 << 20];
    let () = connection.set("large", &large)?;
    let back: Vec<u8> = connection.get("large")?;
    println!("large: {} {}", back.len(), back == large);
    let nothing: Option<(String, String)> = connection.blpop("nobody", 0.1)?;
    println!("nothing: {}", nothing.is_none());
    let wrong = connection.incr::<_, _, i64>("list", 1).expect_err("it is a list");
    println!("wrong: {}", wrong.code().unwrap_or_default());
    println!("timeout: {}", is_timeout(&client)?);
    println!("news: {}", news(&client, &mut connection)?);
    Ok(())
}

/// A thousand commands in one go, and their answers.
fn list(connection: &mut Connection) -> RedisResult<i64> {
    let mut commands = pipe();
    commands.atomic();
    for number in 0..1000 {
        commands.rpush("list", number).ignore();
    }
    let () = commands.query(connection)?;
    let numbers: Vec<i64> = connection.lrange("list", 0, -1)?;
    Ok(numbers.iter().sum())
}

/// The server waits for longer than the client does.
fn is_timeout(client: &redis::Client) -> RedisResult<bool> {
    let mut connection = client.get_connection()?;
    connection.set_read_timeout(Some(Duration::from_millis(100)))?;
    let answer = connection.blpop::<_, Option<String>>("nobody", 30.0);
    Ok(answer.is_err_and(|error| error.is_timeout()))
}

/// Two messages from one connection to another.
fn news(client: &redis::Client, connection: &mut Connection) -> RedisResult<String> {
    let mut listener = client.get_connection()?;
    let mut listener = listener.as_pubsub();
    listener.subscribe("news")?;
    for text in ["first", "second"] {
        let () = connection.publish("news", text)?;
    }
    let first: String = listener.get_message()?.get_payload()?;
    let second: String = listener.get_message()?.get_payload()?;
    Ok(format!("{first} {second}"))
}
