import re

import pytest

from aloe.data.numbered import find_numbered
from aloe.errors import InputError

NAME = re.compile(r"clip_(\d+)\.txt")


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_files_of_the_name_are_found_by_the_number_in_it(tmp_path):
    expected = {
        12: touch(tmp_path / "clip_12.txt"),
        3: touch(tmp_path / "a" / "clip_0003.txt"),
        0: touch(tmp_path / "a" / "b" / "clip_0.txt"),
    }
    for other in ("clip_4.txt.part", "my_clip_5.txt", "clip_x.txt"):
        touch(tmp_path / "a" / other)
    assert find_numbered(tmp_path, NAME) == expected


def test_links_are_followed_once(tmp_path):
    touch(tmp_path / "elsewhere" / "clip_4.txt")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "data")
    assert find_numbered(tmp_path / "data", NAME) == {4: tmp_path / "data" / "link" / "clip_4.txt"}


def test_two_files_of_one_number_are_both_named(tmp_path):
    touch(tmp_path / "a" / "clip_7.txt")
    touch(tmp_path / "b" / "clip_07.txt")
    with pytest.raises(InputError, match=r"a/clip_7\.txt and .*b/clip_07\.txt: two files of one video; remove one"):
        find_numbered(tmp_path, NAME)
