"""Small benchmarks in the official formats, as they lie on disk after a download; no two with the same trap."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

SHORT = "\nAnswer the question using a single word or phrase."
Labelled = tuple[str, str, str]  # picture, question, yes or no


def write_json(path: Path, content: object) -> Path:
    """One JSON document."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def write_lines(path: Path, rows: Iterable[Mapping[str, object]]) -> Path:
    """JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_pope(folder: Path, categories: Mapping[str, Sequence[Labelled]]) -> Path:
    """``coco_pope_<category>.json``, numbered from 1 in each."""
    for category, items in categories.items():
        rows = [
            {"question_id": number, "image": image, "text": text, "label": label}
            for number, (image, text, label) in enumerate(items, 1)
        ]
        write_lines(folder / "coco" / f"coco_pope_{category}.json", rows)
    return folder


def write_mme(folder: Path, subtasks: Mapping[str, Sequence[Labelled]]) -> Path:
    """``eval_tool/Your_Results/<subtask>.txt``, two lines a picture."""
    for subtask, items in subtasks.items():
        path = folder / "eval_tool" / "Your_Results" / f"{subtask}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [f"{image}\t{text} Please answer yes or no.\t{label.capitalize()}\n" for image, text, label in items]
        path.write_text("".join(lines), encoding="utf-8")
    return folder


def write_vqav2(folder: Path, questions: Sequence[tuple[int, int, str, Sequence[str]]]) -> Path:
    """Questions and annotations of val2014: (question, picture, words, ten people's answers)."""
    asked = [{"question_id": number, "image_id": image, "question": text} for number, image, text, _ in questions]
    answered = [
        {
            "question_id": number,
            "image_id": image,
            "answer_type": "yes/no" if people[0] in ("yes", "no") else "other",
            "answers": [{"answer": text, "answer_id": place} for place, text in enumerate(people, 1)],
        }
        for number, image, _, people in questions
    ]
    write_json(folder / "v2_OpenEnded_mscoco_val2014_questions.json", {"data_subtype": "val2014", "questions": asked})
    write_json(folder / "v2_mscoco_val2014_annotations.json", {"data_subtype": "val2014", "annotations": answered})
    return folder


def write_gqa(folder: Path, questions: Mapping[str, tuple[str, str, str]]) -> Path:
    """``data/testdev_balanced_questions.json``: id to picture, question and answer."""
    content = {
        name: {
            "imageId": image,
            "question": text,
            "answer": answer,
            "isBalanced": True,
            "types": {"structural": "verify" if answer in ("yes", "no") else "query", "semantic": "attr"},
        }
        for name, (image, text, answer) in questions.items()
    }
    write_json(folder / "data" / "testdev_balanced_questions.json", content)
    return folder


def write_vizwiz(folder: Path, questions: Sequence[tuple[str, str, Sequence[str]]]) -> Path:
    """``val.json``: picture, question and ten people's answers."""
    content = [
        {"image": image, "question": text, "answer_type": "other", "answers": [{"answer": each} for each in people]}
        for image, text, people in questions
    ]
    write_json(folder / "val.json", content)
    return folder


def write_textvqa(folder: Path, questions: Sequence[tuple[str, str, Sequence[str], Sequence[str]]]) -> Path:
    """``TextVQA_0.5.1_val.json`` and the words found: picture, question, ten people's answers, words."""
    data = [
        {"question_id": 34602 + place, "image_id": image, "question": text, "answers": list(people)}
        for place, (image, text, people, _) in enumerate(questions)
    ]
    found = [{"image_id": image, "ocr_tokens": list(words)} for image, _, _, words in questions]
    write_json(folder / "TextVQA_0.5.1_val.json", {"dataset_type": "val", "data": data})
    write_json(folder / "TextVQA_Rosetta_OCR_v0.2_val.json", {"data": found})
    return folder


def write_scienceqa(folder: Path, problems: Mapping[str, Mapping[str, object]]) -> Path:
    """``problems.json`` and ``pid_splits.json``; all problems are the test."""
    usual = {"hint": "", "image": None, "subject": "natural science", "grade": "grade3"}
    write_json(folder / "problems.json", {name: usual | dict(problem) for name, problem in problems.items()})
    write_json(folder / "pid_splits.json", {"train": [], "test": list(problems)})
    return folder
