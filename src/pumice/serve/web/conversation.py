"""A conversation on the page: questions with pictures, and what became of their answers. Values without Gradio."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from secrets import token_hex
from typing import Any, Literal, TypeAlias, get_args

from pumice.remote import Message, message

Ending: TypeAlias = Literal["waiting", "complete", "length", "stopped", "failed"]
Vote: TypeAlias = Literal["upvote", "downvote", "flag"]

_LONGEST_TITLE = 40


@dataclass(frozen=True)
class Exchange:
    """One question and its answer.

    pictures: their names in the store. ending: ``waiting`` until the answer has ended, one way or the other.
    note: why it ended so, in words, where that needs saying.
    """

    question: str
    pictures: tuple[str, ...] = ()
    answer: str = ""
    ending: Ending = "waiting"
    note: str = ""
    model: str = ""
    vote: Vote | None = None

    def asked_again(self, question: str | None = None) -> Exchange:
        """The same question, or a corrected one, with the same pictures and no answer."""
        return Exchange(self.question if question is None else question, self.pictures)


@dataclass(frozen=True)
class Conversation:
    """Exchanges in order; only the last one may be waiting. The page shows two messages for each."""

    exchanges: tuple[Exchange, ...] = ()
    id: str = field(default_factory=lambda: token_hex(8))

    @property
    def waiting(self) -> Exchange | None:
        """The exchange whose answer is to come."""
        last = self.exchanges[-1] if self.exchanges else None
        return last if last is not None and last.ending == "waiting" else None

    @property
    def title(self) -> str:
        """The beginning of its first words; empty if nothing was said yet."""
        words = " ".join(next((each.question for each in self.exchanges if each.question.strip()), "").split())
        if not words:
            return "Picture" if self.exchanges else ""
        return words if len(words) <= _LONGEST_TITLE else f"{words[:_LONGEST_TITLE].rstrip()}…"

    @property
    def pictures(self) -> tuple[str, ...]:
        """All pictures of all questions, in order."""
        return tuple(name for each in self.exchanges for name in each.pictures)

    def asking(self, question: str, pictures: tuple[str, ...]) -> Conversation:
        """With one more question."""
        return replace(self, exchanges=(*self.exchanges, Exchange(question, pictures)))

    def up_to(self, index: int) -> Conversation:
        """Without the exchanges from ``index`` on."""
        return replace(self, exchanges=self.exchanges[: max(index, 0)])

    def asking_again(self, index: int, question: str | None = None) -> Conversation:
        """With exchange ``index`` asked again, perhaps in other words, and without those after it."""
        return replace(self, exchanges=(*self.exchanges[:index], self.exchanges[index].asked_again(question)))

    def with_last(self, **changes: Any) -> Conversation:
        """With other values in the last exchange."""
        return replace(self, exchanges=(*self.exchanges[:-1], replace(self.exchanges[-1], **changes)))

    def with_vote(self, index: int, vote: Vote | None) -> Conversation:
        """With what a visitor thinks of answer ``index``."""
        exchanges = list(self.exchanges)
        exchanges[index] = replace(exchanges[index], vote=vote)
        return replace(self, exchanges=tuple(exchanges))

    def messages(self, read: Callable[[str], bytes]) -> list[Message]:
        """For the API. Exchanges without an answer are left out, all but the one that waits for it.

        read: a picture's bytes by its name; what it raises is passed on.
        """
        told: list[Message] = []
        for each in self.exchanges:
            if each.answer or each.ending == "waiting":
                told.append(message("user", each.question, [read(name) for name in each.pictures]))
            if each.answer and each.ending != "waiting":
                told.append(message("assistant", each.answer))
        return told


def as_json(conversation: Conversation) -> dict[str, Any]:
    """For the browser's memory and for export: pictures by name, never their bytes."""
    return asdict(conversation)


def from_json(found: Any) -> Conversation | None:
    """What ``as_json`` gave, if it is that; None for anything else. It comes from a browser, so nothing is believed."""
    if not isinstance(found, dict) or not _is_word(found.get("id")) or not isinstance(found.get("exchanges"), list):
        return None
    exchanges = [_exchange(each) for each in found["exchanges"]]
    whole = [each for each in exchanges if each is not None]
    return Conversation(tuple(whole), found["id"]) if len(whole) == len(exchanges) else None


def _exchange(found: Any) -> Exchange | None:
    if not isinstance(found, dict):
        return None
    texts = {name: found.get(name, "") for name in ("question", "answer", "note", "model")}
    pictures, vote = found.get("pictures", []), found.get("vote")
    ending: Any = found.get("ending")
    if not all(isinstance(text, str) for text in texts.values()) or not isinstance(pictures, list):
        return None
    if not all(isinstance(name, str) for name in pictures) or vote not in (None, *get_args(Vote)):
        return None
    if ending not in get_args(Ending):
        return None
    if ending == "waiting":  # the page was closed before its end
        texts["note"], ending = "The page was closed before this answer was complete.", "stopped"
    return Exchange(**texts, pictures=tuple(pictures), ending=ending, vote=vote)


def _is_word(found: Any) -> bool:
    return isinstance(found, str) and 0 < len(found) <= 64 and found.isalnum()
