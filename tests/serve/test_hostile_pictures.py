"""Pictures that are none, or too much: through a worker with the bundled model, beside others that are answered."""

from __future__ import annotations

import base64
import struct
import sys
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

from images.pictures import chunk, encoded, noise, png, smooth
from pumice.images.load import content_hash, load_image
from serve.apis import MODEL, bundled, post, real_worker
from serve.hostile import LEAKS
from serve.served import Running


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with real_worker(tmp_path_factory.mktemp("keys"), slots=4, queue=64) as running:
        yield running


def _gif(frames: int) -> bytes:
    """An animation whose later frames repeat a few bytes."""
    whole = encoded(Image.new("P", (8, 8)), "GIF")
    start = whole.index(b",")
    return whole[:start] + whole[start:-1] * frames + whole[-1:]


PNG = encoded(noise(), "PNG")
JPEG = encoded(smooth(), "JPEG")
SEVERAL = [Image.new("RGB", (12, 10), colour) for colour in ("red", "lime")]

#: Files that are read.
GOOD: dict[str, bytes] = {
    **{kind: encoded(smooth(), kind) for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")},
    "1 x 1": encoded(noise(1, 1), "PNG"),
    "1 x 200": encoded(noise(1, 200), "PNG"),
    "200 x 1": encoded(noise(200, 1), "PNG"),
    "a progressive JPEG": encoded(smooth(), "JPEG", progressive=True),
    "a CMYK JPEG": encoded(smooth().convert("CMYK"), "JPEG"),
    "a grey JPEG": encoded(smooth().convert("L"), "JPEG"),
    "10,000 frames": _gif(10_000),
    "an animated PNG": encoded(SEVERAL[0], "PNG", save_all=True, append_images=SEVERAL[1:]),
    "an animated WebP": encoded(SEVERAL[0], "WEBP", save_all=True, append_images=SEVERAL[1:]),
    "a JPEG with a page behind it": JPEG + b"<script>alert(1)</script>",
    "a PNG with a ZIP behind it": PNG + b"PK\x03\x04" + b"\0" * 26,
    "16 bits": png(2, 1, b"\0" + b"\xff\x00" * 6, depth=16),
}
#: Files that are refused.
BAD: dict[str, bytes] = {
    "nothing": b"",
    "zeros": b"\0" * 4096,
    **{f"a {kind} cut at {tenth}0 %": data[: len(data) * tenth // 10]
       for kind, data in (("PNG", PNG), ("JPEG", JPEG)) for tenth in range(1, 10)},
    "30,000 x 30,000": png(30_000, 30_000, b"\0" * 64),
    "65,500 x 65,500 JPEG": JPEG.replace(
        struct.pack(">HH", 30, 40), struct.pack(">HH", 65_500, 65_500), 1),
    "1 x 4000": encoded(noise(1, 4000), "PNG"),
    "4000 x 1": encoded(noise(4000, 1), "PNG"),
    "a text chunk of 8 MiB": png(1, 1, b"\0\1\2\3", extra=chunk(b"zTXt", b"c\0\0" + zlib.compress(b"a" * (8 << 20)))),
    "SVG": b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
    "PDF": b"%PDF-1.7\n",
    "PSD": b"8BPS\0\1" + b"\0" * 40,
    "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n(%pipe%id) (r) file",
    "ICO": b"\0\0\1\0\1\0" + b"\0" * 40,
    "JPEG 2000": b"\0\0\0\x0cjP  \r\n\x87\n" + b"\0" * 40,
    "HEIC that is called PNG": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
    "HTML": b"<!doctype html><script>alert(1)</script>",
    "ZIP": b"PK\3\4\x14\0" + b"\0" * 40,
    "a pickle": b"\x80\x04\x95\0\0\0\0\0\0\0\0cos\nsystem\n",
    "text": b"https://169.254.169.254/",
}  # fmt: skip
TEXT = base64.b64encode(PNG).decode()
#: data: URIs, and whether they are read.
URIS: dict[str, tuple[str, bool]] = {
    "in capitals": ("DATA:IMAGE/PNG;BASE64," + TEXT, True),
    "with a charset": (f"data:image/png;charset=utf-8;base64,{TEXT}", True),
    "without a type": (f"data:;base64,{TEXT}", True),
    "with another type": (f"data:text/html;base64,{TEXT}", True),
    "in lines": (f"data:image/png;base64,{TEXT[:40]}\n{TEXT[40:]}", True),
    "without base64": (f"data:image/png,{TEXT}", False),
    "without a comma": ("data:image/png;base64", False),
    "without padding": ("data:image/png;base64," + (TEXT[:-1] if TEXT.endswith("=") else TEXT + "A"), False),
    "with too much padding": (f"data:image/png;base64,{TEXT}====", False),
    "for addresses": ("data:image/png;base64,-_-_", False),
    "outside ASCII": ("data:image/png;base64,ÄÄÄÄ", False),
    "nothing": ("data:image/png;base64,", False),
    "a URL in base64": ("data:image/png;base64," + base64.b64encode(b"http://169.254.169.254/").decode(), False),
    "a URL inside": ("data:http://169.254.169.254/", False),
}


def as_uri(data: bytes) -> str:
    """Called a PNG, whatever it is."""
    return "data:image/png;base64," + base64.b64encode(data).decode()


CASES = {
    **{name: (as_uri(data), True) for name, data in GOOD.items()},
    **{name: (as_uri(data), False) for name, data in BAD.items()},
    **{f"a URI {name}": each for name, each in URIS.items()},
}


def counting(*urls: str) -> dict[str, Any]:
    """A request that only looks at the pictures: it costs no answer."""
    parts = [{"type": "image_url", "image_url": {"url": each}} for each in urls]
    return {"model": MODEL, "messages": [{"role": "user", "content": parts}]}


@pytest.mark.parametrize("name", CASES)
def test_pictures(model: Running, name: str) -> None:
    url, taken = CASES[name]
    answer = post(model.port, counting(url), "/tokenize")
    assert answer.status_code == (200 if taken else 400), answer.text[:300]
    if taken:
        assert answer.json()["image_tokens"] == 64
    else:
        error = answer.json()["error"]
        assert error["code"] == "invalid_image"
        assert not LEAKS.search(answer.content) and b"BytesIO" not in answer.content and len(answer.content) < 1000


def test_a_hundred_megabytes_are_too_many(model: Running) -> None:
    assert post(model.port, counting("data:image/png;base64," + "A" * (100 << 20)), "/tokenize").status_code == 413


def twins() -> list[bytes]:
    """Different pictures of the same bytes of pixels: in another shape, in other colours."""
    flat = bytes(range(240)) * 16
    grey = [Image.frombytes("L", size, flat) for size in ((240, 16), (16, 240), (60, 64))]
    coloured = Image.frombytes("P", (240, 16), flat)
    other = coloured.copy()
    coloured.putpalette([each % 256 for each in range(768)])
    other.putpalette([255 - each % 256 for each in range(768)])
    return [encoded(each, "PNG") for each in (*grey, coloured, other)]


def test_twins_share_no_place_in_the_cache() -> None:
    """What the model sees is kept under this hash, and under the tokens around it."""
    see = bundled().processor.see
    assert len({see(each).hash for each in twins()}) == len(twins())
    assert len({content_hash(load_image(each)) for each in twins()}) == len(twins())
    assert see(twins()[0]).hash == see(twins()[0]).hash
    assert all(len(see(each).hash) >= 64 for each in twins()), "no part of the hash is left out"


def test_memory_stays_flat(model: Running) -> None:
    """Some hundred pictures, no two alike."""
    if sys.platform == "win32":  # it does not tell
        return
    import resource

    def show(count: int, first: int) -> None:
        for number in range(first, first + count):
            url = as_uri(encoded(noise(48, 48, number), "PNG"))
            assert post(model.port, counting(url), "/tokenize").status_code == 200

    show(30, 0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    show(170, 30)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    grown >>= 10 if sys.platform == "darwin" else 0  # to KiB
    assert grown < 64 << 10, f"{grown} KiB more after 170 pictures"
