"""The answers of an examination into findings."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from support.snapshots import a_snapshot

from healthd.collect.denials import Authorizer, DenyRule
from healthd.collect.doctor.asking import (
    BROKER_CONFIGS,
    LOG_DIRS,
    QUORUM,
    REASSIGNMENTS,
    RightsSeen,
)
from healthd.collect.doctor.doors import Door
from healthd.collect.doctor.evidence import Evidence
from healthd.collect.doctor.findings import DoctorFinding, Examination, Outcome
from healthd.collect.doctor.judge import findings
from healthd.collect.doctor.judge_rights import PROBE_OPERATIONS
from healthd.collect.observation import FailureReason, Origin, Source, SourceFailure
from healthd.collect.rights import Operation, Resource
from healthd.collect.wire import WireError
from healthd.health.words import Term
from healthd.model.words import EvidenceGroup

ADDRESS = "b1:9092"
OPEN = Door(address=ADDRESS, outcome=Outcome.ALLOWED)
SHUT = Door(address=ADDRESS, outcome=Outcome.UNREACHABLE, detail="Refused the connection.")
DENIED = WireError(FailureReason.AUTHORIZATION, Origin.OURS, "not authorized")
LATE = WireError(FailureReason.TIMEOUT, Origin.OURS, "late")
RIGHTS = RightsSeen(
    authorizer=Authorizer.ON,
    denies=(),
    describes_every=True,
    topics=2,
    configs_of_every=True,
    requests=dict.fromkeys([QUORUM, REASSIGNMENTS, LOG_DIRS, BROKER_CONFIGS]),
    cluster=frozenset({Operation.DESCRIBE}),
    probe=frozenset(PROBE_OPERATIONS),
)
ALL_WELL = Evidence(
    bootstrap={ADDRESS: OPEN},
    listeners={1: OPEN},
    rights=RIGHTS,
    principal="User:healthd",
    snapshot=a_snapshot(ages={EvidenceGroup.METADATA: 1.0}),
    sources=frozenset({Source.LOG_DIRS}),
)
FORBIDS = DenyRule(
    principal="User:healthd",
    host="*",
    operation="Describe",
    resource=Resource.TOPIC,
    name="secret",
    pattern="literal",
)


def found(seen: Evidence) -> dict[tuple[str, str], DoctorFinding]:
    return {(each.source, each.subject): each for each in findings(seen)}


def problems(seen: Evidence) -> list[DoctorFinding]:
    return [each for each in findings(seen) if each.is_problem]


def with_rights(**changes: Any) -> Evidence:
    return replace(ALL_WELL, rights=replace(RIGHTS, **changes))


def with_requests(answers: Mapping[str, WireError | None]) -> Evidence:
    return with_rights(requests={**RIGHTS.requests, **answers})


def acls(finding: DoctorFinding) -> list[str]:
    return [str(acl) for acl in finding.acls]


def failure(source: Source, reason: FailureReason, node: int | None = None) -> SourceFailure:
    return SourceFailure(
        source=source, origin=Origin.OURS, reason=reason, detail="Nothing.", node=node
    )


def test_all_is_well() -> None:
    assert problems(ALL_WELL) == []
    assert [each.outcome for each in findings(ALL_WELL)].count(Outcome.NOT_CONFIGURED) == 1


class TestDoors:
    def test_one_bootstrap_address_of_two_costs_nothing_yet(self) -> None:
        [finding] = problems(replace(ALL_WELL, bootstrap={ADDRESS: OPEN, "b2:9092": SHUT}))
        assert (finding.source, finding.terms) == ("bootstrap", ())

    def test_all_of_them_cost_everything_that_kafka_tells(self) -> None:
        [finding] = problems(replace(ALL_WELL, bootstrap={ADDRESS: SHUT}))
        assert finding.terms == (Term.PARTITIONS, Term.BROKERS, Term.CONTROLLER)

    def test_a_broker_that_says_it_listens_where_we_do_not_get_is_named(self) -> None:
        [finding] = problems(replace(ALL_WELL, listeners={1: OPEN, 2: SHUT}))
        assert finding.subject == "broker 2 at b1:9092"


class TestConnection:
    def test_refused_credentials_are_one_finding_and_nothing_is_guessed_from_them(self) -> None:
        error = WireError(FailureReason.AUTHENTICATION, Origin.OURS, "wrong password")
        seen = replace(
            ALL_WELL,
            rights=RightsSeen(connection=error),
            probe_topic="__healthd_probe",
            failures=(failure(Source.LOG_DIRS, FailureReason.AUTHENTICATION),),
        )
        [finding] = problems(seen)
        assert (finding.outcome, finding.detail) == (Outcome.DENIED, "wrong password.")
        assert finding.acls == ()

    def test_a_time_out_is_no_refusal(self) -> None:
        [finding] = problems(replace(ALL_WELL, rights=RightsSeen(connection=LATE)))
        assert finding.outcome is Outcome.UNREACHABLE


class TestTopics:
    def test_topics_may_be_hidden(self) -> None:
        [finding] = problems(replace(with_rights(describes_every=False), snapshot=None))
        assert finding.outcome is Outcome.DENIED
        assert acls(finding) == ["Describe on Topic:*"]
        assert finding.terms == (Term.PARTITIONS, Term.BROKERS)

    def test_the_controllers_count_proves_that_none_is(self) -> None:
        seen = with_rights(describes_every=False)
        assert problems(seen) == []
        assert "controller counts" in found(seen)["metadata", "Describe on Topic:*"].detail

    def test_metadata_that_never_counted_proves_nothing(self) -> None:
        never = a_snapshot(ages={EvidenceGroup.METADATA: None})
        assert problems(replace(with_rights(describes_every=False), snapshot=never))

    def test_a_rule_that_hides_some_is_to_be_removed(self) -> None:
        [finding] = problems(with_rights(denies=(FORBIDS,)))
        assert finding.denies == (FORBIDS,)
        assert finding.acls == ()

    @pytest.mark.parametrize(
        "other",
        [
            replace(FORBIDS, principal="User:somebody"),
            replace(FORBIDS, operation="Read"),
            replace(FORBIDS, resource=Resource.GROUP),
        ],
        ids=["somebody-else", "hides-nothing", "no-topic"],
    )
    def test_rules_about_other_things_are_passed_over(self, other: DenyRule) -> None:
        assert problems(with_rights(denies=(other,))) == []

    @pytest.mark.parametrize("operation", ["All", "Describe"])
    def test_rules_about_everybody_are_about_us(self, operation: str) -> None:
        rule = replace(FORBIDS, principal="User:*", operation=operation)
        assert problems(with_rights(denies=(rule,)))

    def test_no_answer_is_unknown(self) -> None:
        [finding] = problems(with_rights(describes_every=None))
        assert finding.outcome is Outcome.UNKNOWN

    def test_that_rules_could_not_be_seen_is_said(self) -> None:
        [finding] = [f for f in findings(with_rights(denies=None)) if "Topic:*" in f.subject][:1]
        assert "were not to be seen" in finding.detail


class TestConfigs:
    def test_denied_topics_are_named(self) -> None:
        [finding] = problems(with_rights(configs_of_every=False, configs_denied=("orders",)))
        assert "orders" in finding.detail
        assert acls(finding) == ["DescribeConfigs on Topic:*"]
        assert finding.terms == (Term.PARTITIONS,)

    def test_a_right_for_each_topic_that_is_there_is_enough(self) -> None:
        seen = with_rights(configs_of_every=False)
        assert problems(seen) == []
        assert "new topics" in found(seen)["configs", "DescribeConfigs on Topic:*"].detail

    def test_with_no_topic_to_be_seen_the_general_right_counts(self) -> None:
        assert problems(with_rights(configs_of_every=False, topics=0))


@pytest.mark.parametrize(
    ("request_name", "source", "acl", "terms"),
    [
        (
            QUORUM,
            "quorum",
            "Describe on Cluster:kafka-cluster",
            (Term.PARTITIONS, Term.BROKERS, Term.CONTROLLER),
        ),
        (REASSIGNMENTS, "quorum", "Describe on Cluster:kafka-cluster", (Term.CONTROLLER,)),
        (LOG_DIRS, "logDirs", "Describe on Cluster:kafka-cluster", (Term.STORAGE,)),
        (
            BROKER_CONFIGS,
            "configs",
            "DescribeConfigs on Cluster:kafka-cluster",
            (Term.PARTITIONS,),
        ),
    ],
)
def test_a_refused_request_names_the_acl_and_the_terms(
    request_name: str, source: str, acl: str, terms: tuple[Term, ...]
) -> None:
    [finding] = problems(with_requests({request_name: DENIED}))
    assert (finding.source, finding.subject, finding.terms) == (source, request_name, terms)
    assert acls(finding) == [acl]


def test_a_request_that_fails_for_another_reason_grants_nothing() -> None:
    [finding] = problems(with_requests({QUORUM: LATE}))
    assert (finding.outcome, finding.acls) == (Outcome.UNREACHABLE, ())


def test_a_request_that_this_version_lacks_is_not_missed() -> None:
    assert problems(with_rights(requests={})) == []


class TestProbe:
    @staticmethod
    def probed(**changes: Any) -> Evidence:
        return replace(with_rights(**changes), probe_topic="__healthd_probe")

    def test_all_rights_are_there(self) -> None:
        assert problems(self.probed()) == []

    def test_what_is_needed_to_use_it_costs_the_term(self) -> None:
        [finding] = problems(self.probed(probe=frozenset(PROBE_OPERATIONS) - {Operation.WRITE}))
        assert acls(finding) == ["Write on Topic:__healthd_probe"]
        assert finding.terms == (Term.PROBE,)

    def test_what_is_needed_to_repair_it_costs_nothing_yet(self) -> None:
        [finding] = problems(self.probed(probe=frozenset(PROBE_OPERATIONS) - {Operation.ALTER}))
        assert finding.terms == ()

    def test_a_topic_that_is_there_need_not_be_created(self) -> None:
        rights = frozenset(PROBE_OPERATIONS) - {Operation.CREATE}
        assert problems(self.probed(probe=rights, has_probe_topic=True)) == []
        assert problems(self.probed(probe=rights))

    def test_no_answer_is_unknown(self) -> None:
        [finding] = problems(self.probed(probe=None))
        assert finding.outcome is Outcome.UNKNOWN


class TestSources:
    def test_one_page_of_four_costs_a_quarter_of_its_terms(self) -> None:
        seen = replace(
            ALL_WELL,
            exporters=dict.fromkeys((1, 2, 3, 4), "http://x"),
            failures=(failure(Source.METRICS, FailureReason.REFUSED, 3),),
        )
        [finding] = problems(seen)
        assert (finding.subject, finding.share) == ("node 3", 0.25)
        assert finding.outcome is Outcome.UNREACHABLE

    @pytest.mark.parametrize(
        ("reason", "outcome"),
        [
            (FailureReason.AUTHENTICATION, Outcome.DENIED),
            (FailureReason.TIMEOUT, Outcome.UNREACHABLE),
            (FailureReason.HTTP_STATUS, Outcome.FAILED),
        ],
    )
    def test_any_further_source_is_told_by_its_failures(
        self, reason: FailureReason, outcome: Outcome
    ) -> None:
        seen = replace(
            ALL_WELL,
            sources=frozenset({Source.CONNECT, Source.REGISTRY}),
            failures=(failure(Source.CONNECT, reason),),
        )
        assert found(seen)["connectors", "connectors"].outcome is outcome
        assert found(seen)["schemaRegistry", "schemaRegistry"].outcome is Outcome.ALLOWED

    def test_what_was_not_read_in_time_is_unknown(self) -> None:
        seen = replace(ALL_WELL, snapshot=None, sources=frozenset({Source.CONNECT}))
        assert found(seen)["connectors", "connectors"].outcome is Outcome.UNKNOWN

    def test_certificates_that_are_over_are_a_problem(self) -> None:
        section = {"listeners": [{"address": "b1:9093", "broker": 1, "secondsLeft": -86_400}]}
        [finding] = problems(
            replace(
                ALL_WELL,
                snapshot=a_snapshot(
                    ages={EvidenceGroup.METADATA: 1.0}, extra={"certificates": section}
                ),
                sources=frozenset({Source.CERTIFICATES}),
            )
        )
        assert (finding.source, finding.outcome) == ("certificates", Outcome.FAILED)
        assert "b1:9093 expired" in finding.detail


class TestWaves:
    def test_hosts_that_nobody_gets_to_are_named(self) -> None:
        [finding] = problems(replace(ALL_WELL, ssh={1: OPEN, 2: SHUT}))
        assert (finding.source, finding.subject) == ("ssh", "node 2 at b1:9092")

    def test_elections_need_a_right_where_waves_run_and_only_there(self) -> None:
        assert problems(ALL_WELL) == []
        [finding] = problems(replace(ALL_WELL, drives_waves=True))
        assert acls(finding) == ["Alter on Cluster:kafka-cluster"]
        assert finding.terms == ()


def test_costs_are_shares_of_the_weights_that_are_configured() -> None:
    seen = with_requests({BROKER_CONFIGS: DENIED, REASSIGNMENTS: DENIED})
    examined = Examination(
        cluster="payments",
        bootstrap=ADDRESS,
        principal="User:healthd",
        authorizer=Authorizer.ON,
        health_class="UNKNOWN",
        completeness=0.2,
        weights={Term.PARTITIONS: 45, Term.BROKERS: 15, Term.CONTROLLER: 15},
        findings=findings(seen),
    )
    document = examined.as_json()
    costs = {each["subject"]: each["completenessLost"] for each in document["findings"]}
    assert costs[BROKER_CONFIGS] == 0.6
    assert costs[REASSIGNMENTS] == 0.2
    assert costs[QUORUM] == 0
    assert document["problems"] == 2
    [command] = document["grants"]
    assert command.endswith("--operation Describe --operation DescribeConfigs --cluster")
