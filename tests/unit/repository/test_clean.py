"""Nothing in the repository depends on where it was written or where its packages were fetched from."""

import re

from tests.unit.repository import tree

# Written so that this file does not contain what it looks for.
PLACES = re.compile(
    r"pypi[.]org|python[h]osted[.]org|proxy[.]golang[.]org|npmjs[.](org|com)|/work[/](main|shared)|/tmp[/]brief|/root[/][.]pyenv"
)


def test_no_file_names_a_package_registry_or_a_path_of_one_machine() -> None:
    found = [
        f"{tree.relative(path)}:{number}: {match.group()}"
        for path in tree.files()
        for number, line in enumerate((tree.text(path) or "").splitlines(), start=1)
        if (match := PLACES.search(line))
    ]
    assert found == []


def test_locks_hold_names_versions_and_hashes_only() -> None:
    locks = sorted((tree.ROOT / "images/locks").glob("*.txt"))
    assert [lock.stem for lock in locks] == ["convert", "dev", "edge", "operator", "train"]
    for lock in locks:
        lines = lock.read_text().splitlines()
        assert [line for line in lines if "://" in line or line.startswith("-")] == []
        requirements = [line for line in lines if re.match(r"[a-z0-9]", line)]
        assert requirements
        assert [line for line in requirements if "==" not in line or not line.endswith("\\")] == []


def test_the_images_ship_the_versions_that_are_tested() -> None:
    def versions(name: str) -> set[str]:
        return set(re.findall(r"^([a-z0-9][\w.-]*==[\w.!+]+)", (tree.ROOT / f"images/locks/{name}.txt").read_text(), re.MULTILINE))

    for image in ("operator", "train", "convert", "edge"):
        assert versions(image) - versions("dev") == set(), image


def test_only_the_training_image_holds_torch() -> None:
    holders = [lock.stem for lock in (tree.ROOT / "images/locks").glob("*.txt") if re.search(r"^torch==", lock.read_text(), re.MULTILINE)]
    assert sorted(holders) == ["dev", "train"]
