"""The mark of a world of our own in its folder: two worlds never fill one."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aloe.data.whole import write_whole
from aloe.errors import InputError

MARK = "world.json"


def claim(folder: Path, settings: Mapping[str, Any], videos: int) -> None:
    """Marks the folder as this world's; of a world that is there already, more videos may be made, not fewer.

    Args:
      folder: made if missing.
      settings: JSON that tells this world from every other one.
      videos: how many it is to have.

    Raises:
      InputError: the folder is something else's.
    """
    mark = folder / MARK
    if mark.exists():
        try:
            found = json.loads(mark.read_text())
            more = found.pop("videos")
        except (ValueError, KeyError, AttributeError) as error:
            raise InputError(f"{mark}: does not parse ({error}); name another folder, or delete this one.") from error
        for name, value in settings.items():
            if found.get(name) != value:
                raise InputError(
                    f"{mark}: this world has {name} {found.get(name)}, not {value}; "
                    "name another folder, or delete this one."
                )
        if more > videos:
            raise InputError(f"{mark}: this world has {more} videos already, more than {videos}; name another folder.")
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: holds something that is no world (it has no world.json); name another folder.")
    write_whole(mark, json.dumps({**settings, "videos": videos}, separators=(",", ":")))
