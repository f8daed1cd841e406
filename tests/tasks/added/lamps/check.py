from pathlib import Path

from aloe.data.checking import check_store
from aloe.data.findings import Findings
from aloe.errors import InputError
from aloe.tasks.lamps import files


def check(root: Path, decode: bool, limit: float) -> Findings:
    findings = Findings()
    for split in files.SPLITS:
        try:
            indices = files.scene_indices(root, split)
        except InputError as error:
            findings.problems.append(str(error))
            continue
        findings.counts[split] = {"scenes": len(indices)}
        for path in sorted(root.glob(f"latents/*/{split}")):
            check_store(split, path, indices, 2, limit, findings)
    return findings
