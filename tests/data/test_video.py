import wave

import numpy as np
import pytest
from PIL import Image

from aloe.data import video
from aloe.errors import InputError
from tests.tasks.clevrer.writer import write_video


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("video") / "video_00000.mp4", frames=60)


@pytest.mark.parametrize("decode", [False, True])
def test_probe(path, decode):
    assert video.probe(path, decode) == video.VideoInfo(frames=60, width=48, height=32, fps=25.0)


def brightness(frames_FxYxXx3):
    """Mean of the left half and of the right half, excluding the columns where they meet."""
    half = frames_FxYxXx3.shape[2] // 2
    left, right = frames_FxYxXx3[:, :, : half - 2], frames_FxYxXx3[:, :, half + 2 :]
    return left.mean(axis=(1, 2, 3)), right.mean(axis=(1, 2, 3))


@pytest.mark.parametrize("indices", [[0], [59], range(0, 60, 5), [31, 2, 2, 59]])
def test_frames_are_those_asked_for_in_that_order(path, indices):
    frames_FxYxXx3 = video.read_frames(path, indices)
    assert (frames_FxYxXx3.shape, frames_FxYxXx3.dtype) == ((len(indices), 32, 48, 3), np.uint8)
    left, right = brightness(frames_FxYxXx3)
    # Brightness encodes the frame number; video has only 220 levels of brightness, so it can be off by one.
    np.testing.assert_allclose(left, np.array(indices), atol=1)
    np.testing.assert_allclose(right, 255 - np.array(indices), atol=1)


@pytest.mark.parametrize("size", [(16, 16), (8, 24), (64, 64)])
def test_resizing_keeps_the_whole_picture(path, size):
    frames_FxYxXx3 = video.read_frames(path, [10, 40], size)
    assert frames_FxYxXx3.shape == (2, *size, 3)
    left, right = brightness(frames_FxYxXx3)
    np.testing.assert_allclose(left, [10, 40], atol=1)
    np.testing.assert_allclose(right, [245, 215], atol=1)


def test_a_short_video_names_file_and_both_numbers(path):
    for call in (
        lambda: video.probe(path, at_least=61),
        lambda: video.probe(path, decode=True, at_least=61),
        lambda: video.read_frames(path, [3, 60]),
    ):
        with pytest.raises(InputError, match=r"video_00000.mp4: expected 61 or more frames, found 60\."):
            call()


@pytest.mark.parametrize("content", [b"", b"not a video" * 100])
def test_a_file_that_is_no_video(content, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(content)
    with pytest.raises(InputError, match=r"broken.mp4: expected 1 or more frames, found 0 \(Invalid data"):
        video.probe(broken)
    with pytest.raises(InputError, match=r"broken.mp4: expected 8 or more frames, found 0"):
        video.read_frames(broken, [7])


def test_no_file(tmp_path):
    with pytest.raises(InputError, match=r"nowhere.mp4: .*No such file"):
        video.probe(tmp_path / "nowhere.mp4")


def cut(content):
    return content[: len(content) * 2 // 3]


def overwrite(content):
    third = len(content) // 3
    return content[: 2 * third] + bytes(third) + content[3 * third :]


@pytest.mark.parametrize("damage", [cut, overwrite])
def test_damage_that_the_header_hides_shows_when_decoding(path, damage, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(damage(path.read_bytes()))
    assert video.probe(broken).frames == 60
    found = video.probe(broken, decode=True).frames
    assert 0 < found < 60
    with pytest.raises(InputError, match=rf"expected 60 or more frames, found {found}\."):
        video.probe(broken, decode=True, at_least=60)
    with pytest.raises(InputError, match=rf"expected 60 or more frames, found {found}\."):
        video.read_frames(broken, [59])
    assert len(video.read_frames(broken, [0])) == 1


@pytest.fixture
def pictures(tmp_path):
    """Five numbered pictures, each with a different brightness, as one path pattern."""
    for number in range(5):
        Image.new("RGB", (8, 6), (50 * number,) * 3).save(tmp_path / f"a_{number:02d}.png")
    return tmp_path / "a_%02d.png"


def test_numbered_pictures_are_a_video(pictures):
    frames_FxYxXx3 = video.read_frames(pictures, [4, 0, 2])
    assert frames_FxYxXx3.shape == (3, 6, 8, 3)
    assert frames_FxYxXx3[:, 0, 0, 0].tolist() == [200, 0, 100]


@pytest.mark.parametrize("absent", [0, 3])
def test_a_picture_that_is_missing_is_named(pictures, absent):
    """If the first one is missing, FFmpeg itself would begin with the second."""
    named = pictures.with_name(pictures.name % absent)
    named.unlink()
    for reading in (lambda: video.read_frames(pictures, [1, 3]), lambda: video.probe(pictures, at_least=4)):
        with pytest.raises(InputError, match=rf"^{named}: there is no such picture, of 4: "):
            reading()


def test_a_picture_of_another_size_is_named(pictures):
    Image.new("RGB", (4, 6)).save(pictures.with_name("a_02.png"))
    with pytest.raises(InputError, match=r"a_%02d.png: frame 2 has 4×6 pixels, and those before it 8×6"):
        video.read_frames(pictures, [0, 4], size=(6, 8))


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_pictures_have_colours_with_an_alpha_that_is_dropped_or_without(tmp_path, mode):
    Image.new(mode, (8, 6), (200, 100, 50, 0)[: len(mode)]).save(tmp_path / "a.png")
    assert video.read_frames(tmp_path / "a.png", [0])[0, 0, 0].tolist() == [200, 100, 50]


@pytest.mark.parametrize(
    ("mode", "kind"), [("L", "gray"), ("LA", "ya8"), ("P", "pal8"), ("1", "monob"), ("I;16", "gray16be")]
)
def test_pictures_without_three_colours_of_eight_bits_are_refused(tmp_path, mode, kind):
    Image.new(mode, (8, 6)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=rf"a.png: frame 0 is of the kind {kind}, and must have red, green and blue"):
        video.read_frames(tmp_path / "a.png", [0])


def test_a_file_with_sound_alone(tmp_path):
    path = tmp_path / "sound.wav"
    with wave.open(str(path), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(1600))
    with pytest.raises(InputError, match="holds no video"):
        video.probe(path)


@pytest.mark.parametrize("indices", [[], [-1, 3]])
def test_frame_numbers_that_make_no_sense(path, indices):
    with pytest.raises(ValueError, match="frame numbers"):
        video.read_frames(path, indices)
