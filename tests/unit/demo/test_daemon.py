"""What becomes of a question to a daemon that dies while it answers."""

import socket
import threading
from pathlib import Path

import pytest

from healthd.demo.daemon import DaemonProcess


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", b"HTTP/1.1", b"nonsense\r\n\r\n", b""],
    ids=["half a body", "half a status", "no HTTP", "nothing"],
)
def test_half_an_answer_is_an_os_error_as_no_answer_is(answer: bytes, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        daemon = DaemonProcess(tmp_path / "fleet.yaml", tmp_path)
        (tmp_path / "port").write_text(str(server.getsockname()[1]))

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(answer)

        serving = threading.Thread(target=serve)
        serving.start()
        with pytest.raises(OSError):  # noqa: PT011  # Which one it is depends on where it ends.
            daemon.get("/api/v1/waves")
        serving.join()
