"""Shapes and the addresses that follow from them."""

from __future__ import annotations

import pytest

from tools.cluster import NodeShape, Shape
from tools.cluster.addresses import node_addresses
from tools.cluster.bootstrap import node
from tools.cluster.shape import BENCH_LABEL, BOARD_LABEL, ZONE_LABEL


def test_the_default_shape_is_that_of_the_issue() -> None:
    shape = Shape()
    assert [each.name for each in shape.nodes] == ["control", "gpu-1", "gpu-2", "board-1", "board-2", "board-3", "board-4"]
    assert [each.gpus for each in shape.nodes] == [0, 1, 1, 0, 0, 0, 0]
    assert [each.name for each in shape.nodes if each.labels.get(BENCH_LABEL) == "true"] == ["board-4"]
    assert [each.labels.get(ZONE_LABEL) for each in shape.nodes if BOARD_LABEL in each.labels] == ["a", "b", "a", "b"]
    assert all(not each.taints for each in shape.nodes if BOARD_LABEL not in each.labels)


def test_a_shape_survives_its_json() -> None:
    shape = Shape.of(gpus=1, boards=2).with_labels("board-1", **{"bramble.dev/fleet": "demo"})
    assert Shape.from_json(shape.as_json()) == shape


def test_an_api_server_alone_has_no_nodes() -> None:
    assert Shape(api_only=True).nodes == ()


def test_two_nodes_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="must differ"):
        Shape(nodes=(NodeShape("one"), NodeShape("one")))


def test_labels_go_to_a_node_that_exists() -> None:
    with pytest.raises(ValueError, match="no node board-9"):
        Shape().with_labels("board-9", a="b")


def test_no_two_nodes_share_an_address_or_a_link() -> None:
    places = node_addresses(Shape.of(gpus=4, boards=7)).values()
    for field in ("address", "pod_cidr", "link"):
        assert len({getattr(place, field) for place in places}) == len(places)
    assert all(len(place.link) < 16 for place in places), "Linux names of links have at most 15 characters"


def test_no_node_claims_an_architecture_that_it_is_not() -> None:
    shape = Shape()
    places = node_addresses(shape)
    architectures = {node(each, places[each.name])["metadata"]["labels"]["kubernetes.io/arch"] for each in shape.nodes}
    assert len(architectures) == 1
    assert not any("arch" in key for each in shape.nodes for key in each.labels)
