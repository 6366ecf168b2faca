"""Commands that answer for FILE...: lines, errors and exit codes (contract.md section 1)."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from healthd.cli.files import answer_files
from healthd.model.json_reader import InputError


def answer(data: bytes) -> tuple[dict[str, Any], int]:
    if data == b"bad":
        raise InputError("topics[0].name", "must be text, not a number")
    return {"text": data.decode()}, 4


def table(found: dict[str, Any]) -> None:
    click.echo(f"<{found['text']}>")


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    names = {}
    for name, content in (("one", b"1"), ("two", b"2"), ("bad", b"bad")):
        (tmp_path / name).write_bytes(content)
        names[name] = str(tmp_path / name)
    names["absent"] = str(tmp_path / "absent")
    names["folder"] = str(tmp_path)
    return names


def lines(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


def test_one_file_answers_without_its_name_and_with_its_own_exit_code(
    files: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert answer_files([files["one"]], "json", answer, table) == 4
    assert capsys.readouterr().out == '{"text": "1"}\n'


def test_several_files_answer_in_order_with_their_names_and_exit_0(
    files: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    given = [files["two"], files["one"]]
    assert answer_files(given, "json", answer, table) == 0
    found = lines(capsys.readouterr().out)
    assert found == [{"file": given[0], "text": "2"}, {"file": given[1], "text": "1"}]
    assert [list(row) for row in found] == [["file", "text"]] * 2


@pytest.mark.parametrize(
    ("name", "error"),
    [
        pytest.param("bad", "topics[0].name: must be text, not a number", id="wrong content"),
        pytest.param("absent", "cannot be read: No such file or directory", id="no such file"),
        pytest.param("folder", "cannot be read: Is a directory", id="a folder"),
    ],
)
def test_a_file_that_cannot_be_used_has_its_error_and_the_others_are_answered(
    files: dict[str, str], capsys: pytest.CaptureFixture[str], name: str, error: str
) -> None:
    given = [files["one"], files[name], files["two"]]
    assert answer_files(given, "json", answer, table) == 2
    captured = capsys.readouterr()
    assert lines(captured.out) == [
        {"file": given[0], "text": "1"},
        {"file": given[1], "error": error},
        {"file": given[2], "text": "2"},
    ]
    assert captured.err == ""


def test_one_unusable_file_prints_its_error_as_json_and_to_stderr(
    files: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert answer_files([files["absent"]], "json", answer, table) == 2
    captured = capsys.readouterr()
    assert lines(captured.out) == [
        {"file": files["absent"], "error": "cannot be read: No such file or directory"}
    ]
    assert "No such file" in captured.err


def test_a_table_of_an_unusable_file_prints_nothing_but_an_error_on_stderr(
    files: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert answer_files([files["bad"]], "table", answer, table) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"healthd: {files['bad']}: topics[0].name: must be text, not a number\n"


def test_tables_of_several_files_stand_under_their_names(
    files: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    given = [files["one"], files["bad"], files["two"]]
    assert answer_files(given, "table", answer, table) == 2
    captured = capsys.readouterr()
    assert captured.out == f"{given[0]}:\n<1>\n\n{given[2]}:\n<2>\n\n"
    assert given[1] in captured.err


def test_standard_input_is_read_once_however_often_it_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"in")))
    assert answer_files(["-", "-"], "json", answer, table) == 0
    assert lines(capsys.readouterr().out) == [{"file": "-", "text": "in"}] * 2


def test_a_process_without_standard_input_gets_an_error_for_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert answer_files(["-"], "json", answer, table) == 2
    assert lines(capsys.readouterr().out) == [
        {"file": "-", "error": "cannot be read: there is no standard input"}
    ]


@pytest.mark.parametrize("name", ["a\x00b", "\udcff.json"], ids=["a NUL", "bytes of no UTF-8"])
def test_a_name_that_no_file_can_have_is_an_error_like_any_other(
    capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert answer_files([name], "json", answer, table) == 2
    assert lines(capsys.readouterr().out)[0]["error"].startswith("cannot be read: ")
