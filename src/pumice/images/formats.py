"""What a file is, told from its first bytes, and how it is decoded if it is one of the accepted formats.

The file's name plays no part. Decoders are called directly, one per format: Pillow's own choice among all it knows
would include formats that run other programs, and would print warnings about sizes that are refused here anyway.
"""

from __future__ import annotations

import re
from io import BytesIO

from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

ACCEPTED = "PNG, JPEG, WEBP, GIF, BMP or TIFF"

_DECODERS: dict[str, type[ImageFile.ImageFile]] = {
    "PNG": PngImagePlugin.PngImageFile,
    "JPEG": JpegImagePlugin.JpegImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
}
_TIFF_STARTS = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
_REFUSED_STARTS = (
    (b"%PDF", "a PDF document"),
    (b"8BPS", "a Photoshop (PSD) file"),
    (b"%!PS", "a PostScript (EPS) file"),
    (b"\xc5\xd0\xd3\xc6", "a PostScript (EPS) file"),
    (b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 file"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 file"),
    (b"\x00\x00\x00\x0cJXL ", "a JPEG XL file"),
    (b"\xff\x0a", "a JPEG XL file"),
    (b"\x00\x00\x01\x00", "an ICO icon"),
    (b"PK\x03\x04", "a ZIP archive or an office document"),
    (b"\x1f\x8b", "a gzip archive"),
)
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_SVG = re.compile(rb"^(<\?xml[^>]*>|<!--.*?-->|<!DOCTYPE[^>]*>|\s)*<svg[\s>]", re.IGNORECASE | re.DOTALL)
_TEXT_SAMPLE = 512
_BYTE_ORDER_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


def accepted_format(data: bytes) -> str | None:
    """The accepted format that ``data`` starts like, or None."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WEBP"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if data.startswith(b"BM"):
        return "BMP"
    return "TIFF" if data.startswith(_TIFF_STARTS) else None


def refusal(data: bytes) -> tuple[str, str]:
    """Why ``data``, which is in no accepted format, is refused, and what to do about it."""
    head = data[:4096]
    convert = "convert it to PNG or JPEG first"
    for start, name in _REFUSED_STARTS:
        if head.startswith(start):
            return f"it is {name}, expected {ACCEPTED}", convert
    if head[4:8] == b"ftyp":
        return f"it is {_boxed_kind(head[8:32])}, expected {ACCEPTED}", convert
    if _SVG.match(head.removeprefix(_BYTE_ORDER_MARKS[0])):
        return "SVG is a drawing, not a bitmap", convert
    if _is_text(head[:_TEXT_SAMPLE]):
        return "not a picture: the file starts with text", f"expected {ACCEPTED}"
    return f"not a picture in a known format, expected {ACCEPTED}", convert


def _boxed_kind(brands: bytes) -> str:
    """HEIC, AVIF and MP4 share one container; ``brands`` is what follows its ``ftyp`` mark."""
    if b"avif" in brands or b"avis" in brands:
        return "an AVIF file"
    return "a HEIC file" if any(brand in brands for brand in _HEIC_BRANDS) else "a video"


def _is_text(sample: bytes) -> bool:
    if sample.startswith(_BYTE_ORDER_MARKS):
        return True
    try:
        text = sample.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(sample) - 3:  # later, the sample may have cut a character in two
            return False
        text = sample[: error.start].decode("utf-8")
    return all(character.isprintable() or character in "\t\n\r\f" for character in text)


def open_first_frame(kind: str, data: bytes) -> ImageFile.ImageFile:
    """The header of ``data`` read by the decoder for ``kind``; pixels are decoded by its ``load()``.

    Raises whatever the decoder raises on a damaged header.
    """
    return _DECODERS[kind](BytesIO(data))


def is_cut_short(kind: str, data: bytes) -> bool:
    """Whether a file that could not be decoded lacks its end, rather than being damaged inside."""
    if kind == "PNG":
        return b"IEND" not in data[-64:]
    if kind == "JPEG":
        return data.rstrip(b"\x00")[-2:] != b"\xff\xd9"
    if kind == "GIF":
        return data.rstrip(b"\x00")[-1:] != b";"
    if kind == "WEBP":
        return len(data) < int.from_bytes(data[4:8], "little") + 8
    if kind == "BMP":
        return len(data) < int.from_bytes(data[2:6], "little")
    first_directory = int.from_bytes(data[4:8], "little" if data.startswith(b"II") else "big")
    return first_directory + 2 > len(data)
