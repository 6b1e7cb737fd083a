"""Uses a database server by its usual Python client, and prints what came of it.

    redis ADDRESS
    postgres ADDRESS USER PASSWORD
"""

# What the clients import when they are used: only what was imported in the build is there.
import secrets
import sys

import pg8000.dbapi
import redis
from wit_world import exports


class Run(exports.Run):
    def run(self) -> None:
        verb, address, *account = sys.argv[1:]
        host, port = address.rsplit(":", 1)
        try:
            if verb == "redis":
                talk_to_redis(host, int(port))
            else:
                talk_to_postgres(host, int(port), *account)
        except (redis.RedisError, pg8000.dbapi.Error) as error:
            print(code(error))
            sys.exit(1)


def code(error: Exception) -> str:
    """What the server called it; else, what it was."""
    if error.args and isinstance(error.args[0], dict):
        return error.args[0]["C"]
    return str(error)


def talk_to_redis(host: str, port: int) -> None:
    client = redis.Redis(host, port)
    client.set("greeting", "hello")
    print("greeting:", client.get("greeting").decode())
    for _ in range(3):
        client.incr("counter")
    print("counter:", int(client.get("counter")))
    # A thousand commands in one go, and their answers.
    with client.pipeline() as commands:
        for number in range(1000):
            commands.rpush("list", number)
        commands.execute()
    print("list:", sum(map(int, client.lrange("list", 0, -1))))
    large = b"x" * (1 << 20)
    client.set("large", large)
    back = client.get("large")
    print("large:", len(back), str(back == large).lower())
    print("nothing:", str(client.blpop("nobody", 0.1) is None).lower())
    try:
        client.incr("list")
    except redis.ResponseError as error:
        print("wrong:", str(error).split()[0])
    # The server waits for longer than the client does.
    try:
        redis.Redis(host, port, socket_timeout=0.1, retry=None).blpop("nobody", 30)
    except redis.TimeoutError:
        print("timeout: true")
    listener = client.pubsub(ignore_subscribe_messages=True)
    listener.subscribe("news")
    for text in ["first", "second"]:
        client.publish("news", text)
    messages = (message["data"].decode() for message in listener.listen() if message)
    print("news:", next(messages), next(messages))


def talk_to_postgres(host: str, port: int, user: str, password: str) -> None:
    # CPython has no `ssl` here.
    connection = pg8000.dbapi.connect(
        user, host=host, port=port, password=password, database="postgres", ssl_context=False
    )
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE animals (id int PRIMARY KEY, name text NOT NULL, legs int, mass float8)")
    insert = "INSERT INTO animals VALUES (%s, %s, %s, %s)"
    cursor.executemany(insert, [(1, "cat", 4, 4.5), (2, "Käfer", 6, 0.001), (3, "snake", None, 2.0)])
    connection.commit()
    cursor.execute("DELETE FROM animals")
    connection.rollback()
    cursor.execute("SELECT name, legs, mass FROM animals ORDER BY id")
    for name, legs, mass in cursor.fetchall():
        print(f"{name}: {'no' if legs is None else legs} legs, {mass:g} kg")
    try:
        cursor.execute(insert, (1, "dog", 4, 9.0))
    except pg8000.dbapi.Error as error:
        print("twice:", code(error))
    connection.rollback()
    # Many rows, and one that is large.
    cursor.execute("SELECT n FROM generate_series(1, 20000) AS n")
    rows = cursor.fetchall()
    print("rows:", len(rows), sum(number for number, in rows))
    large = "x" * (1 << 20)
    cursor.execute("SELECT upper(%s::text)", (large,))
    print("large:", len(large), str(cursor.fetchone()[0] == large.upper()).lower())
