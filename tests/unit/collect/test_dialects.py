"""Exporter pages in every dialect: what they say, and what they only seem to say."""

from dataclasses import replace
from pathlib import Path

import pytest
from support.exporter_pages import (
    DIALECTS,
    VERSION_KNOWN,
    WITHOUT_GAUGE,
    WITHOUT_LOG_MANAGER,
    NodeState,
    page,
)

from healthd.collect.dialect_signals import has_kafka, kafka_release, signals_of
from healthd.collect.dialects import FAMILIES
from healthd.collect.observation import BrokerSignals, FailureReason
from healthd.collect.page import PageProblem, signals_of_page
from healthd.collect.scan import Sample, Scanner
from healthd.model.words import BrokerState

PAGES = Path(__file__).parents[2] / "data" / "pages"
REAL = sorted(path.stem for path in PAGES.glob("*.txt"))
SCANNER = Scanner(FAMILIES)
IDLE = "kafka_server_kafkarequesthandlerpool_requesthandleravgidlepercent"
STATE: Sample = ("kafka_server_kafkaserver_brokerstate", ())


def read(text: str) -> BrokerSignals:
    return signals_of_page(SCANNER.scan(text.encode()))


def idle(*samples: tuple[str, float], **labels: str) -> BrokerSignals:
    pairs = tuple(sorted(labels.items()))
    return signals_of({STATE: 3.0, **{(name, pairs): value for name, value in samples}})


@pytest.mark.parametrize("name", REAL)
def test_a_real_page_says_what_the_node_is(name: str) -> None:
    found = read((PAGES / f"{name}.txt").read_text("utf-8"))
    assert found.state is BrokerState.RUNNING
    assert (found.unclean_elections, found.isr_shrinks, found.isr_expands) == (0, 0, 0)
    assert (found.active_controllers, found.global_topics, found.global_partitions) == (1, 0, 0)
    assert found.start_time_seconds == pytest.approx(1_795_279_274, abs=1)
    assert not found.is_broker_pool
    assert found.idle_nanoseconds is not None
    assert 7e9 < found.idle_nanoseconds < 30e9
    is_strimzi = name.startswith("strimzi")
    assert (found.idle_ratio is None) == is_strimzi
    assert found.idle_ratio is None or 0 <= found.idle_ratio < 2
    assert (found.idle_mean is None) == (name.startswith(("confluent", "bitnami")))
    assert found.offline_log_dirs == (None if name == "bitnami" else 0)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("own_idle_nanoseconds", [None, 12_000_000_000])
def test_every_dialect_says_all_that_it_has(dialect: str, own_idle_nanoseconds: int | None) -> None:
    node = NodeState(
        state=2,
        own_idle_nanoseconds=own_idle_nanoseconds,
        own_idle_one_minute=0.4,
        offline_log_dirs=1,
        remaining_logs={"/a": 30, "/b": 12},
        max_lag=1234.0,
        unclean=5,
        shrinks=41,
        expands=40,
    )
    found = read(page(dialect, node))
    own = own_idle_nanoseconds is not None
    gauge = node.own_idle_one_minute if own else node.idle_one_minute
    # Confluent's file has the gauge of both pools only.
    has_gauge = not dialect.startswith(WITHOUT_GAUGE) and not (
        own and dialect.startswith("confluent")
    )
    has_logs = dialect not in WITHOUT_LOG_MANAGER
    assert replace(found, idle_mean=None) == BrokerSignals(
        state=BrokerState.RECOVERY,
        idle_nanoseconds=own_idle_nanoseconds if own else node.idle_nanoseconds,
        idle_ratio=gauge if has_gauge else None,
        is_broker_pool=own,
        offline_log_dirs=1 if has_logs else None,
        remaining_logs=42 if has_logs else None,
        max_lag=1234.0,
        version="4.1.0" if dialect in VERSION_KNOWN else None,
        start_time_seconds=1_795_279_274.025,
        unclean_elections=5,
        isr_shrinks=41,
        isr_expands=40,
        active_controllers=1,
        global_topics=7,
        global_partitions=70,
    )


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_broker_that_is_no_controller_says_nothing_of_controllers(dialect: str) -> None:
    found = read(page(dialect, NodeState(unclean=None)))
    assert (found.unclean_elections, found.active_controllers) == (None, None)
    assert (found.global_topics, found.global_partitions) == (None, None)
    assert found.remaining_logs is None


