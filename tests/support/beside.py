"""Services beside the brokers of a demo fleet: real runit services on the brokers' hosts.

What their pages say comes from a program of a few lines; where it stands for a Schema Registry it
is a fake, and only its restart is real.
"""

import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from healthd.demo.fleet import DemoFleet
from healthd.demo.provision import find_program
from healthd.demo.service import wait_until

_PROGRAM = """\
import http.server, sys
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == sys.argv[3] else 404)
        self.end_headers()
        self.wfile.write(b"[]")
    def log_message(self, *words):
        pass
http.server.ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Page).serve_forever()
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """A service on the host of one broker."""

    folder: Path
    """What its supervisor watches, and `sv` takes for its name."""
    port: int
    url: str

    @classmethod
    def begin(cls, fleet: DemoFleet, broker: int, *, name: str, port: int, path: str) -> "Beside":
        """The service runs, under the supervisor of the broker's host."""
        node = fleet.node(broker)
        program = node.folder / f"{name}.py"
        program.write_text(_PROGRAM)
        made = node.folder / f"{name}-made"
        made.mkdir()
        run = made / "run"
        command = f"{sys.executable} -I -S {program} {node.host} {port} {path}"
        run.write_text(f"#!/bin/sh\nexec {command}\n")
        run.chmod(0o755)
        # Whole when the supervisor sees it.
        folder = made.rename(node.services_folder / name)
        service = cls(folder=folder, port=port, url=f"http://{node.host}:{port}{path}")
        wait_until(service.answers, f"{name} of broker {broker} answers", 60)
        return service

    def answers(self) -> bool:
        """Whether its page is there."""
        try:
            # Our own http:// on a loopback alias.
            with urllib.request.urlopen(self.url, timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    @property
    def pid(self) -> int:
        """The process id that the supervisor knows."""
        return int((self.folder / "supervise" / "pid").read_text())

    def end(self) -> None:
        """It does not run any more."""
        sv = str(find_program("sv"))
        subprocess.run([sv, "force-stop", str(self.folder)], capture_output=True, check=False)
