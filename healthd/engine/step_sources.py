"""What an upload or a template puts on a host: read where healthd runs, checked, filled in."""

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, UndefinedError
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from healthd.engine.step_host import StepEnds
from healthd.waves.events import Outcome
from healthd.waves.playbook import Playbook
from healthd.waves.playbook_steps import TemplateAction, UploadAction

MAX_BYTES: Final = 16 * 1024 * 1024
"""What a command may be given to read; a larger file is no configuration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """The files beside a playbook."""

    playbook: Playbook

    async def upload(self, action: UploadAction) -> bytes:
        """The content of an upload.

        Raises:
            StepEnds: it cannot be read, or is not the one that was accepted.
        """
        content = await self.file(action.source)
        if action.sha256 is not None and _sha256(content) != action.sha256.lower():
            detail = f"{action.source} has SHA-256 {_sha256(content)}, not {action.sha256}"
            raise StepEnds(Outcome.FAILED, f"{detail}: nothing was sent")
        return content

    async def template(self, action: TemplateAction, values: Mapping[str, object]) -> bytes:
        """The content that a template makes of values, secrets among them.

        Raises:
            StepEnds: it cannot be made; tells the template's line and no value.
        """
        if action.is_inline:
            name, text = "the template", action.template
        else:
            name = action.template
            try:
                text = (await self.file(name)).decode()
            except UnicodeDecodeError:
                raise StepEnds(Outcome.FAILED, f"{name} is no UTF-8 text") from None
        return await asyncio.to_thread(_made, name, text, values)

    async def file(self, name: str) -> bytes:
        """A file as it was when the wave was accepted.

        Raises:
            StepEnds: it cannot be read, or was changed since.
        """
        try:
            content = await asyncio.to_thread(_bounded, Path(self.playbook.folder) / name)
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise StepEnds(Outcome.FAILED, f"{name} cannot be read: {why}") from None
        if len(content) > MAX_BYTES:
            raise StepEnds(Outcome.FAILED, f"{name} has more than {MAX_BYTES} bytes")
        pinned = dict(self.playbook.files).get(name)
        if pinned is not None and _sha256(content) != pinned:
            detail = f"{name} was changed since the wave was accepted: nothing was sent"
            raise StepEnds(Outcome.FAILED, detail)
        return content


def _bounded(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)


def _environment() -> ImmutableSandboxedEnvironment:
    return ImmutableSandboxedEnvironment(
        undefined=StrictUndefined,
        # A configuration file is no HTML.
        autoescape=False,
        keep_trailing_newline=True,
    )


def _made(name: str, text: str, values: Mapping[str, object]) -> bytes:
    try:
        template = _environment().from_string(text)
        content = bytearray()
        for piece in template.generate(values):
            content += piece.encode()
            if len(content) > MAX_BYTES:
                raise StepEnds(Outcome.FAILED, f"{name} makes more than {MAX_BYTES} bytes")
    except TemplateSyntaxError as error:
        raise StepEnds(Outcome.FAILED, _syntax(name, error)) from None
    except UndefinedError as error:
        # Its message names the variable, and no value.
        raise StepEnds(Outcome.FAILED, f"{name}: {error.message}") from None
    except SecurityError as error:
        raise StepEnds(Outcome.FAILED, f"{name}: {error.message}: templates only fill in") from None
    except TemplateError as error:
        raise StepEnds(Outcome.FAILED, f"{name}: {type(error).__name__}") from None
    except (ArithmeticError, LookupError, TypeError, ValueError, RecursionError) as error:
        # What Python says of a wrong operation may repeat a value.
        raise StepEnds(Outcome.FAILED, f"{name}: {type(error).__name__} in the template") from None
    return bytes(content)


def _syntax(name: str, error: TemplateSyntaxError) -> str:
    return f"{name}, line {error.lineno}: {error.message}"


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
