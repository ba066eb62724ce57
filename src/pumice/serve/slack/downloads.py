"""Pictures out of Slack: the token goes to Slack alone, sizes and times are bounded, the content decides what it is."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

import aiohttp
from slack_sdk.errors import SlackApiError

from pumice.errors import ImageError
from pumice.images.fetch import FetchPolicy, fetch
from pumice.images.formats import accepted_format
from pumice.images.load import Limits, load_image
from pumice.images.policy import in_domains
from pumice.serve.slack.refusals import reason

if TYPE_CHECKING:
    from slack_sdk.web.async_client import AsyncWebClient

_SLACK = ("slack.com",)
_THUMBS = ("thumb_1024", "thumb_960", "thumb_800", "thumb_720", "thumb_480", "thumb_360")
_REDIRECTS = {301, 302, 303, 307, 308}
_HTML = re.compile(rb"\s*(<!doctype\s+html|<html|<head)", re.IGNORECASE)
_CHUNK = 1 << 16
# Wider and heavier than this, a picture is made smaller: no model sees more, and eight must fit into one request.
_LONGEST_SIDE = 2048
_HEAVIEST = 2 << 20
_FETCH = FetchPolicy(for_strangers=True)

NO_SCOPE = "add the scope files:read to the app and install it to the workspace again"


@dataclass(frozen=True)
class DownloadPolicy:
    """max_bytes: of an original; heavier ones are taken as Slack's smaller rendition. trusted: an origin, like
    ``http://127.0.0.1:8123``, that counts as Slack (tests). elsewhere: what a redirect may lead to besides Slack.
    """

    max_bytes: int = 20 << 20
    deadline_s: float = 30.0
    max_redirects: int = 4
    trusted: str | None = None
    elsewhere: FetchPolicy = _FETCH

    def is_slack(self, url: str) -> bool:
        """Whether the token may be sent there."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            return False
        if self.trusted is not None and f"{parts.scheme}://{parts.netloc}" == self.trusted:
            return True
        host = (parts.hostname or "").lower()
        plain = parts.scheme == "https" and port in (None, 443) and parts.username is None and "\\" not in url
        return plain and in_domains(host, _SLACK)


