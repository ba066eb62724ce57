"""What happens when a visitor sends, stops, repeats, corrects or judges: from Gradio's events to conversations."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from pumice.errors import PumiceError
from pumice.serve.guard.doors import count_question
from pumice.serve.web.answering import Pages, answered, unfinished
from pumice.serve.web.catalogue import Catalogue
from pumice.serve.web.conversation import Conversation, Exchange
from pumice.serve.web.display import VOTES, box_update, buttons_update, chat_update, exchange_at, paths
from pumice.serve.web.history import History, history_as_json, history_from_json
from pumice.serve.web.log import ConversationLog
from pumice.serve.web.pictures import PictureStore
from pumice.serve.web.safe import restored, toast
from pumice.serve.web.settings import WebSettings
from pumice.serve.web.upstream import Upstream

_BUSY = "An answer is being written. Stop it first, or wait for its end."
_SMALLEST_TOP_P = 1e-6  # the original's slider goes down to 0, which means: the likeliest token only


@dataclass(frozen=True)
class Actions:
    """The page's event handlers. Their results are in the order that the wiring in ``page`` names."""

    settings: WebSettings
    server: Upstream
    catalogue: Catalogue
    store: PictureStore
    log: ConversationLog
    pages: Pages

    async def send(
        self,
        typed: dict[str, Any] | None,
        talk: Conversation | None,
        saved: Any,
        model: str | None,
        request: gr.Request,
    ) -> tuple[Any, ...]:
        """A new question: box, chat, talk. Raises before anything changes if it cannot be asked; the box stays."""
        talk = opened(talk, saved)
        text, files = _typed(typed)
        if not text.strip() and not files:
            raise gr.Error(visible=False, print_exception=False)
        model = await self._require_model(model)
        names, refused = await asyncio.to_thread(self._taken, files)
        if refused:
            raise gr.Error("<br>".join(refused), title="Picture not taken", duration=15, print_exception=False)
        if names and (known := self.catalogue.last.find(model)) is not None and known.sees_images is False:
            words = toast(f"{model} does not see pictures", "choose another model, or remove the picture")
            raise gr.Error(words, title="Picture not taken", print_exception=False)
        self._begin(request)
        talk = talk.asking(text, names)
        return box_update(running=True), chat_update(talk, self.store), talk

    async def example(
        self, chosen: gr.SelectData, talk: Conversation | None, saved: Any, model: str | None, request: gr.Request
    ) -> tuple[Any, ...]:
        """An example's question, asked at once: box, chat, talk."""
        value = chosen.value
        return await self.send(
            {"text": value.get("text", ""), "files": value.get("files")}, talk, saved, model, request
        )

    async def retry(
        self, at: gr.RetryData, talk: Conversation | None, saved: Any, model: str | None, request: gr.Request
    ) -> tuple[Any, ...]:
        """The same question again, without what came after it: box, chat, talk."""
        return await self._again(at.index, None, opened(talk, saved), model, request)

    async def edit(
        self, at: gr.EditData, talk: Conversation | None, saved: Any, model: str | None, request: gr.Request
    ) -> tuple[Any, ...]:
        """A question in other words, with the same pictures: box, chat, talk."""
        return await self._again(at.index, restored(_words(at.value)), opened(talk, saved), model, request)

    async def _again(
        self, index: Any, question: str | None, talk: Conversation, model: str | None, request: gr.Request
    ) -> tuple[Any, ...]:
        number = exchange_at(talk, index)
        if number is None:
            raise gr.Error("This message is no longer here.", print_exception=False)
        await self._require_model(model)
        self._begin(request)
        talk = talk.asking_again(number, question)
        return buttons_update(True), chat_update(talk, self.store), talk

    async def answer(
        self, talk: Conversation, model: str | None, temperature: float, top_p: float, most: float, request: gr.Request
    ) -> AsyncIterator[tuple[Any, ...]]:
        """The answer as it grows: chat, talk. A page that shows something else by now gets nothing."""
        running = self.pages.find(_page(request))
        if talk.waiting is None or running is None:
            yield gr.skip(), gr.skip()
            return
        model = model or self.catalogue.last.choose() or ""
        parameters = {
            "temperature": temperature,
            "top_p": max(top_p, _SMALLEST_TOP_P),
            "max_tokens": self._within(most, model),
        }
        start = time.time()
        last = talk
        try:
            steps = answered(
                talk, self.server, model=model, parameters=parameters, read=self.store.read, stop=running.stop
            )
            async with aclosing(steps):
                async for last, error in steps:
                    if running.abandoned:
                        continue
                    if error is not None:
                        _complain(error)
                    yield chat_update(last, self.store), last
        finally:
            if last.waiting is not None:
                last = last.with_last(ending="stopped", note="The page was closed.")
            facts = {"parameters": parameters, "ending": last.exchanges[-1].ending}
            await self._logged(last, start, _visitor(request), facts)

    async def finish(self, talk: Conversation, saved: Any, request: gr.Request) -> tuple[Any, ...]:
        """After the answer, whatever became of it: box, chat, talk, saved."""
        running = self.pages.find(_page(request))
        if running is None:
            return gr.skip(), gr.skip(), gr.skip(), gr.skip()
        self.pages.end(_page(request), running)
        talk = unfinished(talk)
        history = history_from_json(saved).with_saved(talk)
        return buttons_update(False), chat_update(talk, self.store), talk, history_as_json(history)

    async def stop(self, request: gr.Request) -> None:
        """Ends the answer; what was written stays."""
        self.pages.stop(_page(request))

    async def leave(self, request: gr.Request) -> None:
        """The page was closed: nobody waits for its answer."""
        self.pages.abandon(_page(request))

    async def undo(
        self, at: gr.UndoData, talk: Conversation | None, saved: Any, request: gr.Request
    ) -> tuple[Any, ...]:
        """Takes a question back into the box: box, chat, talk, saved."""
        talk = opened(talk, saved)
        number = exchange_at(talk, at.index)
        if number is None:
            return gr.skip(), gr.skip(), gr.skip(), gr.skip()
        self._require_quiet(request)
        taken: Exchange = talk.exchanges[number]
        talk = talk.up_to(number)
        history = history_from_json(saved).with_saved(talk)
        box = box_update(taken.question, paths(taken.pictures, self.store))
        return box, chat_update(talk, self.store), talk, history_as_json(history)

    async def vote(
        self, at: gr.LikeData, talk: Conversation | None, saved: Any, request: gr.Request
    ) -> tuple[Any, ...]:
        """Writes a vote down, once: talk, saved."""
        talk = opened(talk, saved)
        number = exchange_at(talk, at.index)
        vote = VOTES.get(at.liked)
        if number is None or vote is None or talk.exchanges[number].vote == vote or talk.waiting is not None:
            return gr.skip(), gr.skip()
        talk = talk.with_vote(number, vote)
        await asyncio.to_thread(self.log.vote, talk, number, vote, visitor=_visitor(request))
        gr.Info("Thank you, this was written down.", duration=3)
        return talk, history_as_json(history_from_json(saved).with_saved(talk))

    async def add_url(self, url: str, typed: dict[str, Any] | None) -> tuple[Any, ...]:
        """A picture from the web, put into the box: box, url."""
        if not url.strip():
            return gr.skip(), gr.skip()
        text, files = _typed(typed)
        try:
            name = await asyncio.to_thread(self.store.keep_url, url, self.settings.fetch)
        except PumiceError as error:
            raise gr.Error(toast(str(error), error.hint), title="Picture not taken", print_exception=False) from None
        return gr.update(value={"text": text, "files": [*files, *paths((name,), self.store)]}), ""

    def _within(self, most: float, model: str) -> int:
        """A slider's value, which may be from before another model with less room was chosen."""
        known = self.catalogue.last.find(model)
        return int(min(most, known.max_model_len) if known and known.max_model_len else most)

    def _begin(self, request: gr.Request) -> None:
        try:
            running = self.pages.begin(_page(request))
        except PumiceError as error:
            raise gr.Error(toast(str(error), error.hint), print_exception=False) from None
        refusal = count_question(request.request.scope) if request.request is not None else None
        if refusal is not None:
            self.pages.end(_page(request), running)
            raise gr.Error(toast(refusal.message, refusal.hint), title="Not asked", print_exception=False)

    def _require_quiet(self, request: gr.Request) -> None:
        if self.pages.find(_page(request)) is not None:
            raise gr.Error(_BUSY, print_exception=False)

    async def _require_model(self, model: str | None) -> str:
        """The chosen model if it is offered, the first one if none was chosen yet."""
        offer = await self.catalogue.offer()
        chosen = model or offer.choose()
        if chosen is None or offer.find(chosen) is None:
            trouble = offer.trouble or f"{model} is not offered any more"
            hint = "this page goes on by itself once there is one" if offer.trouble else "choose another model"
            raise gr.Error(toast(trouble, hint), title="No model to ask", print_exception=False)
        return chosen

    def _taken(self, files: list[str]) -> tuple[tuple[str, ...], list[str]]:
        """The names of the good pictures, and what is wrong with the others."""
        names, refused = [], []
        for number, file in enumerate(files, 1):
            try:
                names.append(self.store.keep_file(Path(file)))
            except PumiceError as error:
                refused.append(toast(f"picture {number} ({Path(file).name}): {error}", error.hint))
        return tuple(names), refused

    async def _logged(self, talk: Conversation, start: float, visitor: str, facts: dict[str, Any]) -> None:
        if self.log.keeps:
            await asyncio.to_thread(self.log.chat, talk, start=start, visitor=visitor, facts=facts)


def opened(talk: Conversation | None, saved: Any) -> Conversation:
    """What the page shows; from the browser's memory if the server has forgotten it, as after a restart."""
    if talk is not None:
        return talk
    history: History = history_from_json(saved)
    return history.find(history.current) or Conversation()


def _complain(error: PumiceError) -> None:
    gr.Warning(toast(str(error), error.hint, error.request_id), title="No answer", duration=15)


def _typed(typed: dict[str, Any] | None) -> tuple[str, list[str]]:
    found = typed or {}
    return found.get("text") or "", [each["path"] for each in found.get("files") or []]


def _words(value: Any) -> str:
    """The words in an edited message, which comes as text or as a list of parts."""
    if isinstance(value, list):
        return "".join(_words(each) for each in value)
    if isinstance(value, dict):
        return _words(value.get("text", ""))
    return value if isinstance(value, str) else ""


def _page(request: gr.Request) -> str:
    return request.session_hash or ""


def _visitor(request: gr.Request) -> str:
    return request.client.host if request.client else ""
