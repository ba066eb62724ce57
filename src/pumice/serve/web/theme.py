"""How the page looks. Fonts are the system's own, so that nothing is loaded from elsewhere."""

from __future__ import annotations

import gradio as gr

HEAD = '<meta name="color-scheme" content="light dark"><meta name="robots" content="noindex">'

CSS = """
.gradio-container { width: 100% !important; max-width: 960px !important; margin: 0 auto !important; }
#head { align-items: center; flex-wrap: nowrap; }
#name { flex: 0 0 auto; width: auto; min-width: 0; }
#name h1 { margin: 0; font-size: 1.4rem; letter-spacing: -0.01em; }
#banner { padding: 0.5rem 0.75rem; border-radius: 8px; background: var(--background-fill-secondary); }
.quiet p { font-size: 0.8rem; color: var(--body-text-color-subdued); }
#titles .wrap { flex-direction: column; }
#titles label { width: 100%; }
#chat .message.user img { max-height: 200px; width: auto; }
#chat [aria-label="Share"] { display: none; }
#chat small.note { color: var(--body-text-color-subdued); font-style: italic; }
#chat small.trouble { color: var(--error-text-color, #b91c1c); }
/* The words under an answer that say how it ended are no message of their own. */
#chat .message-row:has(small.note) + .message-buttons { display: none; }
#chat .message-row:has(small.note) .message { border: none; background: none; box-shadow: none; padding-top: 0; }
/* What was refused is said in a toast; Gradio would also write "Error" over the conversation. */
#chat [data-testid=status-tracker]:has(.error), #box [data-testid=status-tracker]:has(.error) {
  display: none !important;
}
#drawers { align-items: flex-start; }
#chat, #box, #model, #drawers .block.gr-accordion { border: 1px solid var(--border-color-primary) !important; }
#seen .caption-label { display: none; }
@media (max-width: 640px) {
  .gradio-container main, .gradio-container .main { padding: 0.5rem !important; }
  #head { padding-left: 1.75rem; }
  #chat { min-height: 50dvh; }
}
"""


def theme() -> gr.themes.Base:
    """Calm colours that hold in light and dark."""
    system = ["ui-sans-serif", "system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
    fixed = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"]
    look = gr.themes.Soft(
        primary_hue="teal", secondary_hue="teal", neutral_hue="slate",
        font=[gr.themes.Font(name) for name in system], font_mono=[gr.themes.Font(name) for name in fixed],
    )  # fmt: skip
    return look.set(
        block_title_background_fill="transparent", block_title_background_fill_dark="transparent",
        block_title_text_color="*body_text_color", block_title_text_color_dark="*body_text_color",
        block_title_padding="0",
    )  # fmt: skip
