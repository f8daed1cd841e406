"""Counts what a CATER data folder holds and finds what is missing or broken, before any training."""

import functools
from pathlib import Path

from aloe.data.checking import check_files, check_store, common_size, video_problem, video_size
from aloe.data.findings import Findings
from aloe.data.skipped import DEFAULT_LIMIT
from aloe.errors import InputError
from aloe.tasks.cater import files
from aloe.tasks.cater.annotations import FRAMES, read_annotation

_MAKE = "launch/make_world.py, run again without --without_videos, adds them to a world of our own"


def check(root: Path, decode: bool = False, limit: float = DEFAULT_LIMIT) -> Findings:
    """Counts everything in a data folder and finds what is missing or broken, with progress bars.

    Args:
      root: the data folder.
      decode: whether to decode every video instead of only reading its header.
      limit: fraction of a split's videos that may be missing or broken.

    Raises:
      InputError: the folder is missing or has no lists, or two files share an index.
    """
    folders = files.camera_folders(root)
    videos, scenes = files.find_videos(root), files.find_annotations(root)
    sizes = {
        camera: common_size((videos[index] for index in sorted(videos) if files.camera_of(index) == camera), video_size)
        for camera in files.CAMERAS
    }
    findings = Findings()
    for camera in files.CAMERAS:
        if camera not in folders:
            findings.notes.append(
                f"no lists of the {camera} camera: train with --config.data.cameras={next(iter(folders))}"
            )
    for split in files.SPLITS:
        findings.counts[split] = {}
        indices: list[int] = []
        for camera, folder in folders.items():
            labels = _check_lists(folder, camera, split, findings)
            findings.counts[split][f"{camera} camera"] = len(labels)
            indices += labels
            name_of = functools.partial(_name, folder)
            present = {index: videos[index] for index in labels if index in videos}
            whole = functools.partial(video_problem, size=sizes[camera], decode=decode, frames=FRAMES)
            check_files(
                *(split, f"{camera} videos", list(labels), present, whole, limit, findings, _MAKE),
                name_of=functools.partial(name_of, "videos", ".avi"),
            )
            told = {index: (scenes[index], label) for index, label in labels.items() if index in scenes}
            check_files(
                *(split, f"{camera} scenes", list(labels), told, _scene_problem, limit, findings),
                name_of=functools.partial(name_of, "scenes", ".json"),
            )
        for path in sorted(root.glob(f"latents/*/{split}")):
            check_store(split, path, indices, FRAMES, limit, findings)
    return findings


def _check_lists(folder: Path, camera: str, split: str, findings: Findings) -> dict[int, int]:
    """Scene index → label for the videos of a split; checks that its tuning list is a subset of the training list."""
    path = files.list_path(folder, files.LISTS[split])
    subset = files.list_path(folder, files.TUNING_LISTS[split])
    try:
        videos, wrong = files.parse_list(path, camera)
        findings.problems += wrong
        if subset.is_file():
            of_subset, wrong = files.parse_list(subset, camera)
            findings.problems += wrong
            train, _ = files.parse_list(files.list_path(folder, files.LISTS["train"]), camera)
            strange = sorted(set(of_subset) - set(train))
            if strange:
                name = files.video_name(strange[0].scene_index)
                findings.problems.append(
                    f"{subset}: {name} {strange[0].label} is no line of train.txt; unpack both anew"
                )
        else:
            findings.notes.append(f"no {subset}: --config.data.tuning=True needs it")
    except InputError as error:
        findings.problems.append(str(error))
        return {}
    return {each.scene_index: each.label for each in videos}


def _name(folder: Path, kind: str, suffix: str, scene_index: int) -> str:
    return str((folder / kind / files.video_name(scene_index)).with_suffix(suffix))


def _scene_problem(scene: tuple[Path, int]) -> str | None:
    path, label = scene
    try:
        told = read_annotation(path).label
    except InputError as error:
        return str(error)
    if told == label:
        return None
    return f"{path}: the snitch ends in cell {told}, and the list says {label}; one of them is of another video"
