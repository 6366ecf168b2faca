"""The lag of replicas from round to round."""

from healthd.collect.lag import lag_now
from healthd.collect.observation import BrokerSignals, PageSeen, SectionSeen


def page(max_lag: float | None, at: float) -> PageSeen:
    return PageSeen(signals=BrokerSignals(max_lag=max_lag), at=at)


def test_what_pages_tell_is_kept_with_its_age() -> None:
    found = lag_now({}, {2: page(5.0, 99.0), 1: page(0.0, 98.5)}, brokers={1, 2}, now=100.0)
    assert found["lag"].body == {
        "brokers": [
            {"broker": 1, "messages": 0.0, "ageSeconds": 1.5},
            {"broker": 2, "messages": 5.0, "ageSeconds": 1.0},
        ]
    }


def test_a_value_that_is_not_told_again_grows_older() -> None:
    first = lag_now({}, {1: page(5.0, 99.0)}, brokers={1}, now=100.0)
    second = lag_now(first, {1: page(None, 115.0)}, brokers={1}, now=115.0)
    third = lag_now(second, {}, brokers={1}, now=130.0)
    assert third["lag"].body["brokers"] == [{"broker": 1, "messages": 5.0, "ageSeconds": 31.0}]


def test_after_a_restart_of_the_daemon_it_is_known_that_it_was_told() -> None:
    stored = {"lag": SectionSeen(body={"brokers": [{"broker": 1, "messages": 5.0,
                                                    "ageSeconds": 1.0}]}, at=50.0)}  # fmt: skip
    found = lag_now(stored, {}, brokers={1}, now=100.0)
    assert found["lag"].body["brokers"][0]["ageSeconds"] == 51.0


def test_a_broker_that_is_no_longer_expected_is_forgotten() -> None:
    first = lag_now({}, {1: page(5.0, 99.0)}, brokers={1}, now=100.0)
    assert lag_now(first, {}, brokers={2}, now=101.0) == {}


def test_where_no_exporter_tells_it_there_is_no_section() -> None:
    assert lag_now({}, {1: page(None, 99.0)}, brokers={1}, now=100.0) == {}
