"""The doctor finds every kind of fault, at its line and nothing else beside it; clean data gives no finding."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Pil

import tiny
from images.pictures import noise, png, turned
from pumice.checkpoint.load import load_processor
from pumice.data.convert import Choices, convert
from pumice.data.doctor import Doctor, Task
from pumice.data.faults import KINDS, Fault, Finding
from pumice.data.leaks import read_evaluation
from pumice.data.records import read_records
from pumice.engine.engine import BUNDLED
from pumice.errors import PumiceError, UsageError
from pumice.processor import Processor
from pumice.train.rows import RecordRows

ROOM = 400


def human(value: str) -> dict[str, str]:
    return {"from": "human", "value": value}


def gpt(value: str) -> dict[str, str]:
    return {"from": "gpt", "value": value}


FIRST: dict[str, Any] = {
    "id": "1",
    "image": "a.png",
    "conversations": [human("<image>\nWhat is this?"), gpt("A red cup.")],
}
SECOND: dict[str, Any] = {
    "id": "2",
    "image": "b.png",
    "conversations": [human("<image>\nWhat colour?"), gpt("Red."), human("Sure?"), gpt("Yes.")],
}


def said(*turns: dict[str, str]) -> dict[str, Any]:
    return {**SECOND, "conversations": list(turns)}


def shown(name: str) -> dict[str, Any]:
    return {**SECOND, "image": name}


# What stands in place of the second record, and what else follows from it.
SEEDS: dict[str, tuple[Any, set[str]]] = {
    "not-object": (5, set()),
    "no-conversations": ({"id": "2", "image": "b.png"}, set()),
    "bad-turn": (said(human("<image>?"), {"from": "gpt"}), set()),
    "bad-role": (said({"from": "system", "value": "Be brief."}, *SECOND["conversations"]), set()),
    "roles-order": (said(human("<image>?"), human("Well?"), gpt("A.")), set()),
    "leading-answer": (said(gpt("Hello."), *SECOND["conversations"]), set()),
    "no-answer": (said(human("<image>\nWhat?")), set()),
    "empty-answer": (said(human("<image>\nWhat?"), gpt("A."), human("Sure?"), gpt(" ")), set()),
    "empty-question": (said(human("<image>\n"), gpt("A.")), set()),
    "placeholder-count": (said(human("<image> and <image>?"), gpt("A.")), set()),
    "placeholder-in-answer": (said(human("<image>?"), gpt("An <image>.")), set()),
    "special-text": (said(human("<image>?"), gpt("A cup.</s>")), set()),
    "damaged-text": (said(human("<image>?"), gpt("A caf\ufffd.")), set()),
    "bad-image-field": (shown(5), set()),  # type: ignore[arg-type]
    "image-outside": (shown("../a.png"), set()),
    "missing-image": (shown("c.png"), set()),
    "unsupported-image": (shown("paper.jpg"), set()),
    "truncated-image": (shown("short.png"), set()),
    "unreadable-image": (shown("huge.png"), set()),
    "rotated-image": (shown("turned.jpg"), set()),
    "tiny-image": (shown("tiny.png"), set()),
    "thin-image": (shown("thin.png"), set()),
    "blank-image": (shown("blank.png"), set()),
    "duplicate-id": ({**SECOND, "id": "1"}, set()),
    "duplicate-record": ({**FIRST, "id": "2"}, set()),
    "no-supervised": (said(human("<image>?"), gpt("")), {"empty-answer"}),
    "too-long": (said(human("<image>?"), gpt("word " * ROOM)), set()),
}
# Those that need other bytes, another template or an evaluation have tests of their own.
APART = {"encoding", "bad-json", "no-records", "cannot-encode", "leaked-question", "leaked-image"}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    noise(64, 48, seed=1).save(folder / "a.png")
    noise(48, 64, seed=2).save(folder / "b.png")
    noise(20, 20).save(folder / "tiny.png")
    noise(600, 40).save(folder / "thin.png")
    Pil.new("RGB", (64, 64), (9, 9, 9)).save(folder / "blank.png")
    (folder / "turned.jpg").write_bytes(turned(noise(64, 48, seed=3), 6, "JPEG"))
    (folder / "short.png").write_bytes((folder / "a.png").read_bytes()[:-3000])
    (folder / "huge.png").write_bytes(png(60_000, 60_000, b""))
    (folder / "paper.jpg").write_bytes(b"%PDF-1.7 not a picture at all")
    (folder / "empty.png").write_bytes(b"")
    body = bytearray((folder / "a.png").read_bytes())
    body[100:140] = bytes(40)
    (folder / "damaged.png").write_bytes(body)
    return folder


def examined(path: Path, pictures: Path, **changes: Any) -> tuple[list[Finding], Doctor]:
    values: dict[str, Any] = {"processor": tiny.processor(), "max_tokens": ROOM, **changes}
    doctor = Doctor(Task(path, pictures, **values))
    return list(doctor.findings()), doctor


def lines(path: Path, *records: Any) -> Path:
    path.write_text("".join(json.dumps(each) + "\n" for each in records), encoding="utf-8")
    return path


def kinds(found: list[Finding]) -> set[str]:
    return {each.fault.kind for each in found}


def test_every_kind_is_seeded() -> None:
    assert set(SEEDS) | APART == set(KINDS) and not set(SEEDS) & APART
    assert len(KINDS) >= 18


@pytest.mark.parametrize("kind", SEEDS)
@pytest.mark.parametrize("indent", [None, 1], ids=["lines", "list"])
def test_a_seeded_fault(tmp_path: Path, pictures: Path, kind: str, indent: int | None) -> None:
    """At its line, of the right severity, alone, and the records around it are read."""
    wrong, others = SEEDS[kind]
    third = {**SECOND, "id": "3", "image": None, "conversations": [human("What is a cup?"), gpt("A thing.")]}
    path = tmp_path / "records.jsonl"
    if indent is None:
        line = len(lines(path, FIRST, wrong, third).read_text().split("\n")) - 2
    else:
        path.write_text(json.dumps([FIRST, wrong, third], indent=indent), encoding="utf-8")
        line = json.dumps([FIRST], indent=indent).count("\n") + 1
    found, doctor = examined(path, pictures)
    assert kinds(found) == {kind} | others
    assert {each.line for each in found} == {line}
    assert {each.id for each in found} == {str(wrong["id"]) if isinstance(wrong, dict) else ""}
    assert doctor.summary.records == 2 + isinstance(wrong, dict)
    assert doctor.summary.counts.total() == len(found)
    assert len(doctor.summary.tokens) >= 2
    assert all(str(each).startswith(f"{each.fault.severity}: {path}:{line}") for each in found)


@pytest.mark.parametrize("kind", [*SEEDS, "cannot-encode"])
def test_training_agrees(tmp_path: Path, pictures: Path, kind: str) -> None:
    """What training refuses is an error here, and what is only a warning here can be trained on."""
    how, wrong = tiny.processor(), SEEDS[kind][0] if kind in SEEDS else SECOND
    if kind == "cannot-encode":
        how = tiny.processor("plain")
    path = lines(tmp_path / "r.jsonl", wrong)
    try:
        rows = RecordRows(read_records(path, pictures), how)
        refused = not [rows[index] for index in range(len(rows))]
    except PumiceError:
        refused = True
    found, _ = examined(path, pictures, processor=how)
    errors = {each.fault.kind for each in found if each.fault.severity == "error"}
    if refused:
        assert errors
    # Three kinds teach something false, or nothing, without stopping anything.
    assert refused or errors <= {"empty-answer", "too-long", "image-outside"}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("damaged.png", "unreadable-image"),
        ("empty.png", "truncated-image"),
        ("a.png/b", "missing-image"),
        (".", "missing-image"),
    ],
)
def test_more_pictures(tmp_path: Path, pictures: Path, name: str, kind: str) -> None:
    assert kinds(examined(lines(tmp_path / "r.jsonl", shown(name)), pictures)[0]) == {kind}


def test_absolute_paths_within_the_folder_are_fine(tmp_path: Path, pictures: Path) -> None:
    assert not examined(lines(tmp_path / "r.jsonl", shown(str(pictures / "b.png"))), pictures)[0]
    (tmp_path / "linked").symlink_to(pictures)
    assert not examined(lines(tmp_path / "r.jsonl", shown("linked/b.png")), tmp_path)[0]


@pytest.mark.parametrize("as_list", [False, True])
def test_bytes_that_are_not_utf_8(tmp_path: Path, pictures: Path, as_list: bool) -> None:
    path = tmp_path / "r.json"
    wrong = json.dumps(said(human("<image>?"), gpt("Caf\xe9.")), ensure_ascii=False)
    text = f"[\n{json.dumps(FIRST)},\n{wrong}]" if as_list else f"{json.dumps(FIRST)}\n{wrong}\n"
    path.write_bytes(text.encode("latin-1"))
    found, doctor = examined(path, pictures)
    assert [(each.fault.kind, each.line) for each in found] == [("encoding", 2 + as_list)]
    assert "0xe9" in found[0].fault.found and doctor.summary.records == 2
    for wide in ("utf-16", "utf-16-le", "utf-32-be"):
        path.write_bytes(text.encode(wide))
        assert [each.fault.kind for each in examined(path, pictures)[0]] == ["encoding"]


def test_broken_and_empty_files(tmp_path: Path, pictures: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text(f"{json.dumps(FIRST)}\n{{oops\n{json.dumps(SECOND)}\n[[\n", encoding="utf-8")
    found, doctor = examined(path, pictures)
    assert [(each.fault.kind, each.line) for each in found] == [("bad-json", 2), ("bad-json", 4)]
    assert doctor.summary.records == 2
    for text in ("", " \n", "[ ]"):
        path.write_text(text, encoding="utf-8")
        assert kinds(examined(path, pictures)[0]) == {"no-records"}
    # One fault says it all: a table, a text, an archive.
    for data in (b"image;question\na.png;?\n", b"hello\nworld\n", b"PK\3\4" + bytes(range(256)) * 9):
        path.write_bytes(data)
        (only,) = examined(path, pictures)[0]
        assert only.fault.kind == "bad-json" and "neither a list nor objects" in only.fault.found
    path.write_text(json.dumps(FIRST, indent=1), encoding="utf-8")
    assert "it does not end in this line" in examined(path, pictures)[0][0].fault.found
    path.write_text(json.dumps({"data": [FIRST]}), encoding="utf-8")
    assert "found only ['data']" in examined(path, pictures)[0][0].fault.found
    with pytest.raises(UsageError, match="cannot read"):
        examined(tmp_path / "missing.json", pictures)


def test_a_template_that_does_not_suit(tmp_path: Path, pictures: Path) -> None:
    path = lines(tmp_path / "r.jsonl", FIRST, SECOND)
    found, _ = examined(path, pictures, processor=tiny.processor("plain"))
    assert [(each.fault.kind, each.line) for each in found] == [("cannot-encode", 2)]
    blind = Processor(tiny.tokenizer(), tiny.processor().template, None)
    assert kinds(examined(path, pictures, processor=blind)[0]) == {"cannot-encode"}


@pytest.mark.parametrize(
    ("asked", "kind"),
    [
        ({"image": "other/name.png", "text": "what  colour?\nAnswer in a single word."}, "leaked-question"),
        ({"image": "other/name.png", "question": "Sure?"}, "leaked-question"),
        ({"image": "other/name.png", "text": "What else is there?"}, "leaked-image"),
        ({"image": "b.png", "text": "What else is there?"}, "leaked-image"),
        ({**SECOND, "image": "other/name.png"}, "leaked-question"),
        ({"image": "a.png", "text": "What colour?"}, None),
        ({"text": "What colour?"}, None),
        ({"text": "What is a cup?"}, "leaked-question"),
    ],
)
def test_leaks(tmp_path: Path, pictures: Path, asked: dict[str, Any], kind: str | None) -> None:
    """The same picture under another name, by name where it is not at hand; the same words, but for how to answer."""
    (tmp_path / "other").mkdir()
    shutil.copy(pictures / "b.png", tmp_path / "other" / "name.png")
    if asked.get("image") == "a.png":
        shutil.copy(pictures / "a.png", tmp_path / "a.png")
    evaluation = read_evaluation(lines(tmp_path / "asked.jsonl", {"text": "Else?"}, {"text": ""}, asked), tmp_path)
    alone = {"id": "3", "conversations": [human("What is a cup?"), gpt("A thing.")]}
    found, _ = examined(lines(tmp_path / "r.jsonl", SECOND, alone), pictures, evaluation=evaluation)
    assert [each.fault.kind for each in found] == ([kind] if kind else [])
    assert all(f"{tmp_path / 'asked.jsonl'}:3" in each.fault.found for each in found)


@pytest.mark.parametrize("wrong", ['{"image": "a.png"}', "{oops", "5", '{"image": 5, "text": "a"}'])
def test_a_file_of_questions_that_is_none(tmp_path: Path, wrong: str) -> None:
    path = tmp_path / "asked.jsonl"
    path.write_text('{"text": "Else?"}\n' + wrong, encoding="utf-8")
    with pytest.raises(UsageError, match=r"asked\.jsonl:2: "):
        read_evaluation(path, tmp_path)


def test_lengths_are_those_of_training(tmp_path: Path, pictures: Path) -> None:
    """Counted without making tiles, equal to what the processor makes, in every geometry."""
    path = lines(tmp_path / "r.jsonl", FIRST, SECOND, {**SECOND, "id": "3", "image": "thin.png"})
    for how in (
        tiny.processor(),
        tiny.processor(mode="anyres", merge="spatial_unpad"),
        tiny.processor("llava_llama_2"),
    ):
        _, doctor = examined(path, pictures, processor=how)
        assert doctor.summary.tokens == [len(how(each.conversation).ids) for each in read_records(path, pictures)]
    assert doctor.summary.sizes == [(64, 48), (48, 64), (600, 40)]


def test_a_picture_is_doubted_once_and_missed_every_time(tmp_path: Path, pictures: Path) -> None:
    records = [{**shown(name), "id": f"{name}{n}", "conversations": [human(f"<image>{n}?"), gpt("A.")]}
               for n in range(200) for name in ("tiny.png", "c.png")]  # fmt: skip
    found, _ = examined(lines(tmp_path / "r.jsonl", *records), pictures)
    assert [each.line for each in found if each.fault.kind == "tiny-image"] == [1]
    assert [each.line for each in found if each.fault.kind == "missing-image"] == [*range(2, 401, 2)]


def test_samples_are_a_function_of_the_seed(tmp_path: Path, pictures: Path) -> None:
    records = [{"id": str(n), "conversations": [human(f"{n}?"), gpt("A.")]} for n in range(300)]
    path = lines(tmp_path / "r.jsonl", *records)

    def drawn(seed: int) -> list[str]:
        return [each.id for each in examined(path, pictures, seed=seed, samples=12)[1].summary.samples]

    assert drawn(1) == drawn(1) != drawn(2)
    assert len(set(drawn(1))) == 12 and max(map(int, drawn(1))) > 100


def test_what_is_printed_stays_one_plain_line() -> None:
    finding = Finding(Fault("bad-json", "a\x1b[31m\nb\ud800"), Path("r.json"), 3, "\r7")
    assert str(finding) == "error: r.json:3 [\ufffd7] bad-json: a\ufffd[31m\ufffdb\ufffd"


@pytest.mark.parametrize("template", ["vicuna_v1", "plain"])
def test_photographs_with_captions_are_clean(
    tmp_path: Path, coco: Path, captions: dict[str, list[str]], template: str
) -> None:
    for name, told in captions.items():
        shutil.copy(coco / "val2017" / name, tmp_path)
        (tmp_path / name).with_suffix(".txt").write_text(told[0], encoding="utf-8")
    records = tmp_path / "records.json"
    assert convert(tmp_path, records).records == len(captions)
    processor, described = load_processor(BUNDLED, template=template)
    room = described.model.language.max_positions
    found, doctor = examined(records, tmp_path, processor=processor, max_tokens=room)
    assert not found and doctor.summary.records == len(doctor.summary.tokens) == len(captions)


def test_cocos_own_captions_are_clean(tmp_path: Path, coco: Path, captions: dict[str, list[str]]) -> None:
    records, chosen = tmp_path / "records.jsonl", Choices(coco / "val2017", skip_missing=True)
    count = convert(coco / "captions_val2017.json", records, choices=chosen)
    assert count.records == sum(map(len, captions.values())) and count.skipped > 0
    processor, _ = load_processor(BUNDLED, template="plain")
    found, doctor = examined(records, coco / "val2017", processor=processor, max_tokens=4096)
    assert not found and len(doctor.summary.tokens) == count.records and len(doctor.summary.sizes) == len(captions)


def test_a_table_of_questions_about_photographs_is_clean(
    tmp_path: Path, coco: Path, captions: dict[str, list[str]]
) -> None:
    table, records = tmp_path / "questions.csv", tmp_path / "records.jsonl"
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "question", "answer"])
        for name, told in captions.items():
            writer.writerows([name, f"Say it in words, number {n}.", each] for n, each in enumerate(told))
    for merge in (False, True):
        convert(table, records, choices=Choices(coco / "val2017", merge=merge, overwrite=True))
        processor, _ = load_processor(BUNDLED)
        found, doctor = examined(records, coco / "val2017", processor=processor, max_tokens=4096)
        assert not found and doctor.summary.records == (len(captions) if merge else sum(map(len, captions.values())))


def test_the_page_about_data_lists_every_kind(project: Path) -> None:
    page = (project / "docs" / "data.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z-]+)` \| (error|warning) \| (.+?) \| (.+?) \|$", page, re.MULTILINE)
    table = [(name, kind.severity, _cell(kind.what), _cell(kind.fix)) for name, kind in KINDS.items()]
    assert rows == table


def _cell(text: str) -> str:
    """Angle brackets and braces of a table are code, or they would vanish."""
    return re.sub(r"(\\?<image>|--[a-z-]+|\{.*?\})", r"`\1`", text)
