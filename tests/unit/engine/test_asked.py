"""A question to somebody outside, asked in the background."""

import asyncio
from dataclasses import dataclass, field

from support.virtual_time import in_virtual_time

from healthd.collect.observation import FailureReason
from healthd.collect.rest import RestError
from healthd.engine.asked import Answer, Asked
from healthd.engine.clock import Clock


@dataclass
class Somebody:
    """Answers with how often they were asked, late or not at all when told so."""

    times: int = 0
    late: float = 0.0
    error: Exception | None = None
    asked_at: list[float] = field(default_factory=list)

    async def answer(self) -> int:
        self.times += 1
        number = self.times
        self.asked_at.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.late)
        if self.error is not None:
            raise self.error
        return number


def asked(somebody: Somebody, limit: float = 10.0) -> Asked[int]:
    """A question once in 15 s."""
    now = asyncio.get_running_loop().time
    return Asked(
        somebody.answer,
        limit_seconds=limit,
        every_seconds=15.0,
        too_old_seconds=30.0,
        clock=Clock(monotonic=now, wall=now),
    )


@in_virtual_time
async def test_before_it_was_asked_nothing_is_known() -> None:
    assert asked(Somebody()).newest.failure == "has not been asked yet"


@in_virtual_time
async def test_it_is_asked_at_once_and_then_once_an_interval_however_late_it_answers() -> None:
    somebody = Somebody(late=5)
    question = asked(somebody)
    question.begin()
    await asyncio.sleep(46)
    assert [round(at) for at in somebody.asked_at] == [0, 15, 30, 45]
    assert question.newest.value == 3
    await question.close()


@in_virtual_time
async def test_a_late_answer_is_none_and_takes_the_place_of_the_one_before() -> None:
    somebody = Somebody()
    question = asked(somebody)
    question.begin()
    await asyncio.sleep(1)
    assert question.newest.value == 1
    somebody.late = 60
    await asyncio.sleep(26)
    assert question.newest == Answer(failure="gave no answer within 10 s")
    await question.close()


@in_virtual_time
async def test_what_could_not_be_asked_says_why_and_shows_no_more_than_that() -> None:
    somebody = Somebody(error=RestError(FailureReason.REFUSED, "refused the connection"))
    question = asked(somebody)
    assert (await question.ask()).failure == "refused the connection"
    somebody.error = ValueError("a token in it")
    assert (await question.ask()).failure == "could not be asked: ValueError"


@in_virtual_time
async def test_an_answer_to_a_question_of_long_ago_is_none() -> None:
    question = asked(Somebody())
    await question.ask()
    await asyncio.sleep(30)
    assert question.newest.value == 1
    await asyncio.sleep(1)
    assert question.newest.failure == "was last asked 31 s ago"


@in_virtual_time
async def test_an_answer_to_an_earlier_question_does_not_replace_a_later_one() -> None:
    somebody = Somebody(late=8)
    question = asked(somebody)
    slow = asyncio.create_task(question.ask())
    await asyncio.sleep(1)
    somebody.late = 1
    assert (await question.ask()).value == 2
    await slow
    assert question.newest.value == 2


@in_virtual_time
async def test_it_is_asked_on_after_a_failure() -> None:
    somebody = Somebody(error=ValueError())
    question = asked(somebody)
    question.begin()
    await asyncio.sleep(1)
    somebody.error = None
    await asyncio.sleep(15)
    assert question.newest.value == 2
    await question.close()
