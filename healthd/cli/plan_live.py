"""Plans that the daemon makes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from healthd.cli.client import DaemonClient, path_of


class Plans:
    """Asks one daemon for plans."""

    def __init__(self, server: str, token_file: Path | None) -> None:
        self._client = DaemonClient(server, token_file)

    def plan_of(self, cluster: str, question: Mapping[str, Any]) -> Any:
        """The plan of one cluster as the daemon sees it."""
        return self._client.get(path_of("clusters", cluster, "plan"), **question)
