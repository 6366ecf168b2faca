"""A fake Schema Registry. No real one can be had here; this one is written by its public docs.

``GET /mode`` answers ``{"mode": "READWRITE"}``; ``GET /subjects`` answers a list of names. Errors
are ``{"error_code": ..., "message": ...}`` with an HTTP status: 40403 with 404 for what it does not
know, 50001 with 500 when its store (the topic ``_schemas``) fails.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from aiohttp import web


@dataclass(kw_only=True)
class FakeSchemaRegistry:
    """One instance; ask ``support.http_server.serving`` to serve its ``answer``."""

    mode: str = "READWRITE"
    subjects: list[str] = field(default_factory=list)
    is_store_broken: bool = False
    knows_modes: bool = True
    """Not so before 5.2, nor with other implementations."""
    asked: list[str] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        """What the registry answers."""
        self.asked.append(request.path_qs)
        if self.is_store_broken:
            return _error(500, 50001, "Error in the backend data store")
        if request.path == "/mode" and self.knows_modes:
            return web.json_response({"mode": self.mode})
        if request.path == "/subjects":
            limit = int(request.query.get("limit", "-1"))
            return web.json_response(self.subjects if limit < 0 else self.subjects[:limit])
        return _error(404, 404, "HTTP 404 Not Found")


def _error(status: int, code: int, message: str) -> web.Response:
    return web.json_response({"error_code": code, "message": message}, status=status)
