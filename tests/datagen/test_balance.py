"""Captions balanced by their phrases: rare ones stay, frequent ones are thinned out, whatever the captions are."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pumice.annotations.sources.table import open_source
from pumice.data.records import read_records
from pumice.datagen import balance as room
from pumice.datagen.balance import INSTRUCTIONS, Options, Rule, balance, choose
from pumice.errors import UsageError

CAPTIONS = st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=4), max_size=60)


def chosen(captions: list[list[str]], rule: Rule) -> list[int]:
    """With a tagger for which every word is a phrase."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room, "phrases_of", lambda texts: [tuple(sorted(set(text.split()))) for text in texts])
        found = choose([" ".join(words) for words in captions], rule, Options())
    assert found.captions == len(captions) and found.count == sum(found.chosen)
    return [number for number, taken in enumerate(found.chosen) if taken]


@given(CAPTIONS, st.integers(1, 4), st.integers(1, 6), st.integers(0, 9))
def test_frequent_phrases_have_as_many_as_they_may_and_rare_ones_all(
    captions: list[list[str]], least: int, most: int, seed: int
) -> None:
    rule = Rule(least, most, seed)
    taken = chosen(captions, rule)
    assert taken == chosen(captions, rule)
    before = Counter(word for words in captions for word in set(words))
    after = Counter(word for number in taken for word in set(captions[number]))
    frequent = {word for word, count in before.items() if count >= least}
    for number in taken:
        assert frequent & set(captions[number]), "it has nothing that counts"
    for word in frequent:
        assert after[word] >= min(before[word], most)
    # No more than the rule takes for each phrase.
    assert len(taken) <= sum(min(before[word], most) for word in frequent)


def test_a_common_phrase_is_thinned_out_and_the_others_are_not() -> None:
    captions = [["dog"]] * 500 + [["dog", "hat"]] * 7 + [["tie"]] * 2
    taken = chosen(captions, Rule(3, 100))
    assert set(range(500, 507)) <= set(taken) and not {507, 508} & set(taken)
    assert 100 <= len(taken) <= 107


def test_nothing_to_choose_is_an_error_and_leaves_no_file(tmp_path: Path) -> None:
    boxes = tmp_path / "instances.json"
    picture = {"id": 1, "file_name": "1.jpg", "width": 10, "height": 10}
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5], "iscrowd": 0}
    boxes.write_text(json.dumps({"images": [picture], "annotations": [box], "categories": [{"id": 1, "name": "dog"}]}))
    target = tmp_path / "out.json"
    with pytest.raises(UsageError, match=r"expected captions, found no caption$"):
        balance(open_source("coco", [boxes]), target, Rule(), Options())
    table = tmp_path / "captions.csv"
    table.write_text("image,caption\na.jpg,A dog.\nb.jpg,A cat.\n")
    with pytest.raises(UsageError, match="no phrase is in 3 captions or more, of 2"):
        balance(open_source("captions", [table]), target, Rule(), Options())
    with pytest.raises(UsageError, match="no caption of a picture that is in"):
        balance(open_source("captions", [table]), target, Rule(), Options(images=tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["captions.csv", "instances.json"]
    assert balance(open_source("captions", [table]), target, Rule(1), Options()).count == 2


def test_a_target_that_is_there_is_seen_before_the_work(tmp_path: Path) -> None:
    table = tmp_path / "captions.csv"
    table.write_text("image,caption\n" + "a.jpg,A dog.\n" * 3)
    read: list[int] = []
    with pytest.raises(UsageError, match="exists already"):
        balance(open_source("captions", [table]), table, Rule(), Options(watch=read.append))
    assert not read


def test_files_become_records_that_ask_in_eleven_ways(tmp_path: Path) -> None:
    table = tmp_path / "captions.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "caption"])
        for number in range(300):
            writer.writerow([f"{number}.jpg", f"A {'dog' if number % 3 else 'cat'} on a bench."])
            (tmp_path / f"{number}.jpg").write_bytes(b"")
        writer.writerow(["missing.jpg", "A dog."])
    found = balance(open_source("captions", [table]), tmp_path / "out.json", Rule(), Options(images=tmp_path))
    records = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert len(read_records(tmp_path / "out.json", tmp_path)) == len(records) == found.count
    assert found.captions == 300 and 100 <= found.count < 300 and found.commonest[:2] == ("bench", 300)
    asked = {record["conversations"][0]["value"].removeprefix("<image>\n") for record in records}
    assert asked == set(INSTRUCTIONS) and len(INSTRUCTIONS) == 11
    by_two = balance(
        open_source("captions", [table]), tmp_path / "two.json", Rule(), Options(images=tmp_path, workers=2)
    )
    assert by_two == found and (tmp_path / "two.json").read_bytes() == (tmp_path / "out.json").read_bytes()
