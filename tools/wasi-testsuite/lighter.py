"""Runs WebAssembly/wasi-testsuite on Lighter.

    run-tests -r tools/wasi-testsuite/lighter.py

The program is `lighter` on PATH, or what the environment variable LIGHTER names. docs/conformance.md says more.
"""

import os
import shlex
import subprocess

LIGHTER = shlex.split(os.environ.get("LIGHTER", "lighter"))

# Grants for the tests of sockets: the guest binds any port of the loopback device, reachable unchanged.
LOOPBACK = ["--network", "host", "--allow-net", "127.0.0.0/8", "--allow-net", "[::1]"]


def get_name():
    return "lighter"


def get_version():
    result = subprocess.run(LIGHTER + ["version"], encoding="utf-8", capture_output=True, check=True)
    # The first line is "lighter VERSION" and perhaps more words.
    words = result.stdout.split()
    return words[1] if len(words) > 1 else "unknown"


def get_wasi_versions():
    return ["wasm32-wasip1", "wasm32-wasip3"]


def get_wasi_worlds():
    # `wasi:http/service` comes with `lighter serve`.
    return ["wasi:cli/command"]


def get_timeout_seconds():
    # The first run of a test compiles it.
    return 30


def compute_argv(test_path, args_env_root, proposals, wasi_world, wasi_version):
    arguments, environment, root = args_env_root
    argv = LIGHTER + ["run"]
    for name, value in environment.items():
        argv += ["-e", f"{name}={value}"]
    if root is not None:
        argv += ["-v", f"{root}:/"]
    if "sockets" in proposals:
        argv += LOOPBACK
    return argv + [str(test_path)] + list(arguments)
