"""A trained MONet fills a latents store: the right latents, once each, and no other checkpoint's."""

import json
import shutil

import jax
import numpy as np
import pytest
from flax import nnx
from PIL import Image

from aloe.data import latents, masks
from aloe.data.video import read_frames
from aloe.errors import InputError
from aloe.perception.fill import fill
from aloe.perception.monet import encoder as monet
from aloe.perception.monet import trained
from aloe.perception.monet.config import MonetConfig
from aloe.perception.monet.model import Monet, colors
from aloe.perception.monet.pictures import strips
from aloe.tasks.clevrer import files
from aloe.training import workdir
from aloe.training.checkpoints import Checkpoints
from aloe.training.optimizer import make_optimizer
from aloe.training.state import initial_state
from aloe.training.step import data_mesh
from launch import encode
from tests.tasks.clevrer.writer import write_video
from tests.tasks.monet.squares import settings, write_squares

FRAMES = 128


def save_run(folder, seed, steps=(1,), changes=()):
    """A workdir with checkpoints of a freshly initialized MONet; `changes` are configuration fields by path."""
    resolved = settings(folder, changes)
    resolved.workdir = str(folder)
    workdir.claim(resolved)
    state = initial_state(Monet(MonetConfig(**resolved.model), rngs=nnx.Rngs(seed)), make_optimizer(resolved.optimizer))
    for step in steps:
        checkpoints = Checkpoints(folder / workdir.CHECKPOINTS, data_mesh(), resolved.training)
        checkpoints.save(step, jax.device_put(state, jax.NamedSharding(data_mesh(), jax.P())))
        checkpoints.close()
    return folder


@pytest.fixture(scope="module")
def squares(tmp_path_factory):
    return write_squares(tmp_path_factory.mktemp("squares"), train=3, validation=2)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return save_run(tmp_path_factory.mktemp("run"), seed=0)


