"""YAML text to plain values: every place is known, every flaw of the text is a problem."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from healthd.config.problems import Problem
from healthd.config.yaml_source import Document, parse_document, read_document


def document_of(text: str) -> Document:
    document, problems = parse_document(text.encode(), "f.yaml")
    assert problems == []
    assert document is not None
    return document


def problems_of(content: bytes | str, **limits: int) -> list[Problem]:
    raw = content.encode() if isinstance(content, str) else content
    return parse_document(raw, "f.yaml", **limits)[1]


def places(problems: list[Problem]) -> list[tuple[int | None, int | None]]:
    return [(problem.line, problem.column) for problem in problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12),
        ("-3", -3),
        ("0x1F", 31),
        ("0o17", 15),
        ("017", 17),
        ("1_000", 1000),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        (".inf", float("inf")),
        ("-.inf", float("-inf")),
        ("true", True),
        ("False", False),
        ("yes", "yes"),
        ("12:30", "12:30"),
        ("2026-01-01", "2026-01-01"),
        ('"12"', "12"),
        ("!!str 12", "12"),
        ("~", None),
        ("", None),
        ("[1, a]", [1, "a"]),
        ("{b: 1}", {"b": 1}),
    ],
)
def test_values_are_those_of_yaml_1_2(text: str, value: object) -> None:
    assert document_of(f"a: {text}\n").data == {"a": value}


def test_keys_and_values_know_their_line_and_column() -> None:
    document = document_of("a: 1\nlist:\n  - x\n  - {k: v}\n")
    assert document.keys[("list",)].line == 2
    assert (document.values[("list", 1, "k")].line, document.values[("list", 1, "k")].column) == (
        4,
        9,
    )
    assert document.keys[("list", 1, "k")].column == 6


def test_a_place_that_is_not_there_is_reported_at_what_is_around_it() -> None:
    problem = document_of("a:\n  b: 1\n").problem(("a", "c"), "message", "action")
    assert (problem.line, problem.column, problem.path) == (2, 3, "a.c")


def test_a_problem_reads_as_place_path_message_and_action() -> None:
    problem = document_of("a: 1\n").problem(("a",), "is wrong", "fix it")
    assert str(problem) == "f.yaml:1:4: a: is wrong -> fix it"


def test_all_duplicate_keys_are_reported_with_both_places() -> None:
    document, problems = parse_document(b"a: 1\nb:\n  c: 1\n  c: 2\na: 2\n", "f.yaml")
    assert document is not None
    assert document.data == {"a": 1, "b": {"c": 1}}
    assert places(problems) == [(4, 3), (5, 1)]
    assert "first at line 3, column 3" in problems[0].message
    assert "first at line 1, column 1" in problems[1].message


@pytest.mark.parametrize(
    ("content", "place", "word"),
    [
        pytest.param("a:\n\t- 1\n", (2, 1), "a tab", id="a tab"),
        pytest.param("a: b: c\n", (1, 5), "not YAML", id="two colons"),
        pytest.param("a: [1\n", (2, 1), "expected ',' or ']'", id="an open bracket"),
        pytest.param("a: \x00\n", (1, 4), "control character", id="a NUL"),
        pytest.param(b"ok: 1\na: \xff\n", (2, 4), "UTF-8", id="Latin-1"),
        pytest.param(b"\xff\xfea\x00", (1, 1), "UTF-8", id="UTF-16"),
        pytest.param("", (1, 1), "empty", id="an empty file"),
        pytest.param("# only a comment\n", (1, 1), "empty", id="only comments"),
        pytest.param("---\n", (1, 1), "empty", id="an empty document"),
        pytest.param("- 1\n", (1, 1), "must be a mapping, not a list", id="a list"),
        pytest.param("text\n", (1, 1), "must be a mapping, not text", id="plain text"),
        pytest.param("a: 1\n---\nb: 2\n", (2, 1), "second document", id="two documents"),
        pytest.param("%YAML 1.1\n---\na: 1\n", (2, 1), "YAML 1.2", id="YAML 1.1"),
        pytest.param("a: !!python/object:os.system x\n", (1, 4), "tags", id="a tag"),
        pytest.param("1: a\n", (1, 1), "key must be text", id="a number as key"),
        pytest.param("? [a]\n: b\n", (1, 3), "key must be text", id="a list as key"),
        pytest.param("a: *x\n", (1, 4), "alias", id="an alias to nothing"),
        pytest.param("a: &x [*x]\n", (1, 8), "part of", id="an alias to itself"),
        pytest.param('a: "\\ud800"\n', (1, 4), "Unicode", id="half a surrogate pair"),
        pytest.param("a: !!int x\n", (1, 4), "its type", id="a wrong tag"),
        pytest.param(f"a: {'9' * 5000}\n", (1, 4), "its type", id="a number too long"),
    ],
)
def test_a_flaw_of_the_text_is_one_problem_at_its_place(
    content: bytes | str, place: tuple[int, int], word: str
) -> None:
    (problem,) = problems_of(content)
    assert (problem.line, problem.column) == place
    assert word in problem.message
    assert problem.action


@pytest.mark.parametrize("secret", ["*hunter2hunter2", "!hunter2hunter2", "&hunter2 *hunter2x"])
def test_a_password_that_looks_like_yaml_is_not_repeated(secret: str) -> None:
    problems = problems_of(f"password: {secret}\n")
    assert problems
    assert not any("hunter2" in str(problem) for problem in problems)


def test_anchors_and_merge_keys_work_and_do_not_override() -> None:
    text = "base: &b {x: 1, y: 2}\nuse:\n  <<: *b\n  y: 3\n"
    assert document_of(text).data["use"] == {"y": 3, "x": 1}


def test_a_bomb_of_anchors_is_refused_by_its_expanded_size() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    (problem,) = problems_of("\n".join(lines), max_nodes=10_000)
    assert "10000 values" in problem.message


def test_merging_the_same_keys_over_and_over_counts() -> None:
    lines = ["a: &a {" + ", ".join(f"k{n}: 1" for n in range(50)) + "}"]
    lines += [f"b{n}: {{<<: *a}}" for n in range(50)]
    assert problems_of("\n".join(lines), max_nodes=1_000)


def test_nesting_too_deep_is_refused_without_exhausting_the_stack() -> None:
    (problem,) = problems_of("a: " + "[" * 100_000)
    assert "nested deeper" in problem.message


def test_a_file_that_is_too_large_is_refused_unread(tmp_path: Path) -> None:
    file = tmp_path / "big.yaml"
    file.write_bytes(b"a: 1\n" * 100)
    document, (problem,) = read_document(file, max_bytes=100)
    assert document is None
    assert "larger than 100 bytes" in problem.message


def test_a_byte_order_mark_is_no_part_of_the_first_key() -> None:
    document, problems = parse_document(b"\xef\xbb\xbfa: 1\n", "f.yaml")
    assert problems == []
    assert document is not None
    assert document.data == {"a": 1}


@pytest.mark.parametrize("name", ["missing.yaml", ".", "with\0nul"])
def test_what_cannot_be_opened_is_an_error_of_its_own(tmp_path: Path, name: str) -> None:
    with pytest.raises(OSError, match=r".+"):
        read_document(tmp_path / name)


YAML_WORDS = st.sampled_from(
    [
        *"ab\n\t[]{},|>\"'#1~\x85",
        ": ",
        "- ",
        "  ",
        "&x ",
        "*x",
        "!t ",
        "!!int ",
        "<<",
        "? ",
        "\\u",
        "---\n",
        "%YAML 1.1\n",
    ]
)


@given(st.binary(max_size=200))
def test_random_bytes_never_raise(content: bytes) -> None:
    document, problems = parse_document(content, "f")
    assert document is not None or problems


@given(st.lists(YAML_WORDS, max_size=40).map("".join))
@example('a: "\\U7FFFFFFF"')
@example("%TAG ! x\n---\n!y")
@example("? a: b\n? c")
@example("{? : }")
def test_random_yaml_never_raises_and_every_problem_has_a_place(text: str) -> None:
    document, problems = parse_document(text.encode(), "f")
    assert document is not None or problems
    assert all(p.line and p.column and p.message and p.action for p in problems)
