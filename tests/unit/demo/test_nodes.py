from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from healthd.demo.addresses import Block, Ports
from healthd.demo.fleet_file import cluster_entry, write_fleet_file
from healthd.demo.hosts import SshAccess
from healthd.demo.nodes import CONTROLLERS, FIVE, THREE, Shape, plan_nodes

BLOCK = Block(prefix="127.44.1", ports=Ports())


def test_five_nodes_in_three_racks_with_a_controller_in_each(tmp_path: Path) -> None:
    nodes = plan_nodes(BLOCK, tmp_path)
    assert Counter(node.rack for node in nodes) == {"az1": 2, "az2": 2, "az3": 1}
    assert {node.rack for node in nodes if node.is_controller} == {"az1", "az2", "az3"}
    assert tuple(node.id for node in nodes if node.is_controller) == CONTROLLERS


@pytest.mark.parametrize("shape", [FIVE, THREE], ids=["five", "three"])
def test_each_shape_loses_a_broker_and_keeps_its_quorum_and_its_writes(
    tmp_path: Path, shape: Shape
) -> None:
    nodes = plan_nodes(BLOCK, tmp_path, shape)
    assert {node.id: node.rack for node in nodes} == dict(shape.racks)
    assert tuple(node.id for node in nodes if node.is_controller) == shape.controllers
    assert len(shape.controllers) % 2 == 1
    assert len(shape.controllers) >= 3
    assert shape.min_insync_replicas < shape.replication_factor <= len(nodes)


def test_no_two_nodes_share_an_address_or_a_folder(tmp_path: Path) -> None:
    nodes = plan_nodes(BLOCK, tmp_path)
    assert len({node.host for node in nodes}) == len({node.folder for node in nodes}) == 5


def test_every_broker_is_a_host_of_the_fleet_file_with_its_command(tmp_path: Path) -> None:
    nodes = plan_nodes(BLOCK, tmp_path)
    ssh = SshAccess(user="demo", key_file=tmp_path / "key", known_hosts_file=tmp_path / "known")
    path = tmp_path / "fleet.yaml"
    write_fleet_file(path, [cluster_entry("payments", nodes, ssh, tmp_path)])

    (cluster,) = YAML(typ="safe").load(path)["clusters"]
    assert cluster["name"] == "payments"
    assert [host["address"] for host in cluster["hosts"]] == [node.host for node in nodes]
    for node, host in zip(nodes, cluster["hosts"], strict=True):
        template, word = cluster["service"]["stop"]
        assert template.format(broker_id=host["broker"]) == str(node.service_command)
        assert word == "stop"
