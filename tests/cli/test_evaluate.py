"""``pumice evaluate`` as it is typed: what is asked, refused, scored, compared and written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evaluate import from_world
from fakes import ScriptedEngine
from pumice.cli.main import main
from pumice.evaluate.results import read_results
from pumice.prompts.conversation import Image
from serve.apis import real_worker


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return from_world.write(tmp_path_factory.mktemp("data"))


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine(answers=[["Yes", "."]])


def evaluate(engine: ScriptedEngine | None, *words: str | Path) -> int:
    return main(["evaluate", *map(str, words)], engine)


def refused(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    """What is said, on two lines, of a command line that makes no sense."""
    assert evaluate(ScriptedEngine(), *words) == 2
    said = capsys.readouterr()
    assert not said.out
    assert said.err.startswith("error: ")
    assert "hint: " in said.err
    return said.err


def test_run_may_be_left_out(
    engine: ScriptedEngine, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(engine, "run", "pope", "--data", data, "-o", tmp_path / "a", "-q") == 0
    spelt_out = capsys.readouterr().out
    for words in (["pope", "--data", data, "-q"], ["--data", data, "-q", "pope"]):
        assert evaluate(engine, *words, "-o", tmp_path / "b", "--overwrite") == 0
        assert capsys.readouterr().out == spelt_out
    assert "POPE" in spelt_out and "85.9" in spelt_out
    assert evaluate(engine, "--help") == 0
    assert "compare" in capsys.readouterr().out


def test_what_is_asked_is_the_paper_s(
    engine: ScriptedEngine, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Greedy, and as long as the original's scripts allow, whatever one's own settings say of chatting."""
    monkeypatch.setenv("PUMICE_TEMPERATURE", "0.9")
    monkeypatch.setenv("PUMICE_MAX_TOKENS", "3")
    monkeypatch.setenv("PUMICE_SYSTEM", "Be rude.")
    assert evaluate(engine, "pope", "--data", data, "-o", tmp_path / "a", "-q") == 0
    assert {(each.temperature, each.max_tokens) for each in engine.options} == {(0, 128)}
    assert {each.system for each in engine.asked} == {None}
    first = engine.asked[0]
    assert first.turns[0].text.endswith("\nAnswer the question using a single word or phrase.")
    picture = next(first.images())
    assert isinstance(picture, Image)
    assert picture.data is not None  # its own file goes along, for servers
    engine.options.clear()
    flags = ["--temperature", "0.5", "--seed", "3", "--max-tokens", "7", "-s", "Be brief."]
    assert evaluate(engine, "pope", "--data", data, "-o", tmp_path / "b", "-q", *flags) == 0
    assert {(each.temperature, each.seed, each.max_tokens) for each in engine.options} == {(0.5, 3, 7)}
    assert engine.asked[-1].system == "Be brief."


def test_a_folder_of_one_benchmark_will_do(engine: ScriptedEngine, data: Path, tmp_path: Path) -> None:
    assert evaluate(engine, "pope", "--data", data / "pope", "-o", tmp_path, "-q") == 0
    assert read_results(tmp_path)[0].questions == 18


