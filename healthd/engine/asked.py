"""One question to somebody outside, asked again and again in the background."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from healthd.collect.rest import RestError
from healthd.engine.clock import Clock

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(Generic[T]):
    """What came of one question."""

    value: T | None = None
    """None when there is none that may be believed."""
    failure: str = ""
    """Why there is none."""


class Asked(Generic[T]):
    """The newest answer to one question; whoever wants it waits for nobody.

    A question that was not answered takes the place of the answer before it: what is not known
    now is not known. The same holds of an answer whose question was asked too long ago.
    """

    def __init__(
        self,
        question: Callable[[], Awaitable[T]],
        *,
        limit_seconds: float,
        every_seconds: float,
        too_old_seconds: float,
        clock: Clock,
    ) -> None:
        """Ask nothing yet.

        Args:
            question: raises `RestError` when there is no answer to be believed.
            limit_seconds: an answer that comes later is none.
            every_seconds: between the beginnings of two questions.
            too_old_seconds: an answer to a question asked so long ago is none.
            clock: the time.
        """
        self._question = question
        self._limit = limit_seconds
        self._every = every_seconds
        self._too_old = too_old_seconds
        self._clock = clock
        self._newest: Answer[T] = Answer(failure="has not been asked yet")
        self._asked_at = clock.monotonic()
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Ask now, and from now on."""
        if self._task is None:
            self._task = asyncio.create_task(self._ask_for_ever(), name="ask outside")

    @property
    def newest(self) -> Answer[T]:
        """The newest answer, or why there is none."""
        age = self._clock.monotonic() - self._asked_at
        if self._newest.value is not None and age > self._too_old:
            return Answer(failure=f"was last asked {age:.0f} s ago")
        return self._newest

    async def ask(self) -> Answer[T]:
        """The answer to the question as it is asked now."""
        began = self._clock.monotonic()
        answer = await self._answered()
        if began >= self._asked_at:
            self._newest, self._asked_at = answer, began
        return answer

    async def close(self) -> None:
        """Ask no more."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    async def _ask_for_ever(self) -> None:
        while True:
            began = self._clock.monotonic()
            await self.ask()
            await asyncio.sleep(max(0.0, self._every - (self._clock.monotonic() - began)))

    async def _answered(self) -> Answer[T]:
        try:
            async with asyncio.timeout(self._limit):
                return Answer(value=await self._question())
        except TimeoutError:
            return Answer(failure=f"gave no answer within {self._limit:g} s")
        except RestError as error:
            return Answer(failure=error.detail)
        except Exception as error:  # noqa: BLE001  # Whatever broke, the answer is not known.
            return Answer(failure=f"could not be asked: {type(error).__name__}")
