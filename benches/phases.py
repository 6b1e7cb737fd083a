"""Runs ROUNDS warm starts in ./ under trace events, and prints how long each phase of them takes."""

import os
import re
import time
from statistics import median

from report import table

TRACING = '/sys/kernel/tracing/'
SHELL, KEEPER, RUNNER = range(3)
# What ends each phase: whose event it is, which, and how its words begin. The first one in time counts.
PHASES = [
    ('the shell forks', KEEPER, 'sched_process_fork', ''),
    ('exec of the keeper', KEEPER, 'sched_process_exec', ''),
    ('its start; the command line', KEEPER, 'sys_open', ''),
    ('settings; the program and its code are found; streams', KEEPER, 'sys_socketpair', ''),
    ('a process in a process namespace of its own', RUNNER, 'sched_process_fork', ''),
    ('root and user id of its own; exec of the runner', RUNNER, 'sched_process_exec', ''),
    ('its start; its order', RUNNER, 'sys_prlimit64', ''),
    ('the lock: limits, Landlock', RUNNER, 'sys_seccomp', ''),
    ('the lock: system calls', RUNNER, 'sys_seccomp -> ', ''),
    ('the engine; the code is mapped', RUNNER, 'sys_prctl', 'option: 0x41,'),
    ('the code is sealed; the instance is made; the guest runs', RUNNER, 'sys_writev', ''),
    ('it writes its line; its last word', RUNNER, 'sys_exit_group', ''),
    ('the end of the runner', KEEPER, 'sys_waitid -> ', ''),
    ('the end of the keeper', KEEPER, 'sys_exit_group', ''),
    ('the shell has waited for it', SHELL, 'sys_wait4 -> ', ''),
]
EVENTS = ['sched/sched_process_fork', 'sched/sched_process_exec', 'syscalls/sys_exit_seccomp'] + [
    f'syscalls/sys_{event}'
    for event in (
        'enter_open enter_socketpair enter_prlimit64 enter_seccomp enter_prctl enter_writev enter_exit_group'
        ' exit_waitid exit_wait4'
    ).split()
]


def write(name, text):
    with open(TRACING + name, 'w', encoding='ascii') as file:
        file.write(text)


def run(command, null):
    """Microseconds from before the fork to after the wait."""
    begin = time.perf_counter()
    pid = os.posix_spawn(command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, null, 1)])
    os.waitpid(pid, 0)
    return (time.perf_counter() - begin) * 1e6


def traced(command, null):
    """The events of a run: microseconds, process, name and words."""
    write('trace', '')
    write('tracing_on', '1')
    run(command, null)
    write('tracing_on', '0')
    with open(TRACING + 'trace', encoding='ascii') as file:
        lines = re.findall(r'-(\d+) +\[\d+\] \S+ +([\d.]+): (\w+(?: -> |))\(?:? ?(.*)', file.read())
    return [(float(seconds) * 1e6, int(process), name, words) for process, seconds, name, words in lines]


def phases(events):
    """How long each phase took, in microseconds; nothing if an event was lost."""
    shell = os.getpid()
    forks = [(time, int(re.search(r'child_pid=(\d+)', words)[1])) for time, _, name, words in events
             if name == 'sched_process_fork']
    if len(forks) != 2:
        return None
    processes = [shell, forks[0][1], forks[1][1]]
    times = []
    for _, who, name, words in PHASES:
        if name == 'sched_process_fork':
            times.append(forks[who - 1][0])
            continue
        after = times[-1]
        found = [
            time for time, process, event, said in events
            if process == processes[who] and event == name and said.startswith(words) and time >= after
        ]
        if not found:
            return None
        times.append(found[0])
    return [after - before for before, after in zip(times, times[1:])]


def main():
    rounds = int(os.environ['ROUNDS'])
    null = os.open('/dev/null', os.O_WRONLY)
    hello = ['./lighter', 'run', 'hello.wat']
    for name, text in [('tracing_on', '0'), ('trace_clock', 'mono'), ('buffer_size_kb', '512'),
                       ('options/event-fork', '1'), ('set_event_pid', str(os.getpid()))]:
        write(name, text)
    for event in EVENTS:
        write(f'events/{event}/enable', '1')
    try:
        measured = [found for _ in range(rounds) if (found := phases(traced(hello, null)))]
    finally:
        for event in EVENTS:
            write(f'events/{event}/enable', '0')
        write('set_event_pid', '')
        write('options/event-fork', '0')
        write('trace', '')
    if len(measured) < rounds / 2:
        raise SystemExit(f'only {len(measured)} of {rounds} starts had all events that mark a phase')
    rows, total = [], 0.0
    for (what, *_), times in zip(PHASES[1:], zip(*measured)):
        total += median(times)
        rows.append((what, f'{min(times):.0f}', f'{median(times):.0f}', f'{total:.0f}'))
    table(('microseconds', 'min', 'median', 'sum'), rows)
    whole = [(name, [run(command, null) for _ in range(rounds)])
             for name, command in [('the whole start, without trace events', hello),
                                   ('the floor: an empty static program', ['./empty'])]]
    table(('microseconds', 'min', 'median'),
          [(name, f'{min(times):.0f}', f'{median(times):.0f}') for name, times in whole])


main()
