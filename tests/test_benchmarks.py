"""The benchmarks run, most of them on the bundled model, and what they print can be read by a program."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODEL = "src/pumice/pretrained/pumice-tiny"
pytestmark = pytest.mark.slow


def last_line(*words: str) -> dict[str, object]:
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def four_bits(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("benchmarks") / "tiny-4bit"
    subprocess.run([sys.executable, "-m", "pumice", "quantize", MODEL, str(folder)], cwd=ROOT, check=True)
    return str(folder)


def test_load(four_bits: str) -> None:
    found = last_line("benchmarks/load.py", four_bits, "--tokens", "8")
    assert found["prompt_tokens"] == found["follow_up_cached_tokens"] or found["follow_up_cached_tokens"]
    assert all(found[key] > 0 for key in ("first_token_s", "tokens_per_s", "peak_rss_gib"))  # type: ignore[operator]


def test_batch(four_bits: str) -> None:
    found = last_line("benchmarks/batch.py", four_bits, "--prompt", "20", "--tokens", "4", "--rounds", "1")
    assert list(found["medians"]) == ["Pumice"]  # type: ignore[call-overload]


def test_divergence() -> None:
    found = last_line("benchmarks/divergence.py", MODEL, "--questions", "8")["found"]
    four, eight = (found[f"Pumice {bits}-bit, group 32"]["kl"] for bits in (4, 8))  # type: ignore[index]
    assert 0 < eight < four < 0.01, "more bits are nearer, and neither is far"


def test_follow_up() -> None:
    first, second = last_line("benchmarks/follow_up.py", MODEL, "--questions", "2", "--tokens", "8")["questions"]  # type: ignore[misc]
    assert first["cached_tokens"] == 0 and second["cached_tokens"] >= first["prompt_tokens"]


def test_vision() -> None:
    found = last_line("benchmarks/vision.py", MODEL, "--rounds", "1")["found"]
    assert found["Pumice float32"]["error"] == 0 < found["Pumice 8-bit"]["error"] < 0.05  # type: ignore[index]


def test_train() -> None:
    """Against transformers, on a few samples: the same losses first, then numbers for both and one technique off."""
    small = ("--layers", "1", "--hidden", "64", "--batch", "2", "--steps", "4", "--repeats", "1", "--without", "pack")
    found = last_line("benchmarks/train.py", *small)
    assert 0 <= found["worst_difference"] <= 1e-5  # type: ignore[operator]
    both: tuple[dict[str, float], ...] = (found["pumice"], found["transformers"])  # type: ignore[assignment]
    assert all(each["samples_per_s"] > 0 and each["peak_rss_gib"] > 0.1 for each in both)
    assert len(found["without"]) == 1 and found["samples"] == 8  # type: ignore[arg-type]


def test_finetune(tmp_path: Path) -> None:
    """A short lesson: the loss falls, and the adapter is loaded and asked."""
    changes = ("epochs=1", "batch=5", "log_every=1")
    words = [word for change in changes for word in ("--set", change)]
    size = ("--pictures", "10", "--ordinary", "5", "--held-out", "10", "--per-kind", "1")
    found = last_line("benchmarks/finetune.py", "--folder", str(tmp_path / "own"), *size, *words)
    assert found["last_loss"] < 0.5 * found["first_loss"]  # type: ignore[operator]
    assert found["before"]["own"][:2] == [0, 10] and found["after"]["own"][1] == 10  # type: ignore[index]
    records = json.loads((tmp_path / "own" / "train.json").read_text())
    assert len(records) == len(list((tmp_path / "own" / "images").glob("train_*.png"))) == found["pictures"] == 10
    assert sum(path.stat().st_size for path in (tmp_path / "own" / "run" / "model").glob("adapter_*")) < 3_000_000


def test_schema() -> None:
    """All are valid, each schema greedy and at random; the full count of 200 takes a minute."""
    found = last_line("benchmarks/schema.py", "--count", "10", "--tokens", "60")
    assert found["valid"] == found["count"] == 10
    assert found["guided_ms"] > 0  # type: ignore[operator]


def test_typographic(tmp_path: Path) -> None:
    """Two pairs of each kind; the full count of 200 takes minutes."""
    page = tmp_path / "text-in-images.md"
    found = last_line("benchmarks/typographic.py", "--pairs", "2", "--write", str(page))
    families: dict[str, dict[str, list[float]]] = found["family"]  # type: ignore[assignment]
    assert all(row["attacked"][1] == 2 for name, row in families.items() if name != "all")
    assert families["all"]["clean"][:2] == [sum(row["clean"][0] for row in families.values()) // 2, 12]
    orders: dict[str, dict[str, list[float]]] = found["hijack"]  # type: ignore[assignment]
    assert orders["metadata"]["right"] == orders["none"]["right"], "what is not in the pixels changes nothing"
    assert all(0 <= row["obeyed"][2] <= row["obeyed"][3] <= 1 for row in orders.values())
    assert "Nothing on this page is a guarantee" in page.read_text(encoding="utf-8")


def test_coverage() -> None:
    found = last_line("benchmarks/coverage.py", "--only", "10 pictures", "--samples", "100", "--others")["coverage"]
    held = found["10 pictures, grades"]  # type: ignore[index]
    assert held["percentiles"] < held["ours"]
    assert 92 <= held["ours"] <= 98


def test_generate() -> None:
    """A hundred samples of each way; the full counts of 158,000 and 6,000 take minutes."""
    found = last_line("benchmarks/generate.py", "rules", "--samples", "100")
    assert found["samples"] == found["ordered"] == 100 and found["peak_mb"] > 20  # type: ignore[operator]
    words = ("--requests", "100", "--latency", "0.2", "--concurrency", "20")
    found = last_line("benchmarks/generate.py", "teacher", *words)
    assert found["requests"] == 100 and 0.1 < found["share_of_possible"] <= 1  # type: ignore[operator]


def test_taught(tmp_path: Path) -> None:
    """Scenes generated, taken apart and learned from; so little is not enough to answer anything."""
    words = ("--scenes", "12", "--per-kind", "1", "--only", "generated", "--folder", str(tmp_path / "taught"))
    found = last_line("benchmarks/taught.py", *words)
    assert found["generated"]["overall"][1] == 8  # type: ignore[index]
