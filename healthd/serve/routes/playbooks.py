"""Playbooks: what a wave can name."""

import asyncio
from typing import Any

from fastapi import APIRouter, Request

router = APIRouter(prefix="/api/v1/playbooks", tags=["playbooks"])


@router.get("", summary="Every playbook, with its variables and its digest")
async def list_playbooks(request: Request) -> dict[str, Any]:
    """By name; `problems` is what is wrong with files that are none."""
    # They are files; the event loop waits for no disk.
    found: dict[str, Any] = await asyncio.to_thread(request.app.state.playbooks)
    return found
