"""Columns of digests: each is found again, and they are sorted as their texts are."""

from __future__ import annotations

from bramble_workloads.snapshot.columns import Digests, Places, text


def names(count: int) -> list[str]:
    """Digests of which many have the same first bytes, and most have zeros, in no order."""
    return [text((number * 7 % 5).to_bytes(8) + bytes(20) + (number * 101 % 997).to_bytes(2) + bytes(2)) for number in range(count)]


def test_a_digest_is_found_at_its_place_however_many_begin_alike() -> None:
    digests = Digests()
    places = Places(digests)
    for place, name in enumerate(names(200)):
        assert places.find(name) is None
        digests.append(name)
        places.add(place)
        assert places.find(name) == place
    assert [places.find(name) for name in names(200)] == list(range(200))
    assert places.find(text(bytes(31) + b"\1")) is None


def test_digests_are_sorted_as_their_texts_are() -> None:
    digests = Digests()
    for name in names(500):
        digests.append(name)
    assert [digests[number] for number in digests.order()] == sorted(names(500))
