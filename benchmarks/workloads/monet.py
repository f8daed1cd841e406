"""MONet: small videos of the world of the task whose videos it takes apart. There is only data; see `__init__.py`."""

from pathlib import Path

from ml_collections import ConfigDict

from aloe import tasks


def write_data(folder: Path, videos: int, config: ConfigDict) -> Path:
    """Writes a world of so many training videos, drawn in the frames' size, and fewer of the other splits."""
    world = tasks.part(config.data.source, "world")
    world.write(folder, round(videos / 0.8), width=config.model.size, height=config.model.size)
    return folder
