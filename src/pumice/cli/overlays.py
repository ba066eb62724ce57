"""``--boxes`` and ``--look``: pictures that are drawn once an answer is there."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeAlias

from typer import Option

from pumice.cli.output import note
from pumice.cli.pictures import Picture
from pumice.cli.session import AnsweringEngine
from pumice.cli.settings import Settings
from pumice.engine.answer import Answer
from pumice.errors import UsageError
from pumice.files import require_folder
from pumice.prompts.conversation import Conversation

Boxes: TypeAlias = Annotated[
    Path | None, Option("--boxes", metavar="OUT.png", help="Draw the boxes that the answer names into the picture.")
]
Looked: TypeAlias = Annotated[
    Path | None,
    Option("--look", metavar="OUT.png", help="Draw what the model saw, and where the answer's words looked."),
]


_ASK_FOR_ONE = 'ask for one: "Give the bounding box of the cup."'


@dataclass(frozen=True)
class Drawings:
    """Files to draw into, where they are wished for."""

    boxes: Path | None
    look: Path | None

    def check(self, pictures: list[Picture], answers: int, *, elsewhere: bool = False) -> None:
        """Raises UsageError for wishes that ``pictures`` and ``answers`` cannot meet, or a file not to be written.

        elsewhere: the answers come from a server, which does not show where it looked.
        """
        if self.look is not None and elsewhere:
            raise UsageError("--look needs the model's weights on this machine", hint="leave it out, or --server")
        if self.boxes is not None and len(pictures) != 1:
            raise UsageError(f"--boxes draws into one picture, found {len(pictures)}", hint="give one with -i")
        if self.look is not None and not pictures:
            raise UsageError("without a picture there is nothing to look at", hint="give one with -i")
        if answers > 1 and (self.boxes or self.look):
            raise UsageError("--boxes and --look draw one answer", hint="leave out --n")
        if self.boxes is not None and self.boxes == self.look:
            raise UsageError("--boxes and --look name the same file", hint="give each its own")
        for path in (self.boxes, self.look):
            if path is not None:
                _require_drawable(path, pictures)

    def draw(
        self,
        engine: AnsweringEngine,
        asked: Conversation,
        answer: Answer,
        pictures: list[Picture],
        settings: Settings,
    ) -> None:
        """Write the files, and say so. An answer without boxes leaves none."""
        if self.boxes is not None:
            self._draw_boxes(self.boxes, engine, answer, pictures[0], settings)
        if self.look is not None:
            from pumice.cli.drawing import draw_look, save_picture, stacked

            looks = engine.look(asked.then_answer(answer.text))
            save_picture(stacked([draw_look(each) for each in looks]), self.look)
            note(f"{self.look}: left what the model saw, right where the answer's words looked", settings)

    @staticmethod
    def _draw_boxes(path: Path, engine: AnsweringEngine, answer: Answer, picture: Picture, settings: Settings) -> None:
        from pumice.cli.drawing import draw_boxes, named_boxes, save_picture

        found = named_boxes(answer.text)
        if not found:
            note(f"the answer names no box, so {path} was not written; {_ASK_FOR_ONE}", settings)
            return
        sight = engine.sees(*picture.pixels.size)
        # Most models but LLaVA-1.5 mean the picture itself, without a border.
        save_picture(draw_boxes(picture.pixels, found, "square" if sight is None else sight.mode), path)
        note(f"{path}: {len(found)} box{'es' * (len(found) > 1)}", settings)


def _require_drawable(path: Path, pictures: list[Picture]) -> None:
    if path.suffix.lower() != ".png":
        raise UsageError(f"{path}: expected a name that ends in .png")
    require_folder(path)
    for each in pictures:
        with suppress(OSError):  # a URL is no file
            if path.samefile(each.source):
                raise UsageError(f"{path} is the picture that is asked about", hint="draw into another file")
