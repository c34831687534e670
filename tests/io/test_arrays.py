"""Arrays by study id: every id has its own file, and half a file is never read."""

import numpy as np
import pytest

from patchcxr.errors import ImageError
from patchcxr.io.arrays import ArrayFolder, safe_name


def test_what_is_saved_is_loaded(tmp_path):
    folder, array = ArrayFolder(tmp_path), np.arange(6, dtype=np.float16).reshape(2, 3)
    assert "a" not in folder
    folder.save("a", array)
    assert "a" in folder
    np.testing.assert_array_equal(folder.load("a"), array)
    assert [path.name for path in tmp_path.iterdir()] == ["a.npy"]


@pytest.mark.parametrize("study", ["../../etc/passwd", "a b", "ü", "a\nb", "", ".hidden", "x" * 300])
def test_hostile_names_stay_in_the_folder(tmp_path, study):
    folder = ArrayFolder(tmp_path)
    folder.save(study, np.zeros(1))
    assert folder.path(study).parent == tmp_path
    assert folder.path(study).is_file()


def test_different_studies_never_share_a_name():
    names = ["a/b", "a_b", "a b", "a:b", "A/b"]
    assert len({safe_name(name) for name in names}) == len(names)


def test_a_missing_and_a_damaged_array_are_named(tmp_path):
    folder = ArrayFolder(tmp_path)
    with pytest.raises(ImageError, match="no array for study 'a'"):
        folder.load("a")
    folder.path("a").write_bytes(b"\x93NUMPY half")
    with pytest.raises(ImageError, match="delete the file and run the step again"):
        folder.load("a")
