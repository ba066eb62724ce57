"""MMBench: its table, prompts, uploads, and predictions in every shape in which they come."""

from __future__ import annotations

import base64
import csv
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import openpyxl
import pytest

from benchmark_files import write_lines
from pumice.errors import UsageError
from pumice.evaluate import sheets
from pumice.evaluate.questions import Answer
from pumice.evaluate.tasks.mmbench import MMBENCH, MMBENCH_CN

COLUMNS = (
    *("index", "question", "hint", "A", "B", "C", "D", "answer"),
    *("category", "image", "source", "l2-category", "comment", "split"),
)
LETTER = "Answer with the option's letter from the given choices directly."
# question, options with the right one first, category, ability, picture
QUESTIONS = (
    ("What is it?", ("a cat", "a dog", "a tree", "a car"), "object", "perception", b"first picture"),
    ("Where is it?", ("in a house", "outside"), "place", "perception", b"second picture"),
    ("Why is it there?", ("by chance", "on purpose", "None"), "cause", "reasoning", b"first picture"),
)


def rows() -> list[dict[str, str]]:
    """Every question in all its rotations, as the official table has them."""
    found = []
    for number, (question, options, category, ability, picture) in enumerate(QUESTIONS, 7):
        shown = [option for option in options if option != "None"]
        for turn in range(len(shown)):
            row = dict.fromkeys(COLUMNS, "")
            row |= {"index": str(turn * 1_000_000 + number), "question": question, "category": category}
            row |= dict(zip("ABCD", shown[turn:] + shown[:turn], strict=False))
            row |= {"l2-category": ability, "answer": "ABCD"[(len(shown) - turn) % len(shown)], "split": "dev"}
            row |= {"image": base64.b64encode(picture).decode(), "source": "here", "comment": "nan"}
            row |= {"hint": 'A hint with "quotes"\tand a tab.' if number == 8 else "nan"}
            found.append(row)
    return found