@pytest.fixture(scope="module")
def filled(squares, run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("latents")
    flags = ["--task=clevrer", f"--data={squares}", "--encoder=monet"]
    encode.main([*flags, f"--checkpoint={run}", f"--latents={folder}"])
    return folder


def test_latents_are_the_means_of_every_frame_in_order(filled, squares):
    model = Monet(MonetConfig(**settings(squares).model), rngs=nnx.Rngs(0))
    paths = files.find_videos(squares)
    for split, indices in (("train", [0, 1, 2]), ("validation", [3, 4])):
        store = latents.open(filled / split)
        assert store.shape == (len(indices), FRAMES, 3, 8)
        for index in indices:
            image = read_frames(paths[index], range(FRAMES), (16, 16))
            _, mean, _ = nnx.jit(lambda model, image: model.encode(image))(model, colors(jax.numpy.asarray(image)))
            np.testing.assert_allclose(store.read(index), mean, rtol=1e-3, atol=1e-4)


def test_a_picture_shows_what_becomes_of_a_frame_of_each_video(filled, squares):
    model = Monet(MonetConfig(**settings(squares).model), rngs=nnx.Rngs(0))
    paths = files.find_videos(squares)
    for split, indices in (("train", [0, 1, 2]), ("validation", [3, 4])):
        picture = np.asarray(Image.open(filled / f"{split}.png"))
        frames = np.concatenate([read_frames(paths[index], [FRAMES // 2], (16, 16)) for index in indices])
        expected = np.concatenate(strips(colors(jax.numpy.asarray(frames)), model(colors(jax.numpy.asarray(frames)))))
        assert picture.shape == (2 * 16 * len(indices), 2 * 16 * (3 + 3), 3)
        assert (
            np.abs(picture[::2, ::2].astype(int) - expected).mean() < 0.1
        )  # one level of 256 here and there, by rounding


@pytest.mark.parametrize("told", [OSError(28, "No space left on device"), OSError("encoder error -2")])
def test_a_full_disk_after_the_latents_costs_the_picture_alone(squares, run, tmp_path, monkeypatch, capsys, told):
    def full(picture, file, *_):
        file.write_bytes(b"half")
        raise told

    monkeypatch.setattr(Image.Image, "save", full)
    flags = ["--task=clevrer", f"--data={squares}", "--encoder=monet", f"--latents={tmp_path}"]
    encode.main([*flags, f"--checkpoint={run}", "--frames_per_video=2"])
    out = capsys.readouterr().out
    for split in ("train", "validation"):
        assert latents.open(tmp_path / split).missing().size == 0
        assert f"{split}.png: cannot be written: {told.strerror or told}. The latents are whole" in out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["train", "validation"]


def test_a_store_of_another_checkpoint_is_refused(filled, squares, run, tmp_path):
    videos = files.find_videos(squares)
    again = monet.Encoder(trained.of_run(run), videos, range(FRAMES))
    fill(filled / "train", [0, 1, 2], again)  # the same checkpoint is accepted
    others = save_run(tmp_path / "seed", seed=1), save_run(tmp_path / "step", seed=0, steps=(1, 2))
    for other in others:
        with pytest.raises(InputError, match=r"filled by the encoder .*'monet'.*not by .*'monet'"):
            fill(filled / "train", [0, 1, 2], monet.Encoder(trained.of_run(other), videos, range(FRAMES)))


def test_a_broken_video_is_said_in_its_place(squares, run, tmp_path):
    videos = files.find_videos(squares)
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(videos[1].read_bytes()[:1200])
    encoder = monet.Encoder(trained.of_run(run), {**videos, 1: cut}, range(FRAMES))
    one, two, three, four = encoder.encode([0, 1, 2, 77])
    assert isinstance(two, InputError)
    assert str(cut) in str(two)
    assert "no video of scene_index 77" in str(four)
    whole = list(monet.Encoder(trained.of_run(run), videos, range(FRAMES)).encode([0, 2]))
    np.testing.assert_allclose([one, three], whole, rtol=1e-4, atol=1e-5)


def test_a_video_of_another_size_than_those_beside_it_is_broken_and_not_shown(squares, run, tmp_path):
    """Even when it is the only one left to encode."""
    videos = {index: tmp_path / f"{index}.mp4" for index in range(3)}
    for index, (rows, columns) in enumerate([(24, 32), (16, 64), (24, 32)]):
        write_video(videos[index], 4, rows, columns)
    encoder = monet.Encoder(trained.read(str(run)), videos, range(4))
    (broken,) = encoder.encode([1])
    assert isinstance(broken, InputError)
    assert "1.mp4: 64×16 pixels, and others beside it have 32×24" in str(broken)
    assert not any(isinstance(each, InputError) for each in encoder.encode([0, 2]))
    assert len(encoder.picture([0, 1, 2])) == 2 * 16


def test_a_picture_has_no_row_for_a_video_that_cannot_be_read(squares, run, tmp_path):
    videos = dict(files.find_videos(squares))
    videos[1] = tmp_path / "video_00001.mp4"
    videos[1].write_bytes(b"no video")
    encoder = monet.Encoder(trained.read(str(run)), videos, range(4))
    assert len(encoder.picture([0, 1, 2])) == 2 * 16
    assert encoder.picture([1]) is None


def test_more_videos_than_go_at_once(squares, run, monkeypatch):
    """Encoding two videos at a time gives the same latents as all at once; eight devices do not divide the frames."""
    encoder = monet.Encoder(trained.of_run(run), files.find_videos(squares), range(31))
    assert encoder.videos_at_once == 2
    in_twos = list(encoder.encode([0, 1, 2, 3, 4]))
    assert encoder.step._cache_size() == 1
    monkeypatch.setattr(monet, "CPU_FRAMES_AT_ONCE", 20)
    together = monet.Encoder(trained.of_run(run), files.find_videos(squares), range(31))
    assert together.videos_at_once == 5
    np.testing.assert_allclose(in_twos, list(together.encode([0, 1, 2, 3, 4])), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("frames", "on_cpus", "on_others"), [(1, 64, 1024), (10, 6, 102), (128, 1, 8), (300, 1, 3)])
def test_whole_videos_are_encoded_together_by_their_frames(run, monkeypatch, frames, on_cpus, on_others):
    assert monet.Encoder(trained.of_run(run), {}, range(frames)).videos_at_once == on_cpus
    monkeypatch.setattr(monet, "frames_at_once", lambda mesh: monet.FRAMES_AT_ONCE)
    assert monet.Encoder(trained.of_run(run), {}, range(frames)).videos_at_once == on_others


def test_masks_give_each_pixel_to_the_slot_that_has_most_of_it(squares, run):
    model, numbers = Monet(MonetConfig(**settings(squares).model), rngs=nnx.Rngs(0)), [3, 40, 90]
    paths = files.find_videos(squares)
    encoder = monet.Encoder(trained.of_run(run), paths, numbers, made=monet.packed_masks)
    made = list(encoder.encode([2, 0, 77]))
    assert isinstance(made.pop(), InputError)
    for index, packed in zip([2, 0], made, strict=True):
        images = read_frames(paths[index], numbers, (16, 16))
        log_mask = np.asarray(model.encode(colors(images))[0])
        mask = np.asarray(masks.unpack(packed, 3))
        assert (mask.sum(axis=1) == 1).all()
        chosen = np.take_along_axis(log_mask, mask.argmax(axis=1)[:, None], axis=1)[:, 0]
        np.testing.assert_allclose(chosen, log_mask.max(axis=1), atol=1e-5)


@pytest.mark.parametrize(("used", "remarks"), [(2, []), (3, ["4 of 4 frames use all 3 slots"])])
def test_frames_that_use_all_slots_are_counted(squares, run, monkeypatch, used, remarks):
    told = monet.quality.of_masks
    monkeypatch.setattr(monet.quality, "of_masks", lambda mask: {"slots_used": 0 * told(mask)["slots_used"] + used})
    encoder = monet.Encoder(trained.of_run(run), files.find_videos(squares), range(4))
    list(encoder.encode([0]))
    assert [remark.split(";")[0] for remark in encoder.remarks()] == remarks


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "--encoder=monet: name the run .*--checkpoint=WORKDIR"),
        (
            ["--checkpoint=nowhere"],
            "nowhere: neither the workdir of a run nor weights that come with Aloe",
        ),
        (["--checkpoint=.", "--frames_per_video=129"], "--frames_per_video=129: a video has 128"),
    ],
)
def test_a_run_must_be_named(squares, argv, message):
    with pytest.raises(InputError, match=message):
        encode.main(["--task=clevrer", f"--data={squares}", "--encoder=monet", *argv])
    assert not (squares / "latents").exists()


def test_a_run_of_another_task_or_without_a_checkpoint_is_refused(squares, tmp_path):
    resolved = settings(squares)
    resolved.workdir = str(tmp_path / "empty")
    workdir.claim(resolved)
    with pytest.raises(InputError, match="no checkpoint yet"):
        trained.read(str(tmp_path / "empty"))
    resolved.task, resolved.workdir = "clevrer", str(tmp_path / "other")
    workdir.claim(resolved)
    with pytest.raises(InputError, match="a run of --task=clevrer, not of monet"):
        trained.read(str(tmp_path / "other"))


def test_a_checkpoint_of_another_model_than_its_configuration_is_refused(run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    path = tmp_path / "run" / workdir.CONFIG
    config = json.loads(path.read_text())
    config["model"]["latent"] += 1
    path.write_text(json.dumps(config))
    with pytest.raises(
        InputError, match=r"run/checkpoints/1: cannot be read as .* the model in .*config.json: .*shape"
    ):
        trained.read(str(tmp_path / "run"))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--checkpoint=nowhere"], "nowhere: neither the workdir of a run nor weights that come with Aloe"),
        (["--checkpoint={run}"], "'latent': 8, .*'slots': 3, .*, not by .*'slots': 4, 'latent': 6}"),
        (["--checkpoint={stored}", "--frames_per_video=10"], "has 128 frames of each video, and 10, or others"),
        (["--checkpoint={stored}", "--splits=test"], "test.json"),
    ],
)
def test_what_is_wrong_is_said_before_a_host_is_asked_for(filled, squares, run, tmp_path, monkeypatch, flags, message):
    """The existing stores have 3 slots and 8 latents."""
    asked = []
    monkeypatch.setattr(encode, "run_on_slice", lambda *wanted: asked.append(wanted))
    other = save_run(tmp_path / "run", seed=0, changes={"model.slots": 4, "model.latent": 6})
    named = [flag.format(run=other, stored=run) for flag in flags]
    given = ["--task=clevrer", f"--data={squares}", f"--latents={filled}", "--encoder=monet", "--hosts=4"]
    before = sorted(filled.rglob("*"))
    with pytest.raises(InputError, match=message):
        encode.main([*given, *named])
    assert not asked
    encode.main([*given, f"--checkpoint={run}"])
    assert len(asked) == 1
    assert sorted(filled.rglob("*")) == before
