import json

import pytest

from aloe.data.claim import claim, marked
from aloe.errors import InputError

SETTINGS = {"task": "toy", "seed": 3}


def test_a_world_may_claim_its_folder_again_and_grow(tmp_path):
    folder = tmp_path / "world"
    for videos in (5, 5, 8):
        claim(folder, SETTINGS, videos)
        (folder / "anything").touch()
    assert json.loads((folder / "world.json").read_text()) == {**SETTINGS, "videos": 8}


def test_what_grows_is_written_anew_and_can_be_read(tmp_path):
    assert marked(tmp_path) is None
    for parts in (["one"], ["one", "two"]):
        claim(tmp_path / "world", SETTINGS, 5, {"parts": parts})
        assert marked(tmp_path / "world") == {**SETTINGS, "videos": 5, "parts": parts}


def test_another_world_a_smaller_one_and_what_is_no_world_are_refused(tmp_path):
    claim(tmp_path / "world", SETTINGS, 5)
    with pytest.raises(InputError, match="this world has seed 3, not 4; name another folder"):
        claim(tmp_path / "world", SETTINGS | {"seed": 4}, 5)
    with pytest.raises(InputError, match="has 5 videos already, more than 4"):
        claim(tmp_path / "world", SETTINGS, 4)
    (tmp_path / "world" / "world.json").write_text("{")
    with pytest.raises(InputError, match=r"world.json: does not parse"):
        claim(tmp_path / "world", SETTINGS, 5)
    (tmp_path / "world" / "world.json").write_text("[]")
    with pytest.raises(InputError, match=r"world.json: does not parse"):
        claim(tmp_path / "world", SETTINGS, 5)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter").touch()
    with pytest.raises(InputError, match="holds something that is no world"):
        claim(tmp_path / "mine", SETTINGS, 5)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["letter"]
