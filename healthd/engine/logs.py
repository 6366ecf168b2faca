"""Logging of the daemon: one line an event, on stderr, with secrets struck out."""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Final

import structlog

_SECRET_KEYS: Final = re.compile(
    r"password|secret|token|authorization|passphrase|api.?key", re.IGNORECASE
)
_STRUCK_OUT: Final = "[redacted]"
_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


def redact_secrets(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """The event without the values of keys that name a secret, however deep they are."""
    for key in event:
        event[key] = _STRUCK_OUT if _SECRET_KEYS.search(key) else _without_secrets(event[key])
    return event


def _without_secrets(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            key: _STRUCK_OUT if _SECRET_KEYS.search(str(key)) else _without_secrets(each)
            for key, each in value.items()
        }
    if isinstance(value, list):
        return [_without_secrets(each) for each in value]
    return value


_PROCESSORS: Final[tuple[Any, ...]] = (
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    redact_secrets,
)


def _for_people() -> Any:
    return structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(),
        # The default one prints the local variables, and a password may be among them.
        exception_formatter=structlog.dev.plain_traceback,
    )


def configure_logs(log_format: str, level: str) -> None:
    """Log to stderr as JSON lines or for people; libraries' own logs go the same way."""
    renderer: Any = structlog.processors.JSONRenderer() if log_format == "json" else _for_people()
    processors = [*_PROCESSORS]
    if log_format == "json":
        processors.append(structlog.processors.format_exc_info)
    structlog.configure(
        processors=[*processors, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
            foreign_pre_chain=processors,
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # What libraries say below a warning is of no use to an operator.
    root.setLevel(max(_LEVELS[level], logging.WARNING))
    # Clients that are refused by one broker try the next; our own collectors report it.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    logging.getLogger("healthd.librdkafka").setLevel(logging.CRITICAL)
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)


def logs_of_a_command() -> None:
    """Warnings to stderr and the rest nowhere: stdout is for data, and structlog prints there."""
    structlog.configure(
        processors=[*_PROCESSORS, _for_people()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        # Asked for at each line: what stderr is may change while tests run commands.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )
