from pathlib import Path

from patchcxr.io.folders import files_below


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def test_files_of_all_levels_come_sorted_and_hidden_ones_are_left_out(tmp_path):
    wanted = [touch(tmp_path / "a" / "z.png"), touch(tmp_path / "b.PNG"), touch(tmp_path / "c.txt")]
    touch(tmp_path / ".hidden.png")
    touch(tmp_path / ".cache" / "d.png")
    assert files_below(tmp_path) == wanted
    assert files_below(tmp_path, {".png"}) == wanted[:2]


def test_a_loop_of_links_ends_and_no_file_comes_twice(tmp_path):
    film = touch(tmp_path / "films" / "one.png")
    (tmp_path / "films" / "up").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "again").symlink_to(tmp_path / "films", target_is_directory=True)
    found = files_below(tmp_path)
    assert len(found) == 1
    assert found[0].resolve() == film


def test_a_linked_folder_outside_is_entered_and_a_dead_link_is_no_file(tmp_path):
    outside = touch(tmp_path / "outside" / "one.png")
    root = tmp_path / "root"
    root.mkdir()
    (root / "linked").symlink_to(outside.parent, target_is_directory=True)
    (root / "dead.png").symlink_to(tmp_path / "nowhere.png")
    assert files_below(root) == [root / "linked" / "one.png"]


def test_a_folder_that_is_not_there_has_no_files(tmp_path):
    assert files_below(tmp_path / "absent") == []
