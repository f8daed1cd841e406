"""Ray, Google and a run's placement accept the cluster files; a faulty one is refused, with the fix."""

import copy
import json
import re
import subprocess
import sys
import types
from importlib import resources
from unittest import mock

import pytest
import ray
import yaml
from ray._private.accelerators import TPUAcceleratorManager, tpu

from cluster import placement
from cluster.errors import ClusterError
from cluster.gcp import config as gcp
from cluster.slices import slice_named

NAMES = sorted(path.stem for path in gcp.FOLDER.glob("*.yaml"))


def filled(name="v2-32", **values):
    return gcp.filled(slice_named(name), **{"project": "some-project", "bucket": "some.bucket"} | values)


@pytest.fixture
def provider(monkeypatch):
    """Ray's provider for Google's cloud, of which only the parts that need no network are used here."""
    for name in (
        "google_auth_httplib2",
        "googleapiclient",
        "httplib2",
        "googleapiclient.discovery",
        "googleapiclient.errors",
    ):
        try:
            __import__(name)
        except ImportError:
            stand_in = types.ModuleType(name)
            stand_in.__path__ = []
            for attribute in ("AuthorizedHttp", "HttpError", "Resource", "discovery", "errors"):
                setattr(stand_in, attribute, type(attribute, (Exception,), {}))
            monkeypatch.setitem(sys.modules, name, stand_in)
    from ray.autoscaler._private.gcp import config, node_provider

    return types.SimpleNamespace(config=config, node_provider=node_provider.GCPNodeProvider)


def test_there_is_a_file_for_the_paper_s_slice_and_for_a_single_host():
    assert NAMES == ["v2-32", "v2-8"]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_filled_in_is_taken_and_what_is_not_is_refused(name):
    gcp.check(filled(name))
    raw = yaml.safe_load((gcp.FOLDER / f"{name}.yaml").read_text())
    with pytest.raises(ClusterError, match=r"FILL_\w+.*: not filled in; python launch/gcp.py does"):
        gcp.check(raw)
    text = (gcp.FOLDER / f"{name}.yaml").read_text().replace("FILL_BUCKET", "b").replace("FILL_PROJECT", "p")
    with pytest.raises(ClusterError, match=r"project_id: not filled in"):
        gcp.check(yaml.safe_load(text))
    assert "FILL_" not in json.dumps(filled(name))


def test_the_files_differ_in_the_slice_alone():
    one, other = ((gcp.FOLDER / f"{name}.yaml").read_text().replace(name, "SLICE") for name in NAMES)
    assert one == other


def changed(path, value):
    """The file with one field set or added, or removed if `value` is None."""
    config = copy.deepcopy(filled())
    *folders, last = path.split("/")
    inside = config
    for folder in folders:
        inside = inside[folder]
    if value is None:
        del inside[last]
    else:
        inside[last] = value
    return config


SLICE, HEAD = "available_node_types/slice", "available_node_types/head"


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("max_worker", 3, r"'max_worker' was unexpected"),
        ("clustername", "x", r"clustername"),
        ("auth/ssh_usr", "ubuntu", r"auth: .*ssh_usr"),
        ("provider/type", "gpc", r"Unsupported node provider: gpc"),
        ("setup_commands", "one text", r"setup_commands"),
        ("head_node_type", "haed", r"head_node_type"),
        ("head_node_type", "slice", r"head must not be a slice"),
        ("max_workers", 0, r"max_workers"),
        (f"{SLICE}/min_worker", 1, r"min_worker"),
        (f"{SLICE}/resources", None, r"resources"),
        (f"{SLICE}/resources/TPU", 8, r"slice.resources.TPU = 8: a host of a v2-32 has 4"),
        (f"{SLICE}/resources/TPU", None, r"slice.resources.TPU = None"),
        (f"{SLICE}/resources/tpu", 4, r"slice.resources.tpu: no run asks for it; there are CPU, TPU"),
        (f"{SLICE}/resources/TPU-v2-32-head", 1, r"TPU-v2-32-head: no run asks for it"),
        (f"{SLICE}/resources/CPU", 0, r"slice.resources.CPU = 0: a run takes 1 of a host"),
        (f"{SLICE}/node_config/acceleratorType", "v2-31", r"no slice is called 'v2-31'; did you mean v2-32"),
        (f"{SLICE}/node_config/acceleratorType", "v3-8", r"has no v3-8; no zone that has it is known"),
        (f"{SLICE}/node_config/acceleratorType", "v4-8", r"no slice is called 'v4-8'"),
        (f"{SLICE}/node_config/acceleratortype", "v2-32", r"acceleratortype: no such field; there are acceleratorType"),
        (f"{SLICE}/node_config/runtimeVersion", None, r"runtimeVersion: missing; tpu-ubuntu2204-base"),
        (f"{SLICE}/node_config/schedulingConfig", {"preemtible": True}, r"schedulingConfig.preemtible: no such field"),
        (f"{HEAD}/node_config/machinetype", "n2-standard-8", r"machinetype: no such field"),
        (
            "provider/availability_zone",
            "europe-west4-b",
            r"europe-west4-b: has no v2-32; there are us-central1-a, euro",
        ),
        ("provider/availability_zone", "us-central1-b", r"provider.region = europe-west4: us-central1-b is not in it"),
        ("provider/project_id", None, r"project_id: not filled in"),
        ("cluster_name", "FILL_NAME", r"cluster_name = FILL_NAME: not filled in"),
    ],
)
def test_a_file_with_a_slip_in_it_is_refused(path, value, message):
    with pytest.raises(ClusterError, match=message):
        gcp.check(changed(path, value))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"project": "My Project"}, r"--project=My Project: no id of a project"),
        ({"project": "FILL_PROJECT"}, r"--project=FILL_PROJECT: no id"),
        ({"bucket": "gs://bucket"}, r"--bucket=gs://bucket: no name of a bucket; give it without gs://"),
        ({"bucket": "bucket/data"}, r"--bucket=bucket/data: no name"),
        ({"slices": 0}, r"--slices=0: give a number of at least 1"),
        ({"name": "v2-512"}, r"--slice=v2-512: no cluster file; there are v2-32, v2-8"),
    ],
)
def test_values_that_cannot_be_right_are_refused(values, message):
    with pytest.raises(ClusterError, match=message):
        filled(**values)


