"""Fills in cluster files for `ray up` on Google's TPU VMs, and checks what can be known before anything is rented.

The YAML files next to this one are for one kind of slice each. The user's values in them are placeholders that begin
with FILL_, and the project id, without which Ray starts nothing, is missing.
"""

import contextlib
import copy
import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from cluster.emulated import ROOT
from cluster.errors import ClusterError
from cluster.placement import bundle
from cluster.slices import Slice, slice_named

FOLDER = Path(__file__).parent

# Zones that have slices of a size. Source: Google Cloud's page "TPU regions and zones", versions of 2024 and 2025.
ZONES = {
    "v2-8": ("us-central1-b", "us-central1-c", "europe-west4-a", "asia-east1-c"),
    "v2-32": ("us-central1-a", "europe-west4-a"),
}

# Fields that Google accepts, among those that may be wanted here. Ray passes them on unchecked, except
# `serviceAccounts`, which it renames for TPUs. Source: the discovery documents of the APIs that Ray calls, tpu v2alpha1
# (Node) and compute v1 (Instance).
TPU_FIELDS = {
    "acceleratorType": None,
    "runtimeVersion": None,
    "schedulingConfig": {"preemptible", "spot", "reserved"},
    "serviceAccounts": {"email", "scopes"},
    "networkConfig": {"network", "subnetwork", "enableExternalIps"},
    "labels": None,
    "tags": None,
    "metadata": None,
}
MACHINE_FIELDS = {
    "machineType": None,
    "disks": {"boot", "autoDelete", "type", "initializeParams"},
    "networkInterfaces": {"network", "subnetwork", "accessConfigs"},
    "serviceAccounts": {"email", "scopes"},
    "scheduling": {"preemptible", "onHostMaintenance", "provisioningModel"},
    "labels": None,
    "tags": {"items"},
    "metadata": {"items"},
}

_PROJECT = re.compile(r"[a-z][a-z0-9-]{4,28}[a-z0-9]")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]")


def filled(slice: Slice, project: str, bucket: str, zone: str | None = None, slices: int = 1) -> dict[str, Any]:
    """Returns the cluster file of a kind of slice with the user's values, and full paths for the files it mounts.

    Args:
      slice: which kind.
      project: id of a Google Cloud project.
      bucket: name of a bucket, without gs://.
      zone: where to rent; the zone in the file if None.
      slices: how many slices.

    Raises:
      ClusterError: there is no file for this slice, or a value is certainly invalid.
    """
    path = FOLDER / f"{slice.name}.yaml"
    if not path.exists():
        there = ", ".join(sorted(path.stem for path in FOLDER.glob("*.yaml")))
        raise ClusterError(f"--slice={slice.name}: no cluster file; there are {there}. Copy one, and name its zones.")
    if not _PROJECT.fullmatch(project):
        raise ClusterError(f"--project={project}: no id of a project: 6 to 30 small letters, digits and hyphens.")
    if not _BUCKET.fullmatch(bucket):
        raise ClusterError(f"--bucket={bucket}: no name of a bucket; give it without gs:// and folders.")
    if slices < 1:
        raise ClusterError(f"--slices={slices}: give a number of at least 1.")
    text = path.read_text().replace("FILL_PROJECT", project).replace("FILL_BUCKET", bucket)
    config: dict[str, Any] = yaml.safe_load(text)
    config["provider"]["project_id"] = project
    if zone:
        config["provider"] |= {"availability_zone": zone, "region": zone.rpartition("-")[0]}
    config["max_workers"] = slices
    for kind in _slices_of(config):
        kind |= {"min_workers": slices, "max_workers": slices}
    config["file_mounts"] = {
        there: here if here.startswith("~") else str(ROOT / here) for there, here in config["file_mounts"].items()
    }
    return config


