"""What happens around a conversation: models to choose, earlier conversations, files to take away, what is seen."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from pumice.errors import ImageError
from pumice.serve.web.actions import Actions
from pumice.serve.web.catalogue import Offer
from pumice.serve.web.conversation import Conversation
from pumice.serve.web.display import box_update, chat_update
from pumice.serve.web.export import as_json_text, as_markdown
from pumice.serve.web.history import History, history_as_json, history_from_json
from pumice.serve.web.safe import neutralised
from pumice.serve.web.seen import hides_writing, preparation, views

MOST_TOKENS = 1024  # the original's limit, for a model that does not say how much it can hold
_MODES = {
    "pad": "The whole picture, with a border if it is not square.",
    "square": "The middle of the picture.",
    "anyres": "The whole picture, and then its parts in more detail.",
}
_ONCE = "Each picture as a whole. This model looks closer at one that is alone in a conversation."
_HIDDEN = "What looks like writing is painted over."
NOTHING_SEEN = "Send a picture, and it is shown here as the model gets it."


@dataclass(frozen=True)
class Desk:
    """The handlers beside the chat itself. ``actions`` has what they share."""

    actions: Actions

    async def load(self, saved: Any, request: gr.Request) -> tuple[Any, ...]:
        """A page that opens, with what it showed last: model, most, banner, known, chat, talk, saved, titles."""
        wanted = request.query_params.get("model") if request.query_params else None
        history = history_from_json(saved)
        talk = history.find(history.current) or Conversation()
        offered = await self._offered(wanted, None)
        chat = chat_update(talk, self.actions.store)
        return *offered, chat, talk, history_as_json(history), titles_update(history)

    async def poll(self, model: str | None, most: float, known: Offer | None) -> tuple[Any, ...]:
        """Every few seconds, whether there are other models than this page knows: model, most, banner, known."""
        if await self.actions.catalogue.offer() == known:
            return (gr.skip(),) * 4
        return await self._offered(model, most)

    async def choose(self, model: str | None, most: float) -> dict[str, Any]:
        """How long answers may be at most depends on the model: most."""
        return self._most(model, most)

    async def fresh(self, saved: Any, request: gr.Request) -> tuple[Any, ...]:
        """A new conversation: box, chat, talk, saved, titles."""
        return self._opened(Conversation(), history_from_json(saved), request)

    async def open(self, wanted: str | None, saved: Any, request: gr.Request) -> tuple[Any, ...]:
        """An earlier conversation: box, chat, talk, saved, titles."""
        history = history_from_json(saved)
        talk = history.find(wanted or "")
        if talk is None or history.current == wanted:
            return (gr.skip(),) * 5
        return self._opened(talk, history, request)

    async def delete(self, saved: Any, request: gr.Request) -> tuple[Any, ...]:
        """Forgets the conversation that is open: box, chat, talk, saved, titles."""
        history = history_from_json(saved)
        return self._opened(Conversation(), history.without(history.current), request)

    def _opened(self, talk: Conversation, history: History, request: gr.Request) -> tuple[Any, ...]:
        self.actions.pages.abandon(request.session_hash or "")
        history = history.opened(talk.id)
        chat = chat_update(talk, self.actions.store)
        return box_update(), chat, talk, history_as_json(history), titles_update(history)

    async def export(self, talk: Conversation | None) -> tuple[Any, ...]:
        """The conversation as two files: markdown, json."""
        return await asyncio.to_thread(self._exported, talk or Conversation())

    def _exported(self, talk: Conversation) -> tuple[Any, ...]:
        folder = Path(tempfile.mkdtemp(dir=self.actions.settings.folder / "uploads"))
        found = []
        for name, text in (
            ("conversation.md", as_markdown(talk, self.actions.store.read)),
            ("conversation.json", as_json_text(talk, self.actions.store.read)),
        ):
            path = folder / name
            path.write_text(text, encoding="utf-8")
            found.append(gr.update(value=str(path), interactive=bool(talk.exchanges)))
        return tuple(found)

    async def look(self, talk: Conversation | None, model: str | None) -> tuple[Any, ...]:
        """The pictures of the last question as the model gets them: gallery, words."""
        return await asyncio.to_thread(self._looked, talk or Conversation(), model)

    def _looked(self, talk: Conversation, model: str | None) -> tuple[Any, ...]:
        shown = next((each for each in reversed(talk.exchanges) if each.pictures), None)
        if shown is None:
            return gr.update(value=[], visible=False), NOTHING_SEEN
        asked = [each for each in talk.exchanges if each.answer or each is shown]  # as ``Conversation.messages``
        alone = sum(len(each.pictures) for each in asked) == 1
        known = self.actions.catalogue.last.find(model)
        how = preparation(known.details) if known else None
        if known is None or how is None:
            return gr.update(value=[], visible=False), "The server does not say how this model wants its pictures."
        try:
            pictures = [self.actions.store.pixels(name) for name in shown.pictures]
            found = views(pictures, how, alone=alone, hide_writing=hides_writing(known.details))
        except ImageError as error:
            return gr.update(value=[], visible=False), neutralised(str(error))
        once = how.mode == "anyres" and all(each.first for each in found)
        words = [_ONCE if once else _MODES[how.mode], *([_HIDDEN] if hides_writing(known.details) else [])]
        told = "\n".join([" ".join(words), *(f"- {each.caption}" for each in found if each.first)])
        tiles = [(each.tile, each.caption) for each in found]
        return gr.update(value=tiles, columns=1 if len(tiles) == 1 else 2, visible=True), told

    async def _offered(self, wanted: str | None, most: float | None) -> tuple[Any, ...]:
        offer = await self.actions.catalogue.offer()
        chosen = offer.choose(wanted)
        banner = gr.update(value=f"⏳ {neutralised(offer.trouble)}", visible=bool(offer.trouble))
        # While there is none, the list stays as it was: the choice is kept, and a list that is open does not break.
        none = gr.update(interactive=False)
        models = gr.update(choices=offer.names, value=chosen, interactive=True) if offer.names else none
        return models, self._most(chosen, most), banner, offer

    def _most(self, model: str | None, now: float | None) -> dict[str, Any]:
        known = self.actions.catalogue.last.find(model)
        limit = (known.max_model_len if known else None) or MOST_TOKENS
        if now is None or now <= limit:
            return gr.update(maximum=limit)
        return gr.update(maximum=limit, value=limit)


def titles_update(history: History) -> dict[str, Any]:
    """The list of earlier conversations, with the open one marked."""
    known = {identifier for _, identifier in history.titles}
    chosen = history.current if history.current in known else None
    return gr.update(choices=history.titles, value=chosen, visible=bool(known))
