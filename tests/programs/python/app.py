"""Reads every file of a directory with CPython's own library, and says what it found as JSON."""

import hashlib
import json
import os
import sys

from wit_world import exports


class Run(exports.Run):
    def run(self) -> None:
        directory = sys.argv[1]
        found = {}
        for name in sorted(os.listdir(directory)):
            with open(os.path.join(directory, name), "rb") as file:
                content = file.read()
            found[name] = [len(content), hashlib.sha256(content).hexdigest()[:8]]
        print(json.dumps({"platform": sys.platform, "greeting": os.environ.get("GREETING"), "files": found}))
