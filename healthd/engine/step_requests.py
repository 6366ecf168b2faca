"""A request over HTTP that a step of a playbook makes, from where healthd runs."""

from typing import Final

from healthd.engine.step_job import StepJob
from healthd.engine.step_outside import page_of
from healthd.execute.redact import redact
from healthd.waves.events import Outcome
from healthd.waves.playbook_steps import HttpAction

_SAID: Final = 300


async def request(
    action: HttpAction, job: StepJob, secrets: tuple[str, ...]
) -> tuple[Outcome, str]:
    """Send it once, and say how it ended as far as that is known."""
    headers = {}
    if action.body is not None:
        headers["Content-Type"] = action.content_type
    if action.bearer_token is not None:
        headers["Authorization"] = f"Bearer {await job.values.secret(action.bearer_token)}"
    page = await page_of(
        action.method,
        action.http_url,
        ca_file=action.http_ca_file,
        body=action.body,
        headers=headers,
        seconds=max(0.1, job.seconds_left()),
    )
    what = f"{action.method} {action.http_url}"
    if page.status is None:
        outcome = Outcome.UNKNOWN if page.was_sent else Outcome.NOT_SENT
        return outcome, f"{what}: {page.trouble}"
    said = " ".join(redact(page.text, secrets).split())[:_SAID]
    told = f"{what} answered with HTTP status {page.status}" + (f": {said}" if said else "")
    is_ok = page.status in action.ok_statuses
    return (Outcome.OK if is_ok else Outcome.FAILED), told