def check(config: Mapping[str, Any]) -> None:
    """Checks a cluster file against Ray's schema, what Google accepts, and what a run's placement looks for.

    Raises:
      ClusterError: one of these is violated, or something is not filled in.
    """
    for where, text in _texts(config, ""):
        if "FILL_" in text:
            raise ClusterError(f"{where} = {text}: not filled in; python launch/gcp.py does.")
    if not config.get("provider", {}).get("project_id"):
        raise ClusterError("provider.project_id: not filled in; python launch/gcp.py does.")
    _check_by_ray(config)
    zone = config["provider"].get("availability_zone", "")
    if config["provider"].get("region") != zone.rpartition("-")[0]:
        raise ClusterError(f"provider.region = {config['provider'].get('region')}: {zone} is not in it.")
    kinds = config["available_node_types"]
    slices = {name: kind for name, kind in kinds.items() if "acceleratorType" in kind["node_config"]}
    if not slices:
        raise ClusterError("available_node_types: none has an acceleratorType, so there is no slice to train on.")
    for name, kind in kinds.items():
        where = f"available_node_types.{name}"
        _check_fields(f"{where}.node_config", kind["node_config"], TPU_FIELDS if name in slices else MACHINE_FIELDS)
        if name in slices:
            _check_slice(where, kind, zone)
    if config["head_node_type"] in slices:
        raise ClusterError("head_node_type: the head must not be a slice, as it would go away when that is preempted.")


def _check_by_ray(config: Mapping[str, Any]) -> None:
    """Runs what `ray up` does with the file before it asks Google for anything."""
    from jsonschema import ValidationError
    from ray.autoscaler._private.util import prepare_config, validate_config

    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):  # it mentions Docker
            validate_config({"cluster_synced_files": [], **config})
            validate_config(prepare_config(copy.deepcopy(dict(config))))
    except ValidationError as error:
        raise ClusterError(f"{'.'.join(map(str, error.absolute_path)) or 'the file'}: {error.message}") from None
    except (ValueError, RuntimeError, KeyError) as error:
        raise ClusterError(f"Ray refuses the file: {error}") from None


def _check_fields(where: str, node: Mapping[str, Any], fields: Mapping[str, set[str] | None]) -> None:
    for name, value in node.items():
        if name not in fields:
            raise ClusterError(f"{where}.{name}: no such field; there are {', '.join(fields)}.")
        inside = fields[name]
        for each in value if isinstance(value, list) else [value]:
            unknown = set(each) - inside if inside and isinstance(each, dict) else set()
            if inside and unknown:
                raise ClusterError(
                    f"{where}.{name}.{min(unknown)}: no such field; there are {', '.join(sorted(inside))}."
                )


def _check_slice(where: str, kind: Mapping[str, Any], zone: str) -> None:
    slice = slice_named(kind["node_config"]["acceleratorType"])
    zones = ZONES.get(slice.name, ())
    if zone not in zones:
        known = f"there are {', '.join(zones)}" if zones else "no zone that has it is known here (ZONES)"
        raise ClusterError(f"provider.availability_zone = {zone}: has no {slice.name}; {known}.")
    wanted, there = bundle(slice), kind["resources"]
    if there.get("TPU") != wanted["TPU"]:
        raise ClusterError(f"{where}.resources.TPU = {there.get('TPU')}: a host of a {slice.name} has {wanted['TPU']}.")
    for name in there.keys() - wanted.keys():
        raise ClusterError(f"{where}.resources.{name}: no run asks for it; there are {', '.join(wanted)}.")
    for name, number in wanted.items():
        if there.get(name, 0) < number:
            raise ClusterError(f"{where}.resources.{name} = {there.get(name)}: a run takes {number} of a host.")
    if not kind["node_config"].get("runtimeVersion"):
        raise ClusterError(f"{where}.node_config.runtimeVersion: missing; tpu-ubuntu2204-base is for v2 to v4.")


def _slices_of(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [kind for kind in config["available_node_types"].values() if "acceleratorType" in kind["node_config"]]


def _texts(value: Any, where: str) -> Iterator[tuple[str, str]]:
    """All strings in a configuration, each with its path."""
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, Mapping):
        for name, each in value.items():
            yield from _texts(each, f"{where}.{name}".lstrip("."))
    elif isinstance(value, list):
        for place, each in enumerate(value):
            yield from _texts(each, f"{where}[{place}]")
