"""The turns of `benches/http`, which has made the programs."""

import os
import re
import signal
import socket
import subprocess
import time
from statistics import median

from report import promises, table

LIGHTER, WASMTIME, ROUNDS = os.environ['LIGHTER'], os.environ['WASMTIME'], int(os.environ['ROUNDS'])
SERVER, CLIENT = ['taskset', '-c', '0'], ['taskset', '-c', '1']
SECONDS = 3
SENT = 2000
UNITS = {'us': 1e-3, 'ms': 1, 's': 1e3}


def free_port():
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        return listener.getsockname()[1]


def first_answer(port):
    """Waits for the first answer."""
    request = b'GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'
    while True:
        try:
            with socket.create_connection(('127.0.0.1', port)) as stream:
                stream.sendall(request)
                if stream.recv(4096):
                    return
        except ConnectionError:
            pass


class Server:
    """A server, until it is left."""

    def __init__(self, name, reuse=1):
        self.port = free_port()
        own = [LIGHTER, 'run', '-p', f'127.0.0.1:{self.port}:80', '--reuse', str(reuse), 'http-guest.wasm']
        peer = [WASMTIME, 'serve', '--allow-precompiled', '-S', 'cli', '--addr', f'127.0.0.1:{self.port}',
                '--max-instance-reuse-count', str(reuse), 'http-guest.cwasm']
        self.command = own if name == 'lighter' else peer

    def __enter__(self):
        self.begin = time.perf_counter()
        quiet = {'stdout': subprocess.DEVNULL, 'stderr': subprocess.DEVNULL, 'stdin': subprocess.DEVNULL}
        self.process = subprocess.Popen(SERVER + self.command, **quiet)
        first_answer(self.port)
        self.seconds = time.perf_counter() - self.begin
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        self.process.wait()

    def load(self, path, connections):
        """Requests in a second, and milliseconds within which 99 of 100 were answered."""
        command = ['wrk', '-t1', f'-c{connections}', f'-d{SECONDS}s', '--latency', f'http://127.0.0.1:{self.port}{path}']
        text = subprocess.run(CLIENT + command, check=True, capture_output=True, text=True).stdout
        assert 'Non-2xx' not in text, text
        tail, unit = re.search(r'99%\s+([\d.]+)(us|ms|s)', text).groups()
        return float(re.search(r'Requests/sec:\s+([\d.]+)', text)[1]), float(tail) * UNITS[unit]


def turns(measure):
    """What both come to, taking turns."""
    rounds = {'lighter': [], 'wasmtime': []}
    for _ in range(ROUNDS):
        for name, numbers in rounds.items():
            numbers.append(measure(name))
    return rounds


def served(path, connections, reuse):
    def measure(name):
        with Server(name, reuse) as server:
            server.load(path, connections)
            return server.load(path, connections)
    return {name: [median(column) for column in zip(*rows)] for name, rows in turns(measure).items()}


def started(name):
    with Server(name) as server:
        return server.seconds * 1e3


def sent(port):
    """Microseconds of a request to the outside, beyond the start."""
    def measure(name):
        grant = ['run', '--allow-net', f'http://127.0.0.1:{port}', 'requests-guest.wasm']
        command = [LIGHTER, *grant] if name == 'lighter' else [
            WASMTIME, 'run', '--allow-precompiled', '-S', 'http', 'requests-guest.cwasm']
        times = []
        for count in (1, SENT + 1):
            words = ['times', str(count), f'http://127.0.0.1:{port}/']
            begin = time.perf_counter()
            done = subprocess.run(SERVER + command + words, check=True, capture_output=True, text=True)
            times.append(time.perf_counter() - begin)
            assert f': {count}' in done.stdout, done.stdout
        return (times[1] - times[0]) / SENT * 1e6
    return measure


def main():
    rows, kept = [], []
    for path, connections, reuse, least in [
        ('/hello', 16, 1, 2.2), ('/hello', 64, 1, 2.2), ('/body?10000', 16, 1, 2.2), ('/body?1000000', 16, 1, 2.2),
        ('/hello', 16, 128, 1.2),
    ]:
        what = f'{path}, {connections} connections' + ('' if reuse == 1 else f', reused {reuse} times')
        numbers = served(path, connections, reuse)
        (own, own_tail), (peer, peer_tail) = numbers['lighter'], numbers['wasmtime']
        rows.append((what, f'{own:.0f}', f'{peer:.0f}', f'{own_tail:.2f}', f'{peer_tail:.2f}'))
        kept.append((f'answers, {what}', own / peer, least, True))
        kept.append((f'the slowest of 100, {what}', own_tail / peer_tail, 1, False))
    table(('a second', 'Lighter', 'wasmtime serve', 'p99, ms', 'of wasmtime'), rows)
    starts = {name: median(times) for name, times in turns(started).items()}
    table(('ms', 'Lighter', 'wasmtime'), [('to the first answer', *(f'{time:.2f}' for time in starts.values()))])
    kept.append(('to the first answer', starts['lighter'] / starts['wasmtime'], 0.4, False))
    with open('nginx.conf', 'w', encoding='ascii') as file:
        port = free_port()
        file.write('daemon off; master_process off; pid pid; error_log stderr crit; events {}\n'
                   f'http {{ access_log off; keepalive_requests 1000000; server {{ listen 127.0.0.1:{port}; '
                   'location / { return 200 "hello"; } } }\n')
    nginx = subprocess.Popen(CLIENT + ['nginx', '-p', os.getcwd(), '-c', 'nginx.conf', '-e', 'stderr'])
    try:
        first_answer(port)
        requests = {name: median(times) for name, times in turns(sent(port)).items()}
    finally:
        nginx.kill()
        nginx.wait()
    table(('us', 'Lighter', 'wasmtime'), [('a request to the outside', *(f'{time:.1f}' for time in requests.values()))])
    promises(kept)


main()