@pytest.mark.parametrize("dialect", DIALECTS)
def test_labels_of_a_prometheus_server_do_no_harm(dialect: str) -> None:
    samples = SCANNER.scan(page(dialect, NodeState(shrinks=3)).encode())
    added = (("instance", "b1:7071"), ("job", "kafka"), ("namespace", "prod"))
    scraped = {(name, tuple(sorted((*labels, *added)))): v for (name, labels), v in samples.items()}
    assert signals_of(scraped) == signals_of(samples)


class TestIdleForms:
    """One name stands for a counter, a gauge or a mean, as the author of the rules liked."""

    def test_a_counter_is_known_by_its_size(self) -> None:
        assert idle((IDLE, 7.3e9)).idle_nanoseconds == 7.3e9

    @pytest.mark.parametrize("value", [0.0, 0.93, 1.87])
    def test_a_ratio_under_the_counters_name_is_nothing(self, value: float) -> None:
        # It may be the mean since the start, and no rate can be made of it.
        found = idle((IDLE, value))
        assert (found.idle_nanoseconds, found.idle_ratio) == (None, None)

    def test_total_is_a_gauge_when_small_and_a_counter_when_large(self) -> None:
        gauge = idle((f"{IDLE}_total", 0.93))
        assert (gauge.idle_nanoseconds, gauge.idle_ratio) == (None, 0.93)
        counter = idle((f"{IDLE}_total", 7.3e9))
        assert (counter.idle_nanoseconds, counter.idle_ratio) == (7.3e9, None)

    def test_a_counter_under_the_gauges_name_is_no_ratio(self) -> None:
        assert idle((f"{IDLE}_oneminuterate", 7.3e9)) == idle()

    def test_the_exporters_own_label_tells_names_that_collide(self) -> None:
        of = "kafka.server<type=KafkaRequestHandlerPool, name=RequestHandlerAvgIdlePercent><>"
        forms = {"Count": 7.3e9, "OneMinuteRate": 1.67, "MeanRate": 1.79, "FiveMinuteRate": 1.1}
        found = signals_of(
            {(IDLE, (("_objectname", of + form),)): value for form, value in forms.items()}
        )
        assert (found.idle_nanoseconds, found.idle_ratio, found.idle_mean) == (7.3e9, 1.67, 1.79)

    def test_an_object_name_of_something_else_is_nothing(self) -> None:
        assert idle((IDLE, 7.3e9), _objectname="kafka.server<type=X, name=Y><>Count") == idle()

    def test_two_values_of_one_thing_are_unknown(self) -> None:
        samples = {(IDLE, ()): 7.3e9, (f"{IDLE}_count", ()): 7.4e9, STATE: 3.0}
        assert signals_of(samples) == idle()

    def test_the_mean_since_the_start_is_no_ratio_of_now(self) -> None:
        name = "kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent"
        found = idle((name, 0.9))
        assert (found.idle_nanoseconds, found.idle_ratio, found.idle_mean) == (None, None, 0.9)

    def test_the_controllers_own_pool_is_not_the_brokers(self) -> None:
        pool = "kafka_server_kafkarequesthandlerpool"
        name = f"{pool}_controllerrequesthandleravgidlepercent_count"
        assert idle((name, 7.3e9)) == idle()

    def test_a_percentile_of_the_same_name_is_not_the_value(self) -> None:
        assert idle((IDLE, 7.3e9), quantile="0.99") == idle()


