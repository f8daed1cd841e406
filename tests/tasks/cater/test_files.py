"""Lists and folders: the official layout, and what is wrong with others."""

import pytest

from aloe.errors import InputError
from aloe.tasks.cater import files
from aloe.tasks.cater.check import check
from aloe.tasks.cater.files import Video

GOOD = "CATER_new_000123.avi 14\n"


def write_list(folder, text=GOOD, name="train"):
    path = files.list_path(folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_lines_have_a_name_or_a_path_and_a_label(tmp_path):
    path = write_list(tmp_path, GOOD + "output/images/CLEVR_new_000002.avi 7\n\n/x y/../CATER_new_000004.avi\t0\n")
    assert files.parse_list(path, "static")[0] == [Video(123, 14), Video(2, 7)]
    path = write_list(tmp_path, GOOD + "output/images/CLEVR_new_000002.avi 7\n\n")
    videos, wrong = files.parse_list(path, "moving")
    assert videos == [Video(1_000_123, 14), Video(1_000_002, 7)]
    assert wrong == []
    assert [video.camera for video in videos] == ["moving", "moving"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("CATER_new_000124.avi", "must be the name of a video and its label"),
        ("CATER_new_000124.avi 1 2", "must be the name of a video and its label"),
        ("CATER_new_000124.mp4 1", "'CATER_new_000124.mp4' names no file"),
        ("video.avi 1", "names no file"),
        ("CATER_new_000124.avi 36", "the label is 36; it must be a cell, 0 to 35"),
        ("CATER_new_000124.avi -1", "the label is -1; it must be a cell"),
        ("CATER_new_000124.avi 1.0", "the label is 1.0; it must be a cell"),
        ("CATER_new_000124.avi 0,3,4,11", "the label is 0,3,4,11, of another task"),
        ("CATER_new_000123.avi 14", "CATER_new_000123.avi stands in the list twice"),
    ],
)
def test_a_wrong_line_is_named_with_its_number(tmp_path, line, message):
    write_list(tmp_path / "all_actions", GOOD + line + "\n")
    videos, wrong = files.parse_list(files.list_path(tmp_path / "all_actions", "train"), "static")
    assert videos == [Video(123, 14)]
    assert len(wrong) == 1
    assert "train.txt: line 2: " in wrong[0]
    assert message in wrong[0]
    with pytest.raises(InputError, match=r"line 2: .*(?s:.*)Mend these lines"):
        files.read_videos(tmp_path, "train")


def test_an_empty_or_missing_list_and_one_that_is_no_text(tmp_path):
    write_list(tmp_path / "all_actions", "\n")
    with pytest.raises(InputError, match=r"train.txt: the list is empty"):
        files.read_videos(tmp_path, "train")
    with pytest.raises(InputError, match=r"val.txt: cannot be read"):
        files.read_videos(tmp_path, "validation")
    files.list_path(tmp_path / "all_actions", "train").write_bytes(b"\x80\x04}q\x00\xff")
    with pytest.raises(InputError, match=r"train.txt: cannot be read"):
        files.read_videos(tmp_path, "train")
    with pytest.raises(InputError, match="no test split"):
        files.read_videos(tmp_path, "test")


def test_both_cameras_one_of_them_and_another_variant(tmp_path):
    for folder, number in (
        *(("all_actions", 1), ("all_actions_cameramotion", 2)),
        *(("max2action", 3), ("max2action_cameramotion", 4)),
    ):
        write_list(tmp_path / folder, f"CATER_new_00000{number}.avi {number}\n")
    both = [Video(1, 1), Video(1_000_002, 2)]
    assert files.read_videos(tmp_path, "train") == both
    assert files.read_videos(tmp_path / "all_actions", "train") == both
    assert files.read_videos(tmp_path / "all_actions_cameramotion", "train") == both
    assert files.read_videos(tmp_path / "max2action", "train") == [Video(3, 3), Video(1_000_004, 4)]
    assert files.read_videos(tmp_path, "train", cameras=("moving",)) == [Video(1_000_002, 2)]
    files.list_path(tmp_path / "all_actions", "train").unlink()
    files.list_path(tmp_path / "all_actions", "train").parent.rmdir()
    assert files.read_videos(tmp_path, "train") == [Video(1_000_002, 2)]


def test_folders_that_are_no_data_say_what_to_do(tmp_path):
    with pytest.raises(InputError, match=r"no such data folder.*make_world.py --task=cater"):
        files.require_data(tmp_path / "nothing")
    with pytest.raises(InputError, match=r"no folder all_actions/lists/localize here.*make_world.py"):
        files.require_data(tmp_path)
    write_list(tmp_path / "max2action")
    with pytest.raises(InputError, match=r"For max2action name its folder: --data=.*/max2action"):
        files.require_data(tmp_path)


def test_the_pickle_beside_the_lists_is_never_loaded(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_list(tmp_path / "all_actions")
    pickle = tmp_path / "all_actions" / "lists" / "localize" / "metadata.pkl"
    pickle.write_bytes(b"cos\nsystem\n(S'touch opened'\ntR.")
    assert files.read_videos(tmp_path, "train") == [Video(123, 14)]
    assert files.find_videos(tmp_path) == {}
    assert check(tmp_path).counts["train"]["static camera"] == 1
    assert not (tmp_path / "opened").exists()


def test_videos_and_scenes_are_found_by_the_number_in_their_name(tmp_path):
    for folder in ("all_actions", "all_actions_cameramotion"):
        write_list(tmp_path / folder)
        for name in (
            "videos/CATER_new_000123.avi",
            "videos/part2/CLEVR_new_000007.avi",
            "scenes/CATER_new_000123.json",
        ):
            (tmp_path / folder / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / folder / name).touch()
    assert sorted(files.find_videos(tmp_path)) == [7, 123, 1_000_007, 1_000_123]
    assert files.find_annotations(tmp_path)[1_000_123].parts[-3:-1] == ("all_actions_cameramotion", "scenes")
    (tmp_path / "all_actions" / "videos" / "CLEVR_new_000123.avi").touch()
    with pytest.raises(InputError, match="two files of one video"):
        files.find_videos(tmp_path)
