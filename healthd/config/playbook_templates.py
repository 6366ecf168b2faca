"""The templates of a playbook before anything is filled in: are they any, and what do they name?"""

import re
from pathlib import Path
from typing import Final

from jinja2 import TemplateSyntaxError, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment

from healthd.config.playbook_sources import MAX_SOURCE_BYTES
from healthd.waves.playbook_parse import Reading
from healthd.waves.playbook_steps import BUILT_IN, TemplateAction
from healthd.waves.problems import Location, SpecProblem

_KEY: Final = "template"
_DOLLAR: Final = re.compile(r"\$\{(\w+)\}")


def template_findings(
    reading: Reading, folder: Path | None
) -> tuple[list[SpecProblem], frozenset[str]]:
    """What is wrong with the templates of a playbook, and the variables that they name.

    Args:
        reading: the playbook's steps.
        folder: where its files are; None: only templates in the playbook itself are looked at.
    """
    known = {variable.name for variable in reading.variables} | set(BUILT_IN)
    problems: list[SpecProblem] = []
    used: set[str] = set()
    for at, step in enumerate(reading.steps):
        if step is None or not isinstance(step.action, TemplateAction):
            continue
        text = _text(step.action, folder)
        if text is None:
            continue
        key = "content" if step.action.is_inline else "source"
        where: Location = ("steps", at, _KEY, key)
        for name in sorted(known & set(_DOLLAR.findall(text))):
            message = f"has ${{{name}}}, which a template leaves as it is"
            action = f"write {{{{ {name} }}}}"
            problems.append(_problem(where, message, action, "dollar-in-template"))
            used.add(name)
        try:
            tree = ImmutableSandboxedEnvironment(autoescape=False).parse(text)
        except TemplateSyntaxError as error:
            message = f"is no template: line {error.lineno} of it has a mistake"
            action = "correct it; write {% raw %} around braces that are meant as they are"
            problems.append(_problem(where, message, action, "no-template"))
            used |= known  # Whatever it was meant to name.
            continue
        names = meta.find_undeclared_variables(tree)
        used |= names
        for name in sorted(names - known - {"range", "dict"}):
            message = f"the template names {name}, which is no variable"
            action = f"declare {name} under variables"
            problems.append(_problem(where, message, action, "unknown-variable"))
    return problems, frozenset(used)


def _text(action: TemplateAction, folder: Path | None) -> str | None:
    """The template's text; None when it is told elsewhere that it cannot be read."""
    if action.is_inline:
        return action.template
    if folder is None:
        return None
    try:
        with (folder / action.template).open("rb") as stream:
            return stream.read(MAX_SOURCE_BYTES).decode()
    except (OSError, ValueError):
        return None


def _problem(at: Location, message: str, action: str, code: str) -> SpecProblem:
    return SpecProblem(location=at, message=message, action=action, code=code)