class Downloads:
    """Fetches what is shared in Slack."""

    def __init__(
        self,
        client: AsyncWebClient,
        session: aiohttp.ClientSession,
        policy: DownloadPolicy | None = None,
    ) -> None:
        self._client = client
        self._session = session
        self._policy = policy or DownloadPolicy()

    async def picture(self, file: Mapping[str, Any]) -> bytes:
        """The bytes of a picture that the loader has accepted, metadata and all if it was small enough.

        file: as an event describes it. Raises ImageError with words for the person who has shared it.
        """
        file = await self._described(file)
        name = _name(file)
        if file.get("mode") in ("tombstone", "hidden_by_limit"):
            raise ImageError(f"{name} is no longer in Slack", hint="share it again")
        if file.get("mode") == "external" or file.get("is_external"):
            raise ImageError(f"{name} is stored outside Slack, where I do not go", hint="upload the picture itself")
        refused: ImageError | None = None
        for url in self._renditions(file):
            data = await self._within_time(url, name)
            if accepted_format(data) is not None:
                return await asyncio.to_thread(_checked, data, name)
            if _HTML.match(data):
                raise ImageError(f"Slack sent a login page in place of {name}", hint=NO_SCOPE)
            refused = refused or _refused(data, name)
        raise refused or ImageError(f"{name} cannot be downloaded", hint="share it again, as PNG or JPEG")

    async def _described(self, file: Mapping[str, Any]) -> Mapping[str, Any]:
        """The whole description; of files from other workspaces (Slack Connect) an event has only the id."""
        if file.get("file_access") != "check_file_info" and (file.get("url_private") or file.get("mode")):
            return file
        try:
            answer = await self._client.files_info(file=str(file.get("id")))
        except SlackApiError as error:
            why = reason(error)
            hint = NO_SCOPE if why == "missing_scope" else "share it in this workspace"
            raise ImageError(f"I may not open {_name(file)} ({why})", hint=hint) from None
        found = answer.get("file")
        return found if isinstance(found, dict) else file

    def _renditions(self, file: Mapping[str, Any]) -> Iterator[str]:
        """Where to get it, best first: the file itself, then what Slack has made of it (JPEG or PNG, also of HEIC)."""
        kind = str(file.get("mimetype") or "")
        if kind and not kind.startswith("image/"):
            raise ImageError(f"{_name(file)} is not a picture ({kind})", hint="share it as PNG or JPEG")
        original = file.get("url_private_download") or file.get("url_private")
        heavy = int(file.get("size") or 0) > self._policy.max_bytes
        foreign = str(file.get("filetype") or "").lower() in ("heic", "heif", "avif")
        thumbs = [str(file[name]) for name in _THUMBS if file.get(name)]
        if foreign and not thumbs:
            hint = "share it as JPEG; on an iPhone: Settings, Camera, Formats, Most Compatible"
            raise ImageError(f"{_name(file)} is a HEIC file, and Slack offers no other version of it", hint=hint)
        if heavy and not thumbs:
            raise ImageError(f"{_name(file)} is larger than {self._policy.max_bytes >> 20} MiB", hint="make it smaller")
        if original and not heavy and not foreign:
            yield str(original)
        yield from thumbs[:1]

    async def _within_time(self, url: str, name: str) -> bytes:
        try:
            return await asyncio.wait_for(self._followed(url, name), self._policy.deadline_s)
        except asyncio.TimeoutError:
            raise ImageError(f"{name} did not arrive in time", hint="share it again") from None
        except aiohttp.ClientError as error:
            raise ImageError(f"{name} cannot be downloaded ({type(error).__name__})", hint="try again") from None

    async def _followed(self, url: str, name: str) -> bytes:
        """The body behind ``url``. Redirects are followed by hand: libraries differ in what they do with the token."""
        if not self._policy.is_slack(url):
            raise ImageError(f"{name} is not stored at Slack", hint="upload the picture itself")
        for _ in range(self._policy.max_redirects + 1):
            if not self._policy.is_slack(url):
                return await asyncio.to_thread(fetch, url, self._policy.elsewhere)
            token = {"Authorization": f"Bearer {self._client.token}", "Accept-Encoding": "identity"}
            async with self._session.get(url, headers=token, allow_redirects=False, proxy=self._client.proxy) as answer:
                if answer.status not in _REDIRECTS:
                    return await self._body(answer, name)
                url = urljoin(url, answer.headers.get("Location", ""))
        raise ImageError(f"{name} cannot be downloaded: too many redirects", hint="share it again")

    async def _body(self, answer: aiohttp.ClientResponse, name: str) -> bytes:
        if answer.status in (401, 403):
            raise ImageError(f"Slack does not let me open {name} ({answer.status})", hint=NO_SCOPE)
        if answer.status in (404, 410):
            raise ImageError(f"{name} is no longer in Slack ({answer.status})", hint="share it again")
        if answer.status != 200:
            raise ImageError(f"Slack did not hand out {name} ({answer.status})", hint="try again in a minute")
        data = bytearray()
        async for chunk in answer.content.iter_chunked(_CHUNK):
            data += chunk
            if len(data) > self._policy.max_bytes:
                raise ImageError(f"{name} is larger than {self._policy.max_bytes >> 20} MiB", hint="make it smaller")
        return bytes(data)


def _name(file: Mapping[str, Any]) -> str:
    name = str(file.get("name") or file.get("title") or "the file")
    return name if len(name) <= 80 else name[:77] + "..."


def _refused(data: bytes, name: str) -> ImageError:
    try:
        load_image(data)
    except ImageError as error:
        return ImageError(str(error).replace("the image in memory", name), hint=error.hint)
    return ImageError(f"{name} cannot be read")


def _checked(data: bytes, name: str) -> bytes:
    """``data`` if it decodes and is light enough, else the picture made smaller. Runs in a thread."""
    try:
        image = load_image(data, limits=Limits())
    except ImageError as error:
        raise ImageError(str(error).replace("the image in memory", name), hint=error.hint) from None
    if len(data) <= _HEAVIEST:
        return data
    from PIL import Image

    image.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE), Image.Resampling.LANCZOS)
    for format_name, options in (("PNG", {}), ("JPEG", {"quality": 92}), ("JPEG", {"quality": 75})):
        file = io.BytesIO()
        image.save(file, format_name, **options)
        if file.tell() <= _HEAVIEST:
            break
    return file.getvalue()
