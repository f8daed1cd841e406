"""What happens if there is no cluster."""

import http.server
import threading

import pytest
import ray

from cluster import gang
from cluster.errors import ClusterError
from cluster.slices import slice_named


@pytest.fixture
def stranger(monkeypatch):
    """Another server on the port of Ray's dashboard; yields the paths requested from it."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        monkeypatch.setattr(gang, "DASHBOARD_PORT", server.server_port)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield asked
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def no_address(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


def test_another_server_at_the_port_is_no_cluster(stranger):
    assert not gang.connect()
    assert len(stranger) == 1


def test_a_closed_port_is_no_cluster(monkeypatch):
    monkeypatch.setattr(gang, "DASHBOARD_PORT", 1)
    assert not gang.connect()


def test_a_named_cluster_that_does_not_answer_is_an_error(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(ClusterError, match=r"no Ray cluster answers at 127\.0\.0\.1:1"):
        gang.connect()
    assert not ray.is_initialized()


def test_a_run_without_a_cluster_does_not_start_one():
    with pytest.raises(ClusterError, match="has no cluster to run on"):
        gang.run("module:function", {}, slice_named("v2-8"))
    assert not ray.is_initialized()