def test_zones_are_those_that_have_the_slice():
    for name in NAMES:
        for zone in gcp.ZONES[name]:
            gcp.check(filled(name, zone=zone))
    with pytest.raises(ClusterError, match=r"us-central1-b: has no v2-32; there are us-central1-a, europe-west4-a"):
        gcp.check(filled(zone="us-central1-b"))


def test_several_slices_are_asked_for_as_nodes_of_ray():
    config = filled(slices=3)
    gcp.check(config)
    kind = config["available_node_types"]["slice"]
    assert (config["max_workers"], kind["min_workers"], kind["max_workers"]) == (3, 3, 3)


@pytest.mark.parametrize("name", NAMES)
def test_placement_finds_the_slice_that_ray_makes_of_the_file(name, provider, monkeypatch):
    config, slice = filled(name), slice_named(name)
    node_config = config["available_node_types"]["slice"]["node_config"]
    assert provider.config.get_node_type(node_config).value == "tpu"
    assert provider.config.get_node_type(config["available_node_types"]["head"]["node_config"]).value == "compute"
    assert provider.config._get_num_tpu_chips(node_config) == slice.chips
    assert provider.config._is_single_host_tpu(node_config) == (slice.hosts == 1)
    made = provider.node_provider.fillout_available_node_types_resources(config)
    resources = made["available_node_types"]["slice"]["resources"]
    assert resources == {"CPU": 96, "TPU": 4, f"TPU-{name}-head": 1}
    assert all(resources[each] >= number for each, number in placement.bundle(slice).items())

    # What Ray on a host reads from Google's metadata becomes the labels that placement uses.
    def host(rank):
        metadata = {"accelerator-type": node_config["acceleratorType"], "instance-id": "ray-x-tpu"}
        metadata |= {"agent-worker-number": str(rank), "tpu-env": f"TOPOLOGY: '{slice.topology}'"}
        for variable in ("TPU_NAME", "TPU_WORKER_ID", "TPU_ACCELERATOR_TYPE", "TPU_TOPOLOGY"):
            monkeypatch.delenv(variable, raising=False)
        monkeypatch.setattr(tpu, "_get_tpu_metadata", lambda key: metadata[key])
        return {
            "Alive": True,
            "Labels": TPUAcceleratorManager.get_current_node_accelerator_labels(),
            "Resources": resources,
        }

    hosts = [host(rank) for rank in range(slice.hosts)]
    monkeypatch.setattr(ray, "nodes", lambda: hosts)
    assert placement.whole_slices() == [(slice, "ray-x-tpu")]
    hosts.pop()
    assert placement.whole_slices() == []


