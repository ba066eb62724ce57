"""The page: its parts, and which of them each action reads and writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from pumice.serve.web.actions import Actions
from pumice.serve.web.desk import MOST_TOKENS, NOTHING_SEEN, Desk
from pumice.serve.web.display import FEEDBACK, PLACEHOLDER
from pumice.serve.web.examples import Example

# Values come as the browser sent them: Gradio would refuse one from before a change, as of a slider's limit.
_RAW: dict[str, Any] = {"preprocess": False, "show_progress": "hidden", "api_visibility": "private"}
_QUIET: dict[str, Any] = {**_RAW, "queue": False}
# Only what goes through the queue may show a toast.
_QUEUED: dict[str, Any] = {**_RAW, "concurrency_limit": None}
_WELCOME = "## Ask about a picture\nDrop, paste or choose one below, or start with an example."
_KEPT = "What is said here, pictures included, is kept by whoever runs this page."
_BUTTONS = "Enter sends, Shift+Enter starts a new line."


@dataclass(frozen=True)
class Parts:
    """The components that actions read and write."""

    chat: gr.Chatbot
    box: gr.MultimodalTextbox
    model: gr.Dropdown
    banner: gr.Markdown
    temperature: gr.Slider
    top_p: gr.Slider
    most: gr.Slider
    url: gr.Textbox
    add: gr.Button
    gallery: gr.Gallery
    words: gr.Markdown
    titles: gr.Radio
    new: gr.Button
    delete: gr.Button
    markdown: gr.DownloadButton
    json: gr.DownloadButton
    talk: gr.State
    saved: gr.BrowserState
    known: gr.State


def build_page(actions: Actions, examples: list[Example]) -> gr.Blocks:
    """The whole page with its events. Nothing is started."""
    settings = actions.settings
    page: gr.Blocks
    with gr.Blocks(title="Pumice", analytics_enabled=False, fill_height=True, delete_cache=(3600, 86400)) as page:
        parts = _parts(actions, examples)
        desk = Desk(actions)
        _wire_chat(parts, actions, desk)
        _wire_desk(page, parts, desk, settings.poll_s)
        page.unload(actions.leave)
    page.queue(max_size=settings.waiting, default_concurrency_limit=settings.answers, api_open=False)
    return page


def _parts(actions: Actions, examples: list[Example]) -> Parts:
    talk = gr.State(None)  # a Conversation; None once the server has forgotten this page
    saved = gr.BrowserState(None, storage_key="pumice-conversations", secret="pumice")
    with gr.Sidebar(open=False, width=280):
        new = gr.Button("New conversation", variant="primary", size="md")
        titles = gr.Radio([], label="Earlier conversations", visible=False, elem_id="titles")
        gr.Markdown("This list is kept in this browser.", elem_classes="quiet")
        with gr.Row():
            markdown = gr.DownloadButton("Save as Markdown", size="sm", interactive=False)
            json = gr.DownloadButton("Save as JSON", size="sm", interactive=False)
        delete = gr.Button("Delete this conversation", size="sm", variant="stop")
    with gr.Row(elem_id="head", equal_height=True):
        gr.Markdown("# Pumice", elem_id="name")
        model = gr.Dropdown(
            [], label="Model", show_label=False, container=False, interactive=False, elem_id="model", min_width=160
        )
    banner = gr.Markdown(visible=False, elem_id="banner")
    chat = _chat(examples, votes=actions.log.keeps)
    box = gr.MultimodalTextbox(
        placeholder=PLACEHOLDER, show_label=False, label="Question", file_count="multiple",
        file_types=["image", "file"], sources=["upload"], max_plain_text_length=1_000_000,
        max_lines=8, autofocus=True, elem_id="box",
    )  # fmt: skip
    with gr.Row(elem_id="drawers"):
        with gr.Column(min_width=240), gr.Accordion("Parameters", open=False):
            temperature = gr.Slider(0, 1, 0.2, step=0.1, label="Temperature", info="0: always the likeliest word")
            top_p = gr.Slider(0, 1, 0.7, step=0.1, label="Top P", info="How much of the likely is drawn from")
            most = gr.Slider(1, MOST_TOKENS, 512, step=1, label="Max output tokens", info="Where an answer is cut off")
        with gr.Column(min_width=240), gr.Accordion("What the model sees", open=False, elem_id="seen"):
            words = gr.Markdown(NOTHING_SEEN)
            gallery = gr.Gallery(
                visible=False, show_label=False, label="What the model sees", columns=1, height="auto", format="png",
                object_fit="contain", buttons=[], interactive=False,
            )  # fmt: skip
        fetches = actions.settings.fetch is not None
        with gr.Column(min_width=240, visible=fetches), gr.Accordion("Picture from a URL", open=False):
            url = gr.Textbox(placeholder="https://…", label="The picture's URL", show_label=False, container=False)
            add = gr.Button("Add to the question", size="sm")
    gr.Markdown(f"{_BUTTONS} {_KEPT if actions.log.keeps else ''}", elem_classes="quiet")
    return Parts(
        chat, box, model, banner, temperature, top_p, most, url, add, gallery, words, titles, new, delete, markdown,
        json, talk, saved, gr.State(None),
    )  # fmt: skip


def _chat(examples: list[Example], *, votes: bool) -> gr.Chatbot:
    return gr.Chatbot(
        label="Conversation", show_label=False, elem_id="chat", height="calc(100dvh - 300px)", min_height=320, scale=1,
        editable="user", layout="bubble", buttons=["copy", "copy_all"], placeholder=_WELCOME,
        examples=[{"text": each.question, "files": [str(each.path)]} for each in examples],
        feedback_options=FEEDBACK if votes else (), sanitize_html=True, allow_tags=False,
        allow_file_downloads=False, group_consecutive_messages=False,
    )  # fmt: skip


def _wire_chat(parts: Parts, actions: Actions, desk: Desk) -> None:
    asked = [parts.box, parts.chat, parts.talk]
    starts = [
        parts.box.submit(actions.send, [parts.box, parts.talk, parts.saved, parts.model], asked, **_QUEUED),
        parts.chat.example_select(actions.example, [parts.talk, parts.saved, parts.model], asked, **_QUEUED),
        parts.chat.retry(actions.retry, [parts.talk, parts.saved, parts.model], asked, **_QUEUED),
        parts.chat.edit(actions.edit, [parts.talk, parts.saved, parts.model], asked, **_QUEUED),
    ]
    for start in starts:
        start.success(desk.look, [parts.talk, parts.model], [parts.gallery, parts.words], **_QUIET)
        start.success(
            actions.answer,
            [parts.talk, parts.model, parts.temperature, parts.top_p, parts.most],
            [parts.chat, parts.talk],
            **{**_RAW, "show_progress": "minimal"},
            concurrency_id="answers",
            concurrency_limit=actions.settings.answers,
        ).then(
            actions.finish,
            [parts.talk, parts.saved],
            [parts.box, parts.chat, parts.talk, parts.saved],
            **_QUIET,
        ).then(_titles, parts.saved, parts.titles, **_QUIET).then(
            desk.export, parts.talk, [parts.markdown, parts.json], **_QUIET
        )
    parts.box.stop(actions.stop, None, None, **_QUIET)
    parts.chat.undo(
        actions.undo, [parts.talk, parts.saved], [parts.box, parts.chat, parts.talk, parts.saved], **_QUIET
    ).success(_titles, parts.saved, parts.titles, **_QUIET)
    parts.chat.like(actions.vote, [parts.talk, parts.saved], [parts.talk, parts.saved], **_QUEUED)
    for trigger in (parts.add.click, parts.url.submit):
        trigger(actions.add_url, [parts.url, parts.box], [parts.box, parts.url], **_QUEUED)


def _wire_desk(page: gr.Blocks, parts: Parts, desk: Desk, poll_s: float) -> None:
    opened = [parts.box, parts.chat, parts.talk, parts.saved, parts.titles]
    offered = [parts.model, parts.most, parts.banner, parts.known]
    changes = [
        page.load(desk.load, parts.saved, [*offered, parts.chat, parts.talk, parts.saved, parts.titles], **_QUIET),
        parts.new.click(desk.fresh, parts.saved, opened, **_QUIET),
        parts.chat.clear(desk.fresh, parts.saved, opened, **_QUIET),
        parts.titles.input(desk.open, [parts.titles, parts.saved], opened, **_QUIET),
        parts.delete.click(desk.delete, parts.saved, opened, **_QUIET),
    ]
    for change in changes:
        change.then(desk.look, [parts.talk, parts.model], [parts.gallery, parts.words], **_QUIET)
        change.then(desk.export, parts.talk, [parts.markdown, parts.json], **_QUIET)
    parts.model.input(desk.choose, [parts.model, parts.most], parts.most, **_QUIET).then(
        desk.look, [parts.talk, parts.model], [parts.gallery, parts.words], **_QUIET
    )
    gr.Timer(poll_s).tick(desk.poll, [parts.model, parts.most, parts.known], offered, **_QUIET)


async def _titles(saved: Any) -> dict[str, Any]:
    from pumice.serve.web.desk import titles_update
    from pumice.serve.web.history import history_from_json

    return titles_update(history_from_json(saved))
