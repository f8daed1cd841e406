"""Arrows go one way: launch and benchmarks use cluster and aloe, which know nothing of each other."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FORBIDDEN = {
    "aloe": {"cluster", "launch", "benchmarks", "ray", "tests"},
    "cluster": {"aloe", "launch", "benchmarks", "tests"},
    "benchmarks": {"launch", "ray", "tests"},
}


def imported_packages(path):
    """Top-level names that a file imports, inside functions too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize("package", FORBIDDEN)
def test_imports_go_one_way(package):
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    wrong = {str(path.relative_to(ROOT)): imported_packages(path) & FORBIDDEN[package] for path in files}
    assert {path: names for path, names in wrong.items() if names} == {}


def test_benchmarks_take_of_cluster_only_its_table_of_slices():
    imports = [
        node
        for path in (ROOT / "benchmarks").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    modules = {
        node.module if isinstance(node, ast.ImportFrom) else alias.name for node in imports for alias in node.names
    }
    assert {name for name in modules if name and name.startswith("cluster")} == {"cluster.slices"}


def test_imports_are_found_wherever_they_stand(tmp_path):
    path = tmp_path / "module.py"
    path.write_text("import ray.util as u\ndef f():\n    from cluster.slices import SLICES\nimport os, launch\n")
    assert imported_packages(path) == {"ray", "cluster", "os", "launch"}
