import re

import pytest

from aloe.errors import InputError
from aloe.tasks.clevrer import files
from tests.tasks.clevrer.writer import descriptive, entry, unlabelled, write_annotation, write_json, write_world


@pytest.mark.parametrize(
    "read", [files.find_videos, files.find_annotations, lambda root: files.read_questions(root, "train")]
)
def test_a_missing_or_empty_folder_says_how_to_get_data(read, tmp_path):
    with pytest.raises(InputError, match=r"no such data folder.*launch/make_world.py --task=clevrer .*--out=.*nowhere"):
        read(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"is empty.*launch/make_world.py"):
        read(tmp_path)


def test_files_are_found_by_index_wherever_they_lie(tmp_path):
    folders = ["video_train", "train/video_00000-01000", "val", "videos/validation/video_10000-11000", ".", "test"]
    expected: dict[str, dict] = {}
    for number, folder in enumerate(folders):
        index = 3001 * number
        for name, found in (("video_{:05d}.mp4", "videos"), ("annotation_{:05d}.json", "annotations")):
            path = tmp_path / folder / name.format(index)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            expected.setdefault(found, {})[index] = path
    for other in ("video_1.mp4", "._video_00001.mp4", "video_00002.avi", "proposal_00000.json", "video_00003.mp4.part"):
        (tmp_path / "val" / other).touch()
    assert files.find_videos(tmp_path) == expected["videos"]
    assert files.find_annotations(tmp_path) == expected["annotations"]


def test_links_are_followed_and_a_loop_of_links_ends(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "video_00004.mp4").touch()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "data")
    assert list(files.find_videos(tmp_path / "data")) == [4]


def test_two_files_of_one_index_are_both_named(tmp_path):
    for folder in ("a", "b"):
        write_annotation(tmp_path, 7, folder)
    with pytest.raises(InputError, match=r"a/annotation_00007.json and .*b/annotation_00007.json.*remove one"):
        files.find_annotations(tmp_path)


@pytest.mark.parametrize("folder", [".", "questions", "official"])
def test_question_files_lie_at_the_root_or_one_folder_below(folder, tmp_path):
    path = write_json(tmp_path / folder / "validation.json", [entry(10000)])
    assert files.find_questions(tmp_path, "validation") == path
    assert files.scene_indices(tmp_path, "validation") == [10000]


def test_a_missing_question_file_and_two_of_them(tmp_path):
    write_json(tmp_path / "train.json", [entry(0)])
    with pytest.raises(InputError, match=r"no validation.json.*launch/make_world.py"):
        files.read_questions(tmp_path, "validation")
    write_json(tmp_path / "questions" / "train.json", [entry(0)])
    with pytest.raises(InputError, match=r"two question files of the train split"):
        files.read_questions(tmp_path, "train")


def test_videos_are_told_by_scene_index_in_the_order_of_the_file(tmp_path):
    write_json(tmp_path / "train.json", [entry(17), entry(3), entry(40000)])
    assert files.scene_indices(tmp_path, "train") == [17, 3, 40000]


def test_only_the_test_split_may_lack_answers(tmp_path):
    for split in ("train", "test"):
        write_json(tmp_path / f"{split}.json", unlabelled([entry(0)]))
    (scene,) = files.read_questions(tmp_path, "test")
    assert [question.answer for question in scene.questions] == [None, None]
    with pytest.raises(InputError, match=r"train.json: scene_index 0: question_id 0: field 'answer' is missing"):
        files.read_questions(tmp_path, "train")


def test_wrong_entries_are_named_with_their_file(tmp_path):
    wrong = [descriptive(number, f"How many what{number}s?") for number in range(8)]
    path = write_json(tmp_path / "train.json", [entry(4), entry(5, wrong)])
    with pytest.raises(InputError) as raised:
        files.read_questions(tmp_path, "train")
    for number in range(5):
        assert f"{path}: scene_index 5: question_id {number}: " in str(raised.value)
    assert "and 3 more" in str(raised.value)


def test_json_cut_in_half_names_line_and_column(tmp_path):
    path = write_json(tmp_path / "train.json", [entry(0)])
    path.write_text("[\n" + path.read_text()[1:200])
    with pytest.raises(InputError, match=rf"{re.escape(str(path))}: not valid JSON at line 2, column \d+"):
        files.read_questions(tmp_path, "train")
    path.write_bytes(b"\xff\xfe[]\x00")
    with pytest.raises(InputError, match=rf"{re.escape(str(path))}: not valid JSON"):
        files.read_questions(tmp_path, "train")


def test_an_annotation_of_another_video_or_broken_is_named(tmp_path):
    path = write_annotation(tmp_path, 12)
    assert files.read_annotation(path).scene_index == 12
    moved = path.rename(path.with_name("annotation_00013.json"))
    with pytest.raises(InputError, match=rf"{re.escape(str(moved))}: field 'scene_index' is 12, in the file's name 13"):
        files.read_annotation(moved)
    moved.write_text(moved.read_text()[:-9])
    with pytest.raises(InputError, match=rf"{re.escape(str(moved))}: not valid JSON"):
        files.read_annotation(moved)


def test_a_world_is_read_whole(tmp_path):
    write_world(tmp_path, train=3, validation=2, test=1, videos=False)
    assert [files.scene_indices(tmp_path, split) for split in files.SPLITS] == [[0, 1, 2], [3, 4], [5]]
    assert sorted(files.find_annotations(tmp_path)) == [0, 1, 2, 3, 4]
