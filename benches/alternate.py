"""Runs commands that do the same in turns, and prints for each row minimum, median, peak memory and ratios.

    alternate.py ROUNDS NUMBERS [NUMBER=LIMIT]... < rows

A row is `ROW <tab> ENGINE <tab> COMMAND`; those of one ROW are compared, the first with each other. NUMBERS is
`time` or `time,memory`; a limit is what the ratio of the minima promises. BEFORE in the environment is a command
of the shell that is run before each, untimed. All commands of a row must print the same the first time, which
is not counted.
"""

import os
import shlex
import subprocess
import sys
import time
from statistics import median

from report import milliseconds, promises, table


def run(command, stdout):
    """Seconds and the peak of the resident memory, in MiB, of the largest process that the command starts."""
    if 'BEFORE' in os.environ:
        subprocess.run(os.environ['BEFORE'], shell=True, check=True)
    errors = os.memfd_create('errors')
    files = [
        (os.POSIX_SPAWN_OPEN, 0, '/dev/null', os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, stdout, 1),
        (os.POSIX_SPAWN_DUP2, errors, 2),
    ]
    begin = time.perf_counter()
    pid = os.posix_spawn(command[0], command, os.environ, file_actions=files)
    # What is reported of a child is also that of all children it waited for: the most that one of them held.
    _, status, usage = os.wait4(pid, 0)
    seconds = time.perf_counter() - begin
    said = os.pread(errors, 1 << 20, 0).decode(errors='replace')
    os.close(errors)
    if status != 0:
        raise SystemExit(f'{shlex.join(command)} ended with status {status:#x}\n{said}')
    return seconds, usage.ru_maxrss / 1024


def printed(command):
    readable = os.memfd_create('printed')
    try:
        run(command, readable)
        return os.pread(readable, 1 << 20, 0)
    finally:
        os.close(readable)


def main():
    rounds, numbers = int(sys.argv[1]), sys.argv[2].split(',')
    limits = dict(pair.rsplit('=', 1) for pair in sys.argv[3:])
    rows = {}
    for line in sys.stdin:
        row, engine, command = line.rstrip('\n').split('\t')
        rows.setdefault(row, {})[engine] = shlex.split(command)
    null = os.open('/dev/null', os.O_WRONLY)
    measured = {}
    for row, engines in rows.items():
        outputs = {engine: printed(command) for engine, command in engines.items()}
        if len(set(outputs.values())) > 1:
            raise SystemExit(f'{row}: the outputs differ: {outputs}')
        for _ in range(rounds):
            for engine, command in engines.items():
                measured.setdefault((row, engine), []).append(run(command, null))
    for index, number in enumerate(['time', 'memory']):
        if number in numbers:
            show(rows, measured, index, number, limits)


def show(rows, measured, index, number, limits):
    words, kept = [], []
    write = milliseconds if number == 'time' else lambda mebibytes: f'{mebibytes:.1f}'
    for row, engines in rows.items():
        first, *others = engines
        values = {engine: [result[index] for result in measured[row, engine]] for engine in engines}
        cells = [cell for engine in engines for cell in (write(min(values[engine])), write(median(values[engine])))]
        for other in others:
            least = min(values[first]) / min(values[other])
            cells += [f'{least:.3f}', f'{median(values[first]) / median(values[other]):.3f}']
            limit = limits.get(number)
            if limit:
                kept.append((f'{row}: {number} of {first} / {other}, min', least, float(limit), False))
        words.append((row, *cells))
    engines = max(rows.values(), key=len)
    heads = [head for engine in engines for head in (f'{engine}: min', 'median')]
    heads += [head for _ in list(engines)[1:] for head in ('ratio: min', 'median')]
    width = len(heads) + 1
    unit = 'milliseconds' if number == 'time' else 'MiB'
    table((unit, *heads), [(*row, *[''] * (width - len(row))) for row in words])
    promises(kept)


main()
