"""Matchers: the same text means the same alerts here and in Alertmanager."""

import pytest

from healthd.waves.matchers import (
    Matcher,
    MatcherError,
    Operator,
    all_match,
    parse_matcher,
    parse_matchers,
)

CRITICAL = {"alertname": "DiskFull", "severity": "critical", "instance": "b1:9100"}


@pytest.mark.parametrize(
    ("text", "is_match"),
    [
        ('severity="critical"', True),
        ('severity="warning"', False),
        ("severity=critical", True),
        (' severity = "critical" ', True),
        ('severity!="critical"', False),
        ('severity!="warning"', True),
        ('severity=~"crit.*"', True),
        ('severity=~"crit"', False),
        ('severity=~"warning|critical"', True),
        ('severity!~"crit.*"', False),
        ('severity!~"crit"', True),
        ('severity=~"(?i)CRITICAL"', True),
        (r'instance=~"b\\d:9100"', True),
        (r'instance=~"b\d:9100"', True),
        ('team=""', True),
        ('team!=""', False),
        ('team=~".*"', True),
        ('team=~".+"', False),
    ],
)
def test_a_matcher_compares_a_label_as_alertmanager_does(text: str, *, is_match: bool) -> None:
    assert parse_matcher(text).matches(CRITICAL) is is_match


def test_patterns_know_only_the_digits_of_ascii() -> None:
    assert not parse_matcher(r'name=~"\d"').matches({"name": "٣"})


def test_a_dot_does_not_stand_for_a_line_break() -> None:
    assert not parse_matcher('name=~"a.b"').matches({"name": "a\nb"})


def test_escapes_in_quotes_are_undone() -> None:
    assert parse_matcher(r'summary="a \"b\" \\ c\nd"').value == 'a "b" \\ c\nd'


@pytest.mark.parametrize(
    "matcher",
    [
        Matcher(name="a", operator=Operator.EQUAL, value='x "y" \\ z\nw'),
        Matcher(name="a", operator=Operator.DIFFERS, value=r"b\.c\d+"),
        Matcher(name="a", operator=Operator.EQUAL, value=""),
    ],
    ids=["escapes", "pattern", "empty"],
)
def test_what_is_written_is_read_back(matcher: Matcher) -> None:
    assert parse_matcher(str(matcher)) == matcher


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not an Alertmanager matcher"),
        ("severity", "is not an Alertmanager matcher"),
        ('{severity="critical"}', "is not an Alertmanager matcher"),
        ('severity="a",team="b"', "a quote that is not closed, or more behind it"),
        ("severity=a,team=b", "more than one matcher"),
        ('severity="critical', "a quote that is not closed"),
        ('1st="a"', "is not an Alertmanager matcher"),
        ('severity=~"["', "pattern that has a . without its"),
        ('severity=~"*"', "nothing to repeat"),
        ('severity=~"a(?=b)"', "look-around"),
        (r'severity=~"(a)\1"', "an escape that is not understood"),
        ('severity=~"a++"', "repeats what repeats already"),
        ('severity=~"[[:alpha:]]"', "a POSIX class"),
        ('a="' + "x" * 1_000 + '"', "longer than 1000 characters"),
    ],
)
def test_what_is_no_matcher_or_reads_differently_elsewhere_is_refused(
    text: str, message: str
) -> None:
    with pytest.raises(MatcherError, match=message) as refused:
        parse_matcher(text)
    assert refused.value.action


@pytest.mark.parametrize(
    "text",
    [
        'job=~"kafka-.*|zk-.*"',
        'job=~"(kafka|zk)-[0-9]+"',
        r'job=~"a\\++"',
        'job=~"[+*]+"',
        'job=~"(?i:kafka)"',
        'job=~"(a|b)?c"',
        'job=~"(a+)+b"',
        'job=~".*a.*b.*c.*d.*e.*"',
    ],
)
def test_ordinary_patterns_are_accepted(text: str) -> None:
    assert parse_matcher(text).operator is Operator.MATCHES


def test_an_alert_has_to_match_all_matchers_of_a_list() -> None:
    matchers = parse_matchers(['severity="critical"', 'instance=~"b1.*"'])
    assert all_match(matchers, CRITICAL)
    assert not all_match(matchers, {**CRITICAL, "instance": "b2:9100"})


@pytest.mark.parametrize(
    "texts",
    [
        ['alertname="A"', 'alertname="B"'],
        ['alertname="A"', 'alertname=~"B.*"'],
        ['alertname!="A"', 'alertname="A"'],
    ],
)
def test_a_list_that_no_alert_can_meet_is_refused_for_it_would_keep_the_gate_open(
    texts: list[str],
) -> None:
    with pytest.raises(MatcherError, match="can never both match"):
        parse_matchers(texts)


def test_the_refusal_of_two_names_shows_how_to_mean_either() -> None:
    with pytest.raises(MatcherError) as refused:
        parse_matchers(['alertname="A"', 'alertname="B"'])
    assert refused.value.action == 'write one pattern: alertname=~"A|B"'
