import pytest

from aloe.data.whole import write_whole


def test_text_and_filled_files_are_written_and_replaced(tmp_path):
    file = tmp_path / "new" / "file.bin"
    write_whole(file, "text")
    assert file.read_text() == "text"
    write_whole(file, lambda partial: partial.write_bytes(b"bytes"))
    assert file.read_bytes() == b"bytes"
    assert list(file.parent.iterdir()) == [file]


def test_what_fails_half_way_leaves_all_as_it_was(tmp_path):
    file = tmp_path / "file"
    file.write_text("before")

    def half(partial):
        partial.write_text("half")
        assert partial.parent == file.parent  # otherwise it could not be moved atomically
        raise RuntimeError("out of ink")

    with pytest.raises(RuntimeError, match="ink"):
        write_whole(file, half)
    assert file.read_text() == "before"
    assert list(tmp_path.iterdir()) == [file]


def test_nothing_is_there_until_it_is_whole(tmp_path):
    file = tmp_path / "file"

    def filling(partial):
        partial.write_text("all of it")
        assert not file.exists()

    write_whole(file, filling)
    assert file.exists()
