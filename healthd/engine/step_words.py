"""What a step would do, in words, without a secret: for dry runs and reports."""

import shlex

from healthd.engine.step_job import StepJob
from healthd.waves.host_commands import argv_of
from healthd.waves.playbook_steps import (
    AnsibleAction,
    CommandAction,
    HttpAction,
    KafkaAction,
    PromptAction,
    RebootAction,
    TemplateAction,
    UploadAction,
    WaitAction,
)


def in_words(job: StepJob) -> str:
    """The step in one line."""
    said = _action(job)
    if job.step.only_if:
        said += " (where its onlyIf is true)"
    return said


def _action(job: StepJob) -> str:
    match job.step.action:
        case CommandAction() as action:
            typed = "" if action.stdin is None else f", with {action.stdin} as its input"
            return f"run{_root(action.become)} {shlex.join(argv_of(action))}{typed}"
        case UploadAction() as action:
            return f"put {action.source} at {action.place.path}"
        case TemplateAction() as action:
            what = "a template" if action.is_inline else action.template
            return f"put what {what} makes at {action.place.path}"
        case RebootAction() as action:
            return f"reboot: run{_root(action.become)} {shlex.join(action.reboot_argv)}"
        case WaitAction(until=until):
            return f"wait until {len(until)} checks are true"
        case KafkaAction() as action:
            values = ", ".join(f"{name}={value}" for name, value in action.values)
            return f"ask the cluster for {action.verb} {values}".rstrip()
        case HttpAction() as action:
            return f"send {action.method} {action.http_url}"
        case PromptAction() as action:
            return f"ask a person: {action.question}"
        case AnsibleAction() as action:
            return f"run ansible-playbook {action.ansible_playbook}"
        case _:
            return job.step.name


def _root(become: bool) -> str:  # noqa: FBT001  # Its one meaning is in its name.
    return " as root" if become else ""
