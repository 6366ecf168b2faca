"""Files for the configuration tests."""

from collections.abc import Callable
from pathlib import Path

import pytest

WriteFile = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> WriteFile:
    """Writes a file into the test's folder: `write(name, content, mode=0o600)`."""

    def _write(name: str, content: str | bytes = "", mode: int = 0o600) -> Path:
        file = tmp_path / name
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        file.chmod(mode)
        return file

    return _write
