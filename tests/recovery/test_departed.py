"""The nodes that have left lately."""

from zmqio.ids import NodeId
from zmqio.recovery.departed import MAX_NODES, DepartedNode, DepartedNodes


def departed(name: str, at: float, number: int = 1) -> DepartedNode:
    return DepartedNode(NodeId(name), number, at)


def test_nodes_are_remembered_for_a_time() -> None:
    nodes = DepartedNodes(10.0)
    nodes.add(departed("a", 1.0))
    nodes.add(departed("b", 5.0))
    assert [node.node_id for node in nodes.since(2.0)] == ["b"]
    assert [node.node_id for node in nodes.since(1.0)] == ["a", "b"]
    nodes.expire(12.0)
    assert [node.node_id for node in nodes.since(0.0)] == ["b"]
    assert NodeId("b") in nodes and NodeId("a") not in nodes


def test_a_node_that_leaves_again_is_remembered_once() -> None:
    nodes = DepartedNodes(10.0)
    for at in (1.0, 2.0):
        nodes.add(departed("a", at, int(at)))
    assert nodes.since(0.0) == [departed("a", 2.0, 2)]


def test_the_number_is_bounded() -> None:
    nodes = DepartedNodes(10.0)
    for number in range(MAX_NODES + 1):
        nodes.add(departed(str(number), 1.0))
    found = nodes.since(0.0)
    assert (len(found), found[0].node_id) == (MAX_NODES, "1")
