"""Killed processes are waited for, judging by Ray's tables, faked here; test_gang.py kills real processes."""

import types

import pytest

from cluster import killing

NODES = A, B = ["0a", "0b"]


@pytest.fixture
def hosts(monkeypatch):
    """Two actors, dead once both have been killed, and the set of their processes that are still alive."""
    actors = {bytes([rank]): (node, 100 + rank) for rank, node in enumerate(NODES)}
    killed, living = [], set(actors.values())

    class Accessor:
        def get_worker_table(self):
            return [
                killing.WorkerTableData(
                    is_alive=(node, process) in living, pid=process, worker_address={"node_id": bytes.fromhex(node)}
                ).SerializeToString()
                for node, process in actors.values()
            ]

    def actor_table(identity):
        node, process = actors[bytes.fromhex(identity)]
        return {"State": "DEAD" if len(killed) == 2 else "ALIVE", "Pid": process, "Address": {"NodeID": node}}

    monkeypatch.setattr(killing.ray, "kill", killed.append)
    monkeypatch.setattr(killing.state, "actor_table", actor_table)
    monkeypatch.setattr(killing.state, "_connect_and_get_accessor", Accessor)
    monkeypatch.setattr(killing, "without_host", lambda nodes: set())
    monkeypatch.setattr(killing, "remove_placement_group", lambda group: None)
    monkeypatch.setattr(killing, "_SLOW_S", 0.1)
    return [types.SimpleNamespace(_actor_id=identity) for identity in actors], living


def test_a_process_is_waited_for_that_outlives_its_actor(hosts, monkeypatch):
    actors, living = hosts
    looks = []

    def sleep(seconds):
        looks.append(set(living))
        living.discard((A, 100) if len(looks) == 1 else (B, 101))

    monkeypatch.setattr(killing.time, "sleep", sleep)
    killing.kill(actors, NODES, None)
    assert looks == [{(A, 100), (B, 101)}, {(B, 101)}]


def test_one_that_takes_long_is_ended_by_giving_its_place_back(hosts, monkeypatch, capfd):
    actors, living = hosts
    removed = []
    monkeypatch.setattr(killing, "remove_placement_group", lambda group: removed.append(group) or living.clear())
    killing.kill(actors, NODES, "group")
    assert removed == ["group"]
    assert capfd.readouterr().err == ""


def test_one_of_a_lost_machine_is_not_waited_for(hosts, monkeypatch, capfd):
    actors, living = hosts
    living.discard((A, 100))
    monkeypatch.setattr(killing, "without_host", lambda nodes: {0} if nodes == [B] else set())
    killing.kill(actors, NODES, None)
    assert living == {(B, 101)}
    assert capfd.readouterr().err == ""


def test_one_that_does_not_end_is_named_and_left(hosts, monkeypatch, capfd):
    actors, living = hosts
    living.discard((A, 100))
    monkeypatch.setattr(killing, "_GONE_S", 0.5)
    killing.kill(actors, NODES, None)
    assert capfd.readouterr().err.startswith("host 1 has been killed, and after ")
