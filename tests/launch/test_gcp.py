"""The command that makes a cluster file: its output passes its own check, and errors are reported before it writes."""

import pytest
import yaml

from cluster.gcp import config as gcp
from launch import gcp as command

GIVEN = ("--project=some-project", "--bucket=some-bucket")


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home folder with a token; the command never makes one."""
    folder = tmp_path / "home"
    (folder / ".ray").mkdir(parents=True)
    (folder / ".ray" / "auth_token").write_text("secret")
    monkeypatch.setenv("HOME", str(folder))
    return folder


@pytest.mark.parametrize("slice", ["v2-8", "v2-32"])
def test_the_file_is_filled_in_checked_and_told_how_to_use(call, home, tmp_path, slice):
    status, out, error = call(command, *GIVEN, f"--slice={slice}", "--slices=2", task=None)
    assert status == 0, error
    path = tmp_path / "runs" / f"gcp-{slice}.yaml"
    config = yaml.safe_load(path.read_text())
    gcp.check(config)
    assert config["provider"]["project_id"] == "some-project"
    assert "gs://some-bucket/data" in " ".join(config["setup_commands"])
    assert config["max_workers"] == 2
    assert "secret" not in path.read_text() + out
    assert f"ray up -y runs/gcp-{slice}.yaml" in out
    # Autoscaler v1: to v2 the hosts of a preempted slice are an error (WORKSPACE.md).
    assert "RAY_UP_enable_autoscaler_v2=0" in out.partition("ray up")[0]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--bucket=some-bucket"], "--project"),
        ([*GIVEN, "--zone=us-east1-d"], "us-east1-d: has no v2-32; there are us-central1-a, europe-west4-a"),
        ([*GIVEN, "--slice=v2-33"], "no slice is called 'v2-33'; did you mean v2-32?"),
        ([*GIVEN, "--slice=v2-128"], "--slice=v2-128: no cluster file"),
        (["--project=P", "--bucket=b-b"], "--project=P: no id of a project"),
        ([*GIVEN, "--out=gs://some-bucket/x.yaml"], "--out=gs://some-bucket/x.yaml: has to be on a disk"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_written(call, home, tmp_path, argv, message):
    status, _, error = call(command, *argv, task=None)
    assert status == 2
    assert message in error
    assert list(tmp_path.iterdir()) == [home]


def test_without_a_token_there_is_no_cluster_file(call, home, tmp_path):
    (home / ".ray" / "auth_token").unlink()
    status, _, error = call(command, *GIVEN, task=None)
    assert status == 2
    assert "auth_token: no such file, which every host is to have; make it with ray get-auth-token --generate" in error
    assert list(tmp_path.iterdir()) == [home]
