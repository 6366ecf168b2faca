"""What a crash of the daemon, and its files, show to others: nothing."""

import json
import subprocess
import sys

PROGRAM = """
import ctypes, json, os, resource
from healthd.engine.hardening import harden
before = ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)
harden()
mask = os.umask(0)
print(json.dumps({
    "before": before,
    "dumpable": ctypes.CDLL(None).prctl(3, 0, 0, 0, 0),
    "core": resource.getrlimit(resource.RLIMIT_CORE),
    "umask": mask,
}))
"""


def test_no_core_is_dumped_and_new_files_are_the_owner_s_alone() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    told = json.loads(done.stdout)
    assert told == {"before": 1, "dumpable": 0, "core": [0, 0], "umask": 0o077}
