"""A TCP relay before an exporter, so that the exporter can be gone while its broker runs.

Run by the supervisor of a host as ``python relay.py LISTEN_HOST:PORT TARGET_HOST:PORT``: taking the
service down refuses connections, as a crashed exporter would. Standard library only.
"""

from __future__ import annotations

import contextlib
import socket
import socketserver
import sys
import threading

CHUNK_BYTES = 65_536


class _Handler(socketserver.BaseRequestHandler):
    """Carries bytes both ways until either side has had enough."""

    target: tuple[str, int]

    def handle(self) -> None:
        with contextlib.suppress(OSError), socket.create_connection(self.target) as upstream:
            back = threading.Thread(target=_carry, args=(upstream, self.request), daemon=True)
            back.start()
            _carry(self.request, upstream)
            back.join()


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64


def _carry(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(CHUNK_BYTES):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


def main(listen: str, target: str) -> None:
    """Relays until it is killed."""
    handler = type("Handler", (_Handler,), {"target": _address(target)})
    with _Server(_address(listen), handler) as server:
        server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
