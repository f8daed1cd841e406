"""Dependencies go one way: launch and benchmarks use cluster and aloe, which know nothing of each other."""

import ast
import re
from pathlib import Path

import pytest

from aloe import tasks

ROOT = Path(__file__).resolve().parents[1]
FORBIDDEN = {
    "aloe": {"cluster", "launch", "benchmarks", "ray", "tests"},
    "cluster": {"aloe", "launch", "benchmarks", "tests"},
    "benchmarks": {"launch", "ray", "tests"},
}
# A task may be named after a method that lives in aloe/ itself.
METHODS = {"monet"}


def imported_packages(path):
    """Top-level packages that a file imports, inside functions too."""
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


def named_in(text, names):
    """Which of the names occur in a text, in any case, also as parts of identifiers."""
    return {name for name in names if re.search(rf"(?<![a-z]){name}(?![a-z])", text.lower())}


def test_outside_tasks_no_task_is_named():
    """One model serves all tasks without modification: only a task's own folder names it."""
    names = set(tasks.names()) - METHODS
    assert names
    aloe = ROOT / "aloe"
    files = [path for path in aloe.rglob("*.py") if aloe / "tasks" not in path.parents]
    found = {str(path.relative_to(ROOT)): named_in(path.read_text(), names) for path in files}
    assert len(files) > 50
    assert {path: named for path, named in found.items() if named} == {}


def test_a_name_is_found_in_comments_strings_and_identifiers():
    assert named_in("def clevrer_camera(): ...", {"clevrer", "clevr"}) == {"clevrer"}
    assert named_in("# as in CLEVR, not in CATER's", {"clevr", "cater", "acre"}) == {"clevr", "cater"}
    assert named_in("nacreous caterer", {"acre", "cater"}) == set()


def test_imports_are_found_wherever_they_stand(tmp_path):
    path = tmp_path / "module.py"
    path.write_text("import ray.util as u\ndef f():\n    from cluster.slices import SLICES\nimport os, launch\n")
    assert imported_packages(path) == {"ray", "cluster", "os", "launch"}
