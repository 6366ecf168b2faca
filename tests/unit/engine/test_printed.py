"""What is shown of a command that runs: private keys are struck out, however they are cut."""

import pytest

from healthd.engine.printed import CHARACTERS, KeyLines
from healthd.execute.redact import STRUCK_OUT, redact

KEY = "OPENSSH PRIVATE " + "KEY"
BEGIN, END = f"-----BEGIN {KEY}-----", f"-----END {KEY}-----"
BODY = ("Proc-Type: 4,ENCRYPTED", "", "b3BlbnNzaC1rZXktdjEAAAAA", "AAAAtzc2gtZW==")
PRINTED = ("before", BEGIN, *BODY, END, "behind")


@pytest.mark.parametrize("cut", range(len(PRINTED) + 1))
def test_lines_of_a_key_are_struck_out_wherever_they_are_cut(cut: int) -> None:
    keys = KeyLines()
    told = [*keys.struck(PRINTED[:cut]), *keys.struck(PRINTED[cut:])]
    assert told == ["before", STRUCK_OUT, "behind"]


@pytest.mark.parametrize("cut", range(1, len(PRINTED) + 1))
def test_pieces_that_were_struck_out_before_are_followed(cut: int) -> None:
    keys = KeyLines()
    pieces = ["".join(f"{line}\n" for line in part) for part in (PRINTED[:cut], PRINTED[cut:])]
    told = [line for piece in pieces for line in keys.struck_text(redact(piece))]
    assert told == ["before", STRUCK_OUT, "behind"]


def test_what_stands_beside_a_key_in_its_lines_stays() -> None:
    keys = KeyLines()
    assert keys.struck([f"key: {BEGIN}", "AAAA", f"{END} and more"]) == [
        f"key: {STRUCK_OUT}",
        " and more",
    ]
    assert keys.struck([f"{BEGIN} AAAA {END} told elsewhere"])[0].endswith("told elsewhere")


def test_a_key_that_never_ends_hides_nothing_but_what_may_be_its_own() -> None:
    told = KeyLines().struck([BEGIN, "AAAA", "not a line of a key", "AAAA"])
    assert told == [STRUCK_OUT, "not a line of a key", "AAAA"]


def test_of_a_piece_without_a_line_end_its_beginning_is_told() -> None:
    assert KeyLines().struck_text("x" * 65_536) == ["x" * CHARACTERS]
    assert KeyLines().struck_text("whole\nhalf") == ["whole"]
    assert KeyLines().struck_text("") == []
