"""What each check tells a person: what is so, what it does to clients, and what to do."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from healthd.model.codes import CheckCode


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckText:
    """The sentences of one check. `{count}` and `{detail}` are filled in."""

    one: str
    """The summary when there is one object."""
    many: str
    """The summary when there are more."""
    impact: str
    action: str

    def summary(self, count: int, detail: str = "") -> str:
        """The summary for so many objects."""
        return (self.one if count == 1 else self.many).format(count=count, detail=detail)


def _of_cluster(summary: str, impact: str, action: str) -> CheckText:
    return CheckText(one=summary, many=summary, impact=impact, action=action)


TEXTS: Final[Mapping[CheckCode, CheckText]] = {
    CheckCode.PARTITION_OFFLINE: CheckText(
        one="1 partition has no leader",
        many="{count} partitions have no leader",
        impact="Nobody can read from or write to them.",
        action="Bring back the brokers that hold their replicas, those of the last ISR first. "
        "Do not allow an unclean election before you know what it would lose.",
    ),
    CheckCode.INTERNAL_TOPIC_UNAVAILABLE: CheckText(
        one="1 partition of an internal topic cannot be written",
        many="{count} partitions of internal topics cannot be written",
        impact="Consumer groups cannot commit or join, transactions cannot begin or end.",
        action="Bring back the brokers that hold these partitions before anything else.",
    ),
    CheckCode.PARTITION_UNDER_MIN_ISR: CheckText(
        one="1 partition has fewer replicas in sync than min.insync.replicas",
        many="{count} partitions have fewer replicas in sync than min.insync.replicas",
        impact="Producers with acks=all are refused; reading goes on.",
        action="Bring back the brokers that hold the missing replicas. Restart nothing else.",
    ),
    CheckCode.PARTITION_AT_MIN_ISR: CheckText(
        one="1 partition has no replica in sync to spare, or is electing a leader",
        many="{count} partitions have no replica in sync to spare, or are electing a leader",
        impact="Clients are served; the next broker that goes stops acks=all producers.",
        action="Bring back the brokers that hold the missing replicas, or find out why they do not "
        "catch up. Stop no broker until they are back.",
    ),
    CheckCode.PARTITION_UNDER_REPLICATED: CheckText(
        one="1 partition lacks a replica in sync",
        many="{count} partitions lack a replica in sync",
        impact="Clients notice nothing; there is less in reserve.",
        action="Look for a broker that is down, restarting or slow; wait if it is catching up.",
    ),
    CheckCode.CONTROLLER_TRANSIENT: _of_cluster(
        "no agreed active controller for {detail}",
        "Leaders cannot move and topics cannot change until one is elected.",
        "Wait: an election takes seconds. If it lasts, look at the controllers' logs.",
    ),
    CheckCode.CONTROLLER_ABSENT: _of_cluster(
        "no agreed active controller for {detail}",
        "A broker that fails now takes its leaders with it, and metadata no longer tells the "
        "truth.",
        "Bring back a majority of the controllers. Stop no broker: a controlled shutdown would "
        "hang.",
    ),
    CheckCode.BROKER_DOWN: CheckText(
        one="1 broker is down",
        many="{count} brokers are down",
        impact="Their replicas are missing; what that means is told by the partition checks.",
        action="Start them again, or find out why they cannot register with the controller.",
    ),
    CheckCode.PROBE_FAILING: _of_cluster(
        "{detail}",
        "Clients may fail in the same way.",
        "Read the probe's last error; compare it with the partition and controller checks.",
    ),
    CheckCode.DISK_HIGH: CheckText(
        one="1 broker has a log directory that is {detail}",
        many="{count} brokers have a log directory that is {detail}",
        impact="None yet. A full log directory stops the broker or takes its replicas offline.",
        action="Shorten retention, move partitions away or add disk.",
    ),
    CheckCode.DISK_CRITICAL: CheckText(
        one="1 broker has a log directory that is {detail}",
        many="{count} brokers have a log directory that is {detail}",
        impact="When it is full that broker loses the replicas in it.",
        action="Free space now: shorten retention of the largest topics, then move partitions.",
    ),
    CheckCode.UNCLEAN_ELECTION: _of_cluster(
        "{detail} within 24 hours",
        "Acknowledged messages were lost, and consumers may see gaps or duplicates.",
        "Find the topics in the controller's log, tell their owners, and ask why every replica "
        "in sync was lost.",
    ),
    CheckCode.UNREACHABLE: _of_cluster(
        "no broker can be reached, and others can",
        "Clients cannot connect.",
        "Look at the network in front of the cluster, its listeners and its hosts.",
    ),
    CheckCode.QUORUM_AT_RISK: CheckText(
        one="1 voter of the controller quorum is behind{detail}",
        many="{count} voters of the controller quorum are behind{detail}",
        impact="The quorum can lose fewer voters, or none, before the cluster has no controller.",
        action="Look at those controllers' hosts and logs. Stop no other controller.",
    ),
    CheckCode.BROKER_RECOVERING: CheckText(
        one="1 broker is recovering its logs",
        many="{count} brokers are recovering their logs",
        impact="It takes no part until it is done; it follows an unclean stop.",
        action="Wait, and restart nobody meanwhile. Find out why it was not stopped cleanly.",
    ),
    CheckCode.BROKER_FENCED: CheckText(
        one="1 broker runs and is fenced",
        many="{count} brokers run and are fenced",
        impact="The controller does not hear it: it leads nothing and is in no ISR.",
        action="Look at its connection to the controllers, at pauses and at its disks.",
    ),
    CheckCode.LOGDIR_OFFLINE: CheckText(
        one="1 broker has lost a log directory",
        many="{count} brokers have lost log directories",
        impact="The replicas in it are offline until the broker is restarted with a sound disk.",
        action="Replace or repair the disk, then restart the broker.",
    ),
    CheckCode.CONFIG_MINISR_GT_RF: CheckText(
        one="1 topic has fewer replicas than min.insync.replicas asks for{detail}",
        many="{count} topics have fewer replicas than min.insync.replicas asks for{detail}",
        impact="From Kafka 3.7 on every replica must be up for acks=all; before, acks=all always "
        "fails.",
        action="Add replicas or lower min.insync.replicas of these topics.",
    ),
    CheckCode.RF_ONE: CheckText(
        one="1 topic has partitions with one replica only",
        many="{count} topics have partitions with one replica only",
        impact="Whenever that broker stops they are offline; when its disk dies they are lost.",
        action="Add replicas, or accept it by name where brokers are restarted.",
    ),
    CheckCode.MIXED_VERSIONS: _of_cluster(
        "brokers run different versions: {detail}",
        "None while an upgrade is under way.",
        "Finish the upgrade, or roll it back.",
    ),
    CheckCode.MIN_ISR_UNKNOWN: CheckText(
        one="min.insync.replicas of 1 topic is not known",
        many="min.insync.replicas of {count} topics is not known",
        impact="Nobody can tell whether their producers are refused; no broker may be stopped.",
        action="Allow healthd to read topic configurations (ACL DescribeConfigs on topics).",
    ),
    CheckCode.RACK_LOSS_NOT_TOLERATED: CheckText(
        one="1 rack cannot be lost without stopping writes or the controllers",
        many="{count} racks cannot be lost without stopping writes or the controllers",
        impact="None now. When that rack fails, acks=all producers are refused or no controller "
        "is left.",
        action="Ask `healthd ok-to-stop` what is in the way; spread replicas and controllers over "
        "the racks.",
    ),
    CheckCode.REMOTE_LOG_METADATA_UNAVAILABLE: CheckText(
        one="1 partition of __remote_log_metadata cannot be written",
        many="{count} partitions of __remote_log_metadata cannot be written",
        impact="Tiered storage stands still for the topics behind it: local disks fill, old data "
        "cannot be read.",
        action="Bring back the brokers that hold these partitions.",
    ),
    CheckCode.SATURATED: _of_cluster(
        "request handlers have been less than {detail}",
        "Requests queue: clients see latency, then time-outs, and replicas may fall out of sync.",
        "Look for what is new: a client, a topic, a reassignment. Quota it, or add brokers; stop "
        "no broker meanwhile.",
    ),
    CheckCode.CONTROLLER_FLAPPING: _of_cluster(
        "the active controller changed {detail}",
        "Each change delays leader elections and topic changes; while it goes on nothing settles.",
        "Look at the controllers' logs for elections, long pauses and slow disks, and at the "
        "network between them.",
    ),
    CheckCode.CONTROLLER_SPLIT: CheckText(
        one="1 node claims to be the active controller beside another one",
        many="{count} nodes claim to be the active controller",
        impact="Two controllers may give brokers orders that contradict each other.",
        action="Find out which of them the quorum follows (kafka-metadata-quorum.sh describe "
        "--status) and stop the others. Change nothing else until it is one.",
    ),
    CheckCode.ISR_CHURN: CheckText(
        one="replicas of 1 partition or broker left and joined the ISR again and again in {detail}",
        many="replicas of {count} partitions and brokers left and joined the ISR again and again "
        "in {detail}",
        impact="acks=all waits for replicas that come and go; the next failure finds fewer in "
        "sync.",
        action="Look for what these partitions share: one broker's disk, network or pauses.",
    ),
    CheckCode.LEADER_IMBALANCE: CheckText(
        one="1 broker does not lead more than {detail}",
        many="{count} brokers do not lead more than {detail}",
        impact="The other brokers carry its share of the clients' requests.",
        action="Run kafka-leader-election.sh --election-type preferred, and find out why "
        "auto.leader.rebalance.enable has not done so.",
    ),
    CheckCode.CONNECTOR_FAILED: CheckText(
        one="1 connector or task of Kafka Connect has failed{detail}",
        many="{count} connectors or tasks of Kafka Connect have failed{detail}",
        impact="What they moved stands still; Connect does not restart a failed task by itself.",
        action="Repair the cause in the trace, then restart: POST "
        "/connectors/NAME/restart?includeTasks=true&onlyFailed=true on any worker.",
    ),
    CheckCode.MIRROR_LAG: CheckText(
        one="1 mirror is behind, or was not seen lately{detail}",
        many="{count} mirrors are behind, or were not seen lately{detail}",
        impact="What the source wrote since then is missing on this cluster: a failover to it "
        "would lose that, and it is not ready for one.",
        action="Look at MirrorMaker's connectors and tasks, at its workers' load, and at whether "
        "the source answers. Do not fail over to this cluster meanwhile.",
    ),
    CheckCode.REGISTRY_DOWN: CheckText(
        one="1 instance of the Schema Registry is down{detail}",
        many="{count} instances of the Schema Registry are down{detail}",
        impact="Clients use the other instances. When the primary or every one is down no schema "
        "can be registered, and clients that start cannot read schemas.",
        action="Start the instance again and read its log; it needs its topic _schemas to be "
        "available.",
    ),
    CheckCode.ENSEMBLE_DEGRADED: CheckText(
        one="1 server takes no part in the ZooKeeper ensemble{detail}",
        many="{count} servers take no part in the ZooKeeper ensemble{detail}",
        impact="With a majority, none now: less is in reserve. Without one no leader can move and "
        "no ISR can change, and a broker that dies takes its partitions with it.",
        action="Start those servers again one by one, and wait for each to be a follower. Restart "
        "no server that serves, and no broker, meanwhile.",
    ),
    CheckCode.CERT_EXPIRY: CheckText(
        one="a certificate expires soon, or has expired{detail}",
        many="certificates of {count} objects expire soon, or have expired{detail}",
        impact="When a listener's certificate is over, clients that connect anew are refused; when "
        "healthd's own is, healthd sees nothing any more.",
        action="Have it signed again, put it where the broker (or healthd) reads it, and check "
        "with `healthd doctor`. Brokers take a new keystore by a dynamic config, unrestarted.",
    ),
    CheckCode.SLOW_BROKER: CheckText(
        one="1 broker answers the probe much later than the others{detail}",
        many="{count} brokers answer the probe much later than the others{detail}",
        impact="Clients of the partitions that it leads wait as long, producers with acks=all "
        "first.",
        action="Look at its disk, its garbage collection, its request queue and its network. Move "
        "its leaders away if it stays so.",
    ),
    CheckCode.FLEET_PANIC: _of_cluster(
        "it would be taken out of routing, but is the last member of {detail}",
        "Clients of these profiles are still sent to it, though it serves them badly: there is "
        "nowhere better.",
        "Bring back another member of the profile, or this cluster, first of all.",
    ),
    CheckCode.MONITOR_SUSPECT: _of_cluster(
        "{detail} clusters turned unknown or unreachable at once",
        "So many clusters rarely fail together: healthd's own network is in doubt, and every "
        "routing verdict is frozen.",
        "Look at healthd's host, network and DNS before you look at the clusters.",
    ),
    CheckCode.COLLECTOR_AUTH: _of_cluster(
        "healthd may not read everything{detail}",
        "What it may not read is not known: completeness falls and the gate is closed.",
        "Grant what is named, or repair healthd's credentials.",
    ),
    CheckCode.COLLECTOR_NETWORK: _of_cluster(
        "healthd cannot reach the cluster, or not all of it{detail}",
        "It may be healthd's own network; nothing is said about the cluster.",
        "Look at name resolution, routes and listeners from healthd's host.",
    ),
}
