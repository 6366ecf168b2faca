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