def write_table(path: Path, table: Sequence[Mapping[str, str]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(table[0]), delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_table(tmp_path / "mmbench" / "mmbench_dev_20230712.tsv", rows()).parent


def right() -> list[Answer]:
    return [Answer(row["index"], row["answer"]) for row in rows()]


def test_prompts_are_the_original_s(folder: Path) -> None:
    questions = {each.id: each for each in MMBENCH.questions(folder)}
    assert len(questions) == len(rows())
    assert questions["7"].prompt == f"What is it?\nA. a cat\nB. a dog\nC. a tree\nD. a car\n{LETTER}"
    assert questions["1000007"].prompt == f"What is it?\nA. a dog\nB. a tree\nC. a car\nD. a cat\n{LETTER}"
    hint = 'A hint with "quotes"\tand a tab.'
    assert questions["8"].prompt == f"{hint}\nWhere is it?\nA. in a house\nB. outside\n{LETTER}"
    assert questions["9"].options == ("by chance", "on purpose")
    assert next(questions["7"].conversation.images()).source == b"first picture"
    assert questions["7"].image_key == questions["1000009"].image_key != questions["8"].image_key


def test_chinese_is_asked_in_chinese(tmp_path: Path) -> None:
    write_table(tmp_path / "mmbench_dev_cn_20231003.tsv", rows()[:1])
    (question,) = MMBENCH_CN.questions(tmp_path)
    assert question.prompt.endswith("\n请直接回答选项字母。")
    with pytest.raises(UsageError, match="has no mmbench_dev_20230712"):
        list(MMBENCH.questions(tmp_path))  # the Chinese table is no English one


def test_a_picture_of_a_megabyte_is_one_field(tmp_path: Path) -> None:
    picture = random.Random(0).randbytes(1_000_000)
    row = {**rows()[0], "image": base64.b64encode(picture).decode()}
    write_table(tmp_path / "mmbench_dev_en.tsv", [row, {**row, "index": "1000007", "image": "7"}])
    first, second = MMBENCH.questions(tmp_path)
    assert next(first.conversation.images()).source == picture
    assert next(second.conversation.images()).source == picture  # named by the other row's index
    assert first.image_key == second.image_key


def test_one_wrong_rotation_makes_a_question_wrong(folder: Path) -> None:
    for profile in MMBENCH.profiles:
        assert MMBENCH.score(right(), folder, profile).value() == 100
    answers = [Answer("3000007", "C") if each.question_id == "3000007" else each for each in right()]
    scored = MMBENCH.score(answers, folder, "official")
    assert scored.value() == pytest.approx(200 / 3)
    assert scored.value("vanilla") == 100
    assert scored.value("perception") == 50
    assert scored.value("reasoning") == scored.value("cause") == scored.value("place") == 100
    assert scored.value("object") == 0
    assert {row.question_id: row.correct for row in scored.rows} == {"7": False, "8": True, "9": True}
    assert len({row.cluster for row in scored.rows}) == 2


def test_missing_extra_repeated_and_empty_answers_are_counted_and_said(folder: Path) -> None:
    answers = [each for each in right() if each.question_id != "9"]
    answers += [Answer("555", "A"), Answer("8", "A"), Answer("1000008", ""), Answer("no number", "A")]
    scored = MMBENCH.score(answers, folder, "official")
    assert scored.missing == 2
    assert scored.value() == pytest.approx(100 / 3)
    notes = " ".join(scored.notes)
    for said in (
        "1 of 8 questions have no",
        "2 answers are to none",
        "2 answers are followed",
        "1 of 8 answers are empty",
    ):
        assert said in notes


def test_what_no_rule_reads_is_wrong_and_said_and_lots_only_for_lmms_eval(folder: Path) -> None:
    answers = [Answer(each.question_id, "I cannot tell") for each in right()]
    for profile in MMBENCH.profiles:
        scored = MMBENCH.score(answers, folder, profile)
        assert scored.value() == 0 or profile == "lmms-eval"
        assert any("8 of 8 answers name no option" in note for note in scored.notes)


def test_the_upload_has_the_official_columns_and_scores_the_same(folder: Path, tmp_path: Path) -> None:
    answers = [*right()[:-1], Answer("1000009", "=1+1")]
    MMBENCH.submission(answers, folder, tmp_path / "upload.xlsx")
    sheet = openpyxl.load_workbook(tmp_path / "upload.xlsx").worksheets[0]
    header, *body = sheet.iter_rows(values_only=True)
    assert header == ("index", "question", "A", "B", "C", "D", "prediction", "answer", "split")
    assert body[0] == (7, "What is it?", "a cat", "a dog", "a tree", "a car", "A", "A", "dev")
    assert body[-1][6] == "=1+1"  # text, not a formula
    assert sheet.cell(row=len(body) + 1, column=7).data_type == "s"
    read = MMBENCH.answers(tmp_path / "upload.xlsx")
    here, alone = MMBENCH.score(read, folder, "official"), MMBENCH.score(read, tmp_path / "nothing", "official")
    assert here.value() == alone.value() == pytest.approx(200 / 3)
    assert any("picture of its own" in note for note in alone.notes)


def test_the_original_s_lines_and_a_table_with_predictions_score_the_same(folder: Path, tmp_path: Path) -> None:
    lines = [
        {"question_id": int(each.question_id), "round_id": 0, "prompt": "?", "text": each.text} for each in right()
    ]
    write_lines(tmp_path / "answers.jsonl", lines)
    write_table(tmp_path / "answers.tsv", [{**row, "prediction": row["answer"]} for row in rows()])
    for name in ("answers.jsonl", "answers.tsv"):
        assert MMBENCH.score(MMBENCH.answers(tmp_path / name), folder, "llava").value() == 100


def test_rounds_that_the_original_s_runner_turned_itself(folder: Path, tmp_path: Path) -> None:
    """``--all-rounds``: options and their letters move on by one in each round, shown as A, B, C, D."""
    lines = []
    for row in rows():
        options = [row[letter] for letter in "ABCD" if row[letter]]
        for turn in range(len(options)):
            shown = options[turn:] + options[:turn]
            letters = list("ABCD"[: len(options)])
            letters = letters[turn:] + letters[:turn]
            said = "ABCD"[letters.index(row["answer"])]
            line = {"question_id": int(row["index"]), "round_id": turn, "text": said, "options": shown}
            lines.append({**line, "option_char": letters})
    write_lines(tmp_path / "rounds.jsonl", lines)
    answers = MMBENCH.answers(tmp_path / "rounds.jsonl")
    assert MMBENCH.score(answers, folder, "llava").value() == 100
    spoilt = [*answers[:-1], Answer(answers[-1].question_id, "Z", meta=answers[-1].meta)]
    assert MMBENCH.score(spoilt, folder, "llava").value() == pytest.approx(200 / 3)


def test_a_test_split_has_no_answers_but_an_upload(tmp_path: Path) -> None:
    table = [{name: text for name, text in row.items() if name != "answer"} for row in rows()]
    write_table(tmp_path / "mmbench_test_en.tsv", table)
    with pytest.raises(UsageError, match="no right answers"):
        MMBENCH.score(right(), tmp_path, "official")
    MMBENCH.submission(right(), tmp_path, tmp_path / "upload.xlsx")
    assert [row["prediction"] for row in sheets.records(tmp_path / "upload.xlsx")] == [row["answer"] for row in rows()]


def test_answers_of_another_benchmark_are_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match="none of the 1 answers"):
        MMBENCH.score([Answer("123", "A")], folder, "official")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "is empty"),
        (b"index\tA\n1\tx\ty\n", "expected 2 columns, found 3"),
        (b"index\tA\n\xff\xfe\t1\n", "no table of text"),
        (b"name\timage\tanswer\nx\tAAAA\tA\n", "without an index"),
        (b"index\timage\tanswer\tquestion\n1\t!!\tA\tq\n", "is no base64"),
        (b"index\timage\tanswer\tquestion\n1\t\tA\tq\n", "has no picture"),
    ],
)
def test_a_broken_table_is_an_error_that_says_what_is_wrong(tmp_path: Path, content: bytes, expected: str) -> None:
    (tmp_path / "mmbench_dev_en.tsv").write_bytes(content)
    with pytest.raises(UsageError, match=expected):
        list(MMBENCH.questions(tmp_path))


def test_a_broken_workbook_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "upload.xlsx").write_bytes(b"PK\x03\x04 no workbook")
    with pytest.raises(UsageError, match=r"upload.xlsx is no workbook"):
        MMBENCH.answers(tmp_path / "upload.xlsx")
    with pytest.raises(UsageError, match="cannot read"):
        MMBENCH.answers(tmp_path / "absent.xlsx")
