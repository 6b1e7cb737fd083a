//! Uses a PostgreSQL server by the crate `tokio-postgres`, over tokio's sockets, and prints what came of it.
//!
//!     postgres-client ADDRESS USER PASSWORD

use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_postgres::{Client, Config, Error, NoTls};

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [address, user, password] = &words[..] else {
        panic!("unknown words: {words:?}");
    };
    let mut config = Config::new();
    config.user(user).password(password).dbname("postgres");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    if let Err(said) = runtime.block_on(talk(address, &config)) {
        println!("{said}");
        std::process::exit(1);
    }
}

async fn talk(address: &str, config: &Config) -> Result<(), String> {
    let mut client = connect(address, config).await?;
    let other = connect(address, config).await?;
    tables(&mut client).await.map_err(said)?;
    amounts(&client).await.map_err(said)?;
    println!("other connection: {}", waits(&client, &other).await.map_err(said)?);
    Ok(())
}

async fn connect(address: &str, config: &Config) -> Result<Client, String> {
    let stream = TcpStream::connect(address).await.map_err(|error| format!("{:?}", error.kind()))?;
    let (client, connection) = config.connect_raw(stream, NoTls).await.map_err(said)?;
    tokio::task::spawn(connection);
    Ok(client)
}

/// An error by the code that the server gave it, where it comes from there.
fn said(error: Error) -> String {
    match error.code() {
        Some(code) => code.code().to_owned(),
        None => format!("{error:?}"),
    }
}

async fn tables(client: &mut Client) -> Result<(), Error> {
    client.batch_execute("CREATE TABLE animals (id int PRIMARY KEY, name text NOT NULL, legs int, mass float8)").await?;
    let insert = client.prepare("INSERT INTO animals VALUES ($1, $2, $3, $4)").await?;
    let transaction = client.transaction().await?;
    transaction.execute(&insert, &[&1, &"cat", &Some(4), &4.5]).await?;
    transaction.execute(&insert, &[&2, &"Käfer", &Some(6), &0.001]).await?;
    transaction.execute(&insert, &[&3, &"snake", &None::<i32>, &2.0]).await?;
    transaction.commit().await?;
    let forgotten = client.transaction().await?;
    forgotten.execute("DELETE FROM animals", &[]).await?;
    forgotten.rollback().await?;
    for row in client.query("SELECT name, legs, mass FROM animals ORDER BY id", &[]).await? {
        let (name, legs, mass): (&str, Option<i32>, f64) = (row.get(0), row.get(1), row.get(2));
        println!("{name}: {} legs, {mass} kg", legs.map_or("no".to_owned(), |legs| legs.to_string()));
    }
    let twice = client.execute(&insert, &[&1, &"dog", &Some(4), &9.0]).await;
    println!("twice: {}", twice.err().map(said).unwrap_or_default());
    Ok(())
}

/// Many rows, and one that is large.
async fn amounts(client: &Client) -> Result<(), Error> {
    let rows = client.query("SELECT n FROM generate_series(1, 20000) AS n", &[]).await?;
    println!("rows: {} {}", rows.len(), rows.iter().map(|row| row.get::<_, i32>(0)).sum::<i32>());
    let large = "x".repeat(1 << 20);
    let back = client.query_one("SELECT upper($1::text)", &[&large]).await?;
    println!("large: {} {}", large.len(), back.get::<_, &str>(0) == large.to_uppercase());
    Ok(())
}

/// One connection waits for a lock of the other's, at first no longer than a timer lets it.
async fn waits(one: &Client, other: &Client) -> Result<&'static str, Error> {
    let (lock, unlock) = ("SELECT pg_advisory_lock(1)", "SELECT pg_sleep(0.1), pg_advisory_unlock(1)");
    one.batch_execute(lock).await?;
    let waiting = other.batch_execute(lock);
    tokio::pin!(waiting);
    if timeout(Duration::from_millis(100), &mut waiting).await.is_ok() {
        return Ok("got a lock that is taken");
    }
    tokio::try_join!(one.batch_execute(unlock), waiting)?;
    Ok("got the lock in the end")
}