class TestCounts:
    """A name that ends in PerSec is a count of events almost everywhere."""

    SHRINKS = "kafka_server_replicamanager_isrshrinkspersec"

    def test_a_count_is_a_whole_number(self) -> None:
        assert idle((self.SHRINKS, 41.0)).isr_shrinks == 41

    def test_a_rate_under_that_name_is_unknown(self) -> None:
        assert idle((self.SHRINKS, 0.0375)).isr_shrinks is None

    def test_gauges_that_count_leaders_only_are_not_read_at_all(self) -> None:
        # Dead brokers and leaderless partitions vanish from them, and AtMinIsr counts healthy
        # topics: everything of partitions comes from metadata.
        for words in ("underreplicated", "minisr", "offlinepartitions", "offlinereplica"):
            assert not [name for name in FAMILIES if words in name.lower()]


class TestProcessStart:
    def test_of_an_exporter_beside_the_broker_the_brokers_own_counts(self) -> None:
        own = replace(NodeState(), start_milliseconds=1_700_000_000_500)
        text = page("bitnami", own).replace("process_start_time_seconds 1", "process_start_x 1")
        text += "process_start_time_seconds 1.8E9\n"
        assert read(text).start_time_seconds == 1_700_000_000.5


class TestVersions:
    @pytest.mark.parametrize(
        ("reported", "release"),
        [
            ("4.1.0", "4.1.0"),
            ("3.9.1-SNAPSHOT", "3.9.1-SNAPSHOT"),
            ("7.9.0-ccs", "3.9.0 (Confluent 7.9.0-ccs)"),
            ("8.1.2-ce", "4.1.2 (Confluent 8.1.2-ce)"),
            ("6.2.1-ce", "2.8.1 (Confluent 6.2.1-ce)"),
            ("5.5.0-ccs", "2.5.0 (Confluent 5.5.0-ccs)"),
        ],
    )
    def test_packages_are_told_as_the_kafka_that_they_are(
        self, reported: str, release: str
    ) -> None:
        assert kafka_release(reported) == release
        sample = ("kafka_server_app_info", (("id", "1"), ("version", reported)))
        assert signals_of({sample: 1.0}).version == release

    def test_two_versions_are_none(self) -> None:
        samples: dict[Sample, float] = {
            ("kafka_server_app_version", (("id", str(n)), ("version", f"4.{n}.0"))): 1.0
            for n in (1, 2)
        }
        assert signals_of(samples).version is None


class TestPagesThatSayNothing:
    @pytest.mark.parametrize("name", REAL)
    def test_before_the_agents_start_delay_is_over(self, name: str) -> None:
        # With startDelaySeconds the page has the JVM's own families, and status 200.
        text = (PAGES / f"{name}.txt").read_text("utf-8")
        early = "".join(
            f"{line}\n" for line in text.splitlines() if line.startswith(("jmx_", "process_"))
        )
        with pytest.raises(PageProblem) as caught:
            read(early)
        assert caught.value.reason is FailureReason.NO_KAFKA_METRICS

    @pytest.mark.parametrize("name", REAL)
    def test_when_the_agent_could_not_read(self, name: str) -> None:
        text = (PAGES / f"{name}.txt").read_text("utf-8")
        with pytest.raises(PageProblem) as caught:
            read(text.replace("jmx_scrape_error 0.0", "jmx_scrape_error 1.0"))
        assert caught.value.reason is FailureReason.SCRAPE_ERROR

    def test_of_another_jvm(self) -> None:
        connect = SCANNER.scan(b'kafka_server_app_info_starttimems{id="1"} 1.7E12\n')
        assert not has_kafka(connect)

    @pytest.mark.parametrize("dialect", DIALECTS)
    def test_a_missing_family_is_unknown_and_not_zero(self, dialect: str) -> None:
        whole = page(dialect, NodeState())
        without = "".join(
            line for line in whole.splitlines(keepends=True) if "isrshrinks" not in line.lower()
        )
        assert read(without).isr_shrinks is None
        assert read(whole).isr_shrinks == 0