@pytest.mark.parametrize("name", NAMES)
def test_what_ray_asks_google_for_is_a_preemptible_slice_whose_hosts_may_write_to_the_bucket(
    name, provider, monkeypatch
):
    from ray.autoscaler._private.gcp.node import GCPTPU

    google, node_config = mock.MagicMock(), filled(name)["available_node_types"]["slice"]["node_config"]
    monkeypatch.setattr(GCPTPU, "get_new_authorized_http", lambda self, http: None)
    tpus = GCPTPU(google, "some-project", "europe-west4-a", name)
    tpus.create_instance(node_config, {"ray-node-name": "ray-worker"}, wait_for_operation=False)
    asked = google.projects().locations().nodes().create.call_args.kwargs
    assert asked["parent"] == "projects/some-project/locations/europe-west4-a"
    body = asked["body"]
    assert (body["acceleratorType"], body["schedulingConfig"]) == (name, {"preemptible": True})
    account = "ray-autoscaler-sa-v1@some-project.iam.gserviceaccount.com"
    assert account == provider.config.SERVICE_ACCOUNT_EMAIL_TEMPLATE.format(
        account_id=provider.config.DEFAULT_SERVICE_ACCOUNT_ID, project_id="some-project"
    )
    assert body["serviceAccount"] == {"email": account, "scope": ["https://www.googleapis.com/auth/cloud-platform"]}


def test_only_the_first_host_has_the_resource_of_the_whole_slice(provider):
    from ray.autoscaler._private.gcp.tpu_command_runner import _maybe_remove_head_resource

    resources = {"RAY_OVERRIDE_RESOURCES": {"TPU": 4, "TPU-v2-32-head": 1}}
    left = [_maybe_remove_head_resource(resources, rank, "v2-32")["RAY_OVERRIDE_RESOURCES"] for rank in range(4)]
    assert left == [{"TPU": 4, "TPU-v2-32-head": 1}, *[{"TPU": 4}] * 3]


def commands(config):
    return [command for key, value in config.items() if key.endswith("_commands") for command in value]


@pytest.mark.parametrize("name", NAMES)
def test_every_command_is_one_that_a_shell_can_read(name):
    config = filled(name)
    assert len(commands(config)) >= 9
    for command in commands(config):
        read = subprocess.run(["bash", "-n", "-c", command], capture_output=True, text=True)
        assert (read.returncode, read.stderr) == (0, ""), command


@pytest.mark.parametrize("name", NAMES)
def test_the_cluster_is_closed_but_to_those_who_have_the_token(name):
    config = filled(name)
    for key in ("head_start_ray_commands", "worker_start_ray_commands"):
        (start,) = (command for command in config[key] if "ray start" in command)
        assert "RAY_AUTH_MODE=token" in start.partition("ray start")[0]
    head = " ".join(config["head_start_ray_commands"])
    assert re.findall(r"--dashboard-host=(\S+)", head) == ["127.0.0.1"]
    assert "0.0.0.0" not in json.dumps(config)
    assert config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"


@pytest.mark.parametrize("name", NAMES)
def test_hosts_install_what_is_locked_and_only_slices_take_libtpu(name):
    config = filled(name)
    mounted = {there.rpartition("/")[2]: here for there, here in config["file_mounts"].items()}
    for lists in ("setup_commands", "worker_setup_commands"):
        for command in config[lists]:
            for lock in re.findall(r"-r (\S+)", command):
                assert gcp.ROOT / lock == type(gcp.ROOT)(mounted[lock])
                assert (gcp.ROOT / lock).is_file()
            assert ("-r " in command) == ("--require-hashes" in command)
    assert "tpu-compile" not in " ".join(config["setup_commands"] + config["head_setup_commands"])
    assert "requirements-tpu-compile.lock" in config["worker_setup_commands"][0]
    assert "uv venv --python 3.11" in config["setup_commands"][1]


def test_the_fields_that_google_takes_are_those_of_its_own_documents():
    pytest.importorskip("googleapiclient", reason="the extra gcp has Google's documents")
    documents = resources.files("googleapiclient") / "discovery_cache" / "documents"

    def schemas(name):
        return json.loads((documents / name).read_text())["schemas"]

    def fields(schemas, name):
        return schemas[name]["properties"]

    node = schemas("tpu.v2alpha1.json")
    inner = {"schedulingConfig": "SchedulingConfig", "networkConfig": "NetworkConfig"}
    for name, inside in gcp.TPU_FIELDS.items():
        if name == "serviceAccounts":  # Ray turns them into serviceAccount and scope
            assert set(fields(node, "ServiceAccount")) == {"email", "scope"}
            continue
        assert name in fields(node, "Node")
        assert not inside or inside <= set(fields(node, inner[name]))
    machine = schemas("compute.v1.json")
    inner = {"disks": "AttachedDisk", "networkInterfaces": "NetworkInterface", "serviceAccounts": "ServiceAccount"}
    inner |= {"scheduling": "Scheduling", "tags": "Tags", "metadata": "Metadata"}
    for name, inside in gcp.MACHINE_FIELDS.items():
        assert name in fields(machine, "Instance")
        assert not inside or inside <= set(fields(machine, inner[name]))
