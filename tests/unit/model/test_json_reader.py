"""Reading JSON: what is refused before anybody looks at fields."""

import pytest

from healthd.model.json_reader import InputError, load_json, printable


@pytest.mark.parametrize(
    ("text", "error"),
    [
        pytest.param('{"a": 1, "a": 1}', "a: is there twice", id="a key twice"),
        pytest.param(
            '{"x": [{"y": 1}, {"y": {"z": 1, "b": 2, "z": 3}}]}', "x[1].y.z: is there twice",
            id="a key twice inside",
        ),
        pytest.param('{"a": {"b": 1, "b": 2}, "a": 1}', "a: is there twice", id="the outer first"),
        pytest.param('{"": 1, "": 2}', ": is there twice", id="the empty key twice"),
        pytest.param('{"a": "\\ud800"}', "a: is not valid Unicode text", id="half a pair"),
        pytest.param('{"a": ["\\uDfff"]}', "a[0]: is not valid Unicode text", id="the other half"),
        pytest.param('["\\udc00\\ud800"]', "[0]: is not valid Unicode text", id="wrong way round"),
        pytest.param('{"\\ud800": 1}', "\\ud800: is not valid Unicode text", id="half a key"),
        pytest.param("NaN", "is not JSON: NaN is no number here", id="NaN"),
        pytest.param(
            '{"a": [1, -Infinity]}', "a[1]: is not JSON: -Infinity is no number here",
            id="infinity",
        ),
        pytest.param(
            f'{{"a": 1, "b": [{"1" * 5000}]}}',
            "b[0]: is a number of 5000 digits, which is too long",
            id="an integer without end",
        ),
        pytest.param('{"a": NaN, "a": 1}', "a: is there twice", id="NaN under a key twice"),
        pytest.param("[" * 100_000, "is nested too deeply", id="nested too deeply"),
        pytest.param("", "is empty: nothing was written to it", id="nothing"),
        pytest.param(" \r\n", "is empty: nothing was written to it", id="blanks only"),
    ],
)  # fmt: skip
def test_what_is_no_strict_json_is_refused(text: str, error: str) -> None:
    with pytest.raises(InputError) as caught:
        load_json(text)
    assert str(caught.value) == error.removeprefix(": ")


@pytest.mark.parametrize("text", ["{", "{'a': 1}", "[1,]", "nul", "1" * 5000 + "x", "{} {}"])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is not JSON: "):
        load_json(text)


def test_bytes_that_are_no_utf_8_are_refused_with_their_place() -> None:
    with pytest.raises(InputError, match="is not UTF-8 text: byte 2 cannot be read"):
        load_json(b'["\xff"]')


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"\xef\xbb\xbf[1]", [1]),
        ('"\\ud83d\\ude00"', "\U0001f600"),
        ('"\\\\ud800"', "\\ud800"),
        ('{"a": {"b": 1}, "c": {"b": 1}}', {"a": {"b": 1}, "c": {"b": 1}}),
    ],
    ids=["a byte order mark", "a whole pair", "an escaped backslash", "equal keys of two objects"],
)
def test_what_only_looks_wrong_is_read(data: bytes | str, value: object) -> None:
    assert load_json(data) == value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("grüße", "grüße"),
        ("a\nb", "a\\nb"),
        ("\x1b[31m", "\\x1b[31m"),
        ("\udcff", "\\udcff"),
        ("a\u202eb", "a\\u202eb"),
    ],
    ids=["letters", "a line feed", "an escape sequence", "half a pair", "right to left"],
)
def test_printable_text_cannot_move_the_cursor(text: str, expected: str) -> None:
    assert printable(text) == expected


def test_an_error_prints_its_path_safely() -> None:
    assert str(InputError("a\nb", "is \x1b bad")) == "a\\nb: is \\x1b bad"