def test_nothing_is_asked_twice(
    engine: ScriptedEngine, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("pope", "gqa", "--data", data, "-o", tmp_path, "--json")
    assert evaluate(engine, *words) == 0
    first = capsys.readouterr()
    assert "36 of 36 done (100 %), 0 errors" in first.err
    assert evaluate(None, *words, "--offline") == 0  # no engine is needed, and none is loaded
    again = capsys.readouterr()
    assert again.out == first.out
    assert not again.err
    results = json.loads(first.out)["results"]
    assert [each["task"] for each in results] == ["pope", "gqa"]
    assert results[0]["made_with"]["at_the_start"]["model"] == "scripted"
    assert all({"name", "value", "low", "high", "formula"} <= each.keys() for each in results[0]["metrics"])


def test_other_settings_do_not_go_into_the_same_file(
    engine: ScriptedEngine, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("pope", "--data", data, "-o", tmp_path)
    assert evaluate(engine, *words, "-q") == 0
    capsys.readouterr()
    assert "another max_tokens: 128, now 5" in refused(capsys, *words, "--max-tokens", "5")
    assert evaluate(engine, *words, "--max-tokens", "5", "--overwrite", "-q") == 0
    assert len(engine.asked) == 36


def test_a_picture_that_is_gone_does_not_end_the_run(
    engine: ScriptedEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = from_world.write(tmp_path / "data")
    picture = data / "gqa" / "data" / "images" / "3.jpg"
    content = picture.read_bytes()
    picture.write_bytes(content[:200])
    words = ("gqa", "--data", data, "-o", tmp_path / "out")
    assert evaluate(engine, *words) == 4
    said = capsys.readouterr()
    assert "gqa: 2 questions are not answered, the first because: " in said.err
    assert "3.jpg" in said.err
    assert "2 of 18 questions have no answer and count as wrong." in said.out
    assert len((tmp_path / "out" / "gqa" / "errors.jsonl").read_text().splitlines()) == 2
    assert read_results(tmp_path / "out")[0].missing == 2
    picture.write_bytes(content)
    asked = len(engine.asked)
    assert evaluate(engine, *words) == 0
    assert len(engine.asked) == asked + 2
    assert read_results(tmp_path / "out")[0].missing == 0
    assert not (tmp_path / "out" / "gqa" / "errors.jsonl").exists()


def test_an_error_of_ours_is_not_an_answer(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    engine = ScriptedEngine(answers=[["Yes"], ["Yes"], [ZeroDivisionError("oh")]])
    assert evaluate(engine, "pope", "--data", data, "-o", tmp_path, "-q") == 1
    assert "internal: ZeroDivisionError" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.result.json"))
    assert evaluate(ScriptedEngine(), "pope", "--data", data, "-o", tmp_path, "-q") == 0


def test_a_part_waits_for_the_others(
    engine: ScriptedEngine, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("pope", "--data", data, "-o", tmp_path, "--shards", "2")
    assert evaluate(engine, *words, "--shard", "2") == 0
    said = capsys.readouterr()
    assert "9 of 9 done" in said.err
    assert "scored once all parts have ended" in said.err
    assert not said.out
    assert evaluate(engine, *words, "--shard", "1") == 0
    assert "POPE" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["pop", "--data", "DATA", "-o", "OUT"], "did you mean pope?"),
        (["nothing-like-it", "--data", "DATA", "-o", "OUT"], "pumice evaluate tasks lists them"),
        (["pope", "--data", "nowhere", "-o", "OUT"], "get it from"),
        (["seed-bench", "--data", "DATA", "-o", "OUT"], "SEED-Bench"),
        (["pope", "--data", "DATA", "-o", "OUT", "--control", "deaf"], "there are blind and shuffled"),
        (["pope", "--data", "DATA", "-o", "OUT", "--profile", "mine"], "official"),
        (["pope", "--data", "DATA", "-o", "OUT", "--shards", "2", "--shard", "3"], "numbered from 1 to N"),
        (["pope", "--data", "DATA", "-o", "OUT", "--shards", "2", "--shard", "1", "--overwrite"], "other parts"),
        (["score", "pope", "nowhere.jsonl", "--data", "DATA"], "nowhere.jsonl"),
        (["score", "pope", "ANSWERS", "--data", "DATA", "--submission", "x.json"], "no server to submit to"),
        (["score", "llava-bench", "ANSWERS", "--data", "DATA", "--judge", "http://127.0.0.1:1"], "name one with -o"),
        (["llava-bench", "--data", "DATA", "-o", "OUT", "--judge", "http://x", "--prices", "no.toml"], "no.toml"),
        (["pope", "--data", "DATA", "-o", "OUT", "--budget", "2"], "--budget: without --judge"),
        (["compare", "nowhere", "nowhere"], "is no folder"),
        (["report", "DATA"], "holds no results"),
        (["report", "DATA", "DATA"], "named twice"),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else "",
)
def test_what_makes_no_sense_is_said_before_a_model_is_loaded(
    words: list[str], said: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = tmp_path / "answers.jsonl"
    answers.write_text('{"question_id": 1, "prompt": "?", "text": "Yes"}\n')
    places = {"DATA": str(data), "OUT": str(tmp_path / "out"), "ANSWERS": str(answers)}
    engine = ScriptedEngine()
    assert evaluate(engine, *(places.get(word, word) for word in words)) == 2
    told = capsys.readouterr()
    assert said in told.err
    assert "hint: " in told.err
    assert not engine.opened
    assert not (tmp_path / "out").exists()


def test_what_only_a_server_can_score_is_said(
    engine: ScriptedEngine, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The test split of VizWiz: answers are kept, the file to upload is written, and the other benchmark is scored."""
    folder = tmp_path / "data" / "vizwiz"
    (folder / "test").mkdir(parents=True)
    line = {"question_id": 0, "image": "0.jpg", "text": "What is this?", "category": ""}
    (folder / "llava_test.jsonl").write_text(json.dumps(line) + "\n")
    (folder / "test" / "0.jpg").write_bytes((data / "pope" / "val2014" / "0.jpg").read_bytes())
    (tmp_path / "data" / "pope").symlink_to(data / "pope")
    assert evaluate(engine, "vizwiz", "pope", "--data", tmp_path / "data", "-o", tmp_path / "out", "-q") == 2
    said = capsys.readouterr()
    assert "vizwiz is not scored: " in said.err
    assert "upload" in said.err
    assert "POPE" in said.out
    upload, answers = tmp_path / "upload.json", tmp_path / "out" / "vizwiz" / "answers.jsonl"
    assert evaluate(None, "score", "vizwiz", answers, "--data", tmp_path / "data", "--submission", upload) == 0
    assert capsys.readouterr().out == f"{upload}\n"
    assert json.loads(upload.read_text()) == [{"image": "0.jpg", "answer": "yes"}]


def test_anybody_s_answers_are_scored_and_compared(
    engine: ScriptedEngine, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(engine, "pope", "--data", data, "-o", tmp_path / "yes", "-q") == 0
    lines = [json.loads(line) for line in (tmp_path / "yes" / "pope" / "answers.jsonl").read_text().splitlines()]
    theirs = tmp_path / "theirs.jsonl"
    theirs.write_text("".join(json.dumps({**line, "text": "No"}) + "\n" for line in lines))
    assert evaluate(None, "score", "pope", theirs, "--data", data, "-o", tmp_path / "no", "--profile", "official") == 0
    assert "POPE" in capsys.readouterr().out
    assert refused(capsys, "compare", tmp_path / "yes", tmp_path / "no").count("official")
    assert evaluate(None, "score", "pope", theirs, "--data", data, "-o", tmp_path / "no", "--json") == 0
    assert json.loads(capsys.readouterr().out)["results"][0]["profile"] == "llava"
    assert len(read_results(tmp_path / "no")[0].picture_files()) == from_world.SCENES
    assert evaluate(None, "compare", tmp_path / "yes", tmp_path / "no", "--all") == 0
    shown = capsys.readouterr().out
    assert "McNemar" in shown
    assert "18 questions about 9 pictures" in shown
    assert evaluate(None, "compare", tmp_path / "yes", tmp_path / "no", "--json") == 0
    found = json.loads(capsys.readouterr().out)["comparisons"][0]
    recall = next(each for each in found["metrics"] if "recall" in each["name"])
    assert recall["difference"] == -100
    assert recall["p"] < 0.05


def test_a_control_is_compared_under_its_own_name(
    engine: ScriptedEngine, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(engine, "pope", "--data", data, "-o", out := tmp_path / "out", "-q", "--control", "blind") == 0
    assert evaluate(None, "compare", out, out) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[-5:-3]] == ["pope", "pope.blind"]
    assert evaluate(None, "compare", *(out / f"{each}.result.json" for each in ("pope.blind", "pope")), "--json") == 0
    assert json.loads(capsys.readouterr().out)["comparisons"][0]["name"] == "pope.blind, pope"


def test_the_report_is_one_page(
    engine: ScriptedEngine, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for out in ("c/a", "b/a"):
        assert evaluate(engine, "pope", "gqa", "--data", data, "-o", tmp_path / out, "-q") == 0
    capsys.readouterr()
    assert evaluate(None, "report", tmp_path / "b" / "a") == 0
    page = tmp_path / "b" / "a" / "report.html"
    assert capsys.readouterr().out == f"{page}\n"
    assert "POPE" in page.read_text()
    assert "exists already" in refused(capsys, "report", tmp_path / "b" / "a")
    both = tmp_path / "both.html"
    assert evaluate(None, "report", tmp_path / "c" / "a", tmp_path / "b" / "a", "-o", both, "--examples", "1") == 0
    assert "b/a" in both.read_text()


def test_the_benchmarks_are_listed(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(None, "tasks", "--data", data) == 0
    said = capsys.readouterr().out
    assert "pope  POPE" in said
    assert f"found    {data / 'mmbench' / 'mmbench_dev_20230712.tsv'}" in said
    assert "missing  seed_bench/" in said


def test_a_server_answers_as_the_weights_do(data: Path, tmp_path: Path) -> None:
    words = ("pope", "scienceqa", "--data", data, "--limit", "6", "-q")
    assert evaluate(None, *words, "-o", tmp_path / "weights") == 0
    with real_worker(tmp_path / "keys", slots=4) as running:
        server = f"http://127.0.0.1:{running.port}"
        assert evaluate(None, *words, "-o", tmp_path / "server", "--server", server, "-j", "3") == 0
    assert evaluate(None, *words, "-o", tmp_path / "gone", "--server", server) == 5
    for task in ("pope", "scienceqa"):
        ours, theirs = ((tmp_path / place / task / "answers.jsonl").read_bytes() for place in ("weights", "server"))
        assert ours == theirs
