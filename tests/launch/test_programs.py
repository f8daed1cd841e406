"""What a training process has, however it was started: its compilation cache, and its workdir to itself."""

import logging

import jax
import pytest

from aloe.model import fused_block
from aloe.model.config import ModelConfig
from aloe.training import loop
from launch import programs


@pytest.fixture
def asked(monkeypatch):
    """Replaces `loop.run` with a function that only records its arguments; restores the process's settings."""
    kept = {}
    monkeypatch.setattr(loop, "run", lambda config, **options: kept.update(options, config=config))
    before = jax.config.jax_compilation_cache_dir
    yield kept
    jax.config.update("jax_compilation_cache_dir", before)


def test_what_is_compiled_is_kept_in_the_workdir_unless_the_user_has_a_folder_for_it(asked, tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "mine")
    before = jax.config.jax_compilation_cache_dir
    programs.train({"workdir": str(tmp_path)})
    assert jax.config.jax_compilation_cache_dir == before
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    programs.train({"workdir": str(tmp_path)})
    assert jax.config.jax_compilation_cache_dir == str(tmp_path / "compiled")


def test_by_which_path_attention_goes_is_printed_once(asked, tmp_path, capsys):
    config = ModelConfig(layers=1, heads=2, latent=6, slots=2, frames=2, outputs={"answer": 3})
    fused_block._log_once.cache_clear()
    root = programs.Printing()
    logging.getLogger().addHandler(root)
    for _ in range(2):
        programs.train({"workdir": str(tmp_path)})
        fused_block.chosen_block(config, config.tokens)
    logging.getLogger().removeHandler(root)
    assert (
        capsys.readouterr().out
        == f"Block: attention by xla, {config.tokens} tokens, width {config.width}, {config.dtype}\n"
    )


def test_it_is_alone_in_its_workdir_and_says_who_it_is(asked, tmp_path):
    for who, told in (("", "rank 0 of 1"), ("launch/train.py --local", "launch/train.py --local")):
        programs.train({"workdir": str(tmp_path)}, who=who)
        with asked["alone"](tmp_path):
            assert (tmp_path / programs.LOCK).read_text().endswith(f": {told}")


def test_a_workdir_in_a_bucket_has_no_lock(monkeypatch):
    monkeypatch.setattr(programs, "sole_holder", lambda *_, **__: pytest.fail("nothing locks there"))
    with programs.alone("gs://bucket/run", "me"):
        pass
