"""MONet: small videos from the world of the task whose videos it decomposes. Data only; see `__init__.py`."""

from pathlib import Path

from ml_collections import ConfigDict

from aloe import tasks


def write_data(folder: Path, videos: int, config: ConfigDict) -> Path:
    """Writes a world with this number of training videos, drawn at the frames' size, and fewer in the other splits."""
    world = tasks.part(config.data.source, "world")
    world.write(folder, round(videos / 0.8), width=config.model.size, height=config.model.size)
    return folder
