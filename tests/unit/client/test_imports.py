"""The clients' package needs the standard library, and confluent-kafka where it talks to Kafka."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = """
import sys
sys.path[:] = [path for path in sys.path if "site-packages" not in path and path]
ALLOWED = {allowed!r}
if ALLOWED:
    # Only confluent-kafka is let in from where the others are installed, too.
    import importlib.machinery, importlib.util
    class Only:
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] in ALLOWED:
                return importlib.machinery.PathFinder.find_spec(name, path or [{packages!r}])
    sys.meta_path.append(Only())
sys.path.insert(0, {root!r})
before = set(sys.modules)
import {module}
tops = {{name.partition(".")[0] for name in set(sys.modules) - before}}
print(*sorted(tops - set(sys.stdlib_module_names)))
print(*sorted(name for name in sys.modules if name.startswith("healthd.")))
"""


@pytest.mark.parametrize(
    ("module", "allowed"),
    [
        ("healthd.client", set()),
        ("healthd.client.producer", {"confluent_kafka"}),
        ("healthd.client.consumer", {"confluent_kafka"}),
    ],
)
def test_it_is_imported_where_nothing_else_is_installed(module: str, allowed: set[str]) -> None:
    import confluent_kafka  # noqa: PLC0415 - only to find where it is.

    packages = str(Path(confluent_kafka.__file__).parents[1])
    program = PROGRAM.format(root=str(ROOT), module=module, allowed=allowed, packages=packages)
    # -S -I: no site-packages at all, and no environment that could bring them in.
    done = subprocess.run(
        [sys.executable, "-S", "-I", "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    foreign, own = done.stdout.splitlines()
    assert set(foreign.split()) <= {"healthd", "cimpl"} | allowed
    assert all(name.startswith("healthd.client") for name in own.split())
