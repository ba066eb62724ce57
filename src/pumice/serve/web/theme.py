"""How the page looks. Fonts are the system's own, so that nothing is loaded from elsewhere."""

from __future__ import annotations

import gradio as gr

# Gradio puts its own selectors before those of CSS, so what is around the page's contents is styled here.
HEAD = """<meta name="color-scheme" content="light dark"><meta name="robots" content="noindex">
<style>@media (max-width: 640px) { gradio-app .main.app { padding: 8px !important } }</style>"""

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
/* Under a picture there would be nothing but that button. */
#chat .message-row:has(> .component-wrap) + .message-buttons { display: none; }
/* The buttons of the whole conversation have a line of their own, and cover nothing. */
#chat .wrapper > .top-panel { position: static; align-self: flex-end; flex: none; margin: 6px 8px 0 0; }
#chat { background: var(--background-fill-primary); }
#chat .bubble-wrap { height: auto; flex: 1 1 0; min-height: 0; }
#chat .wrapper > .top-panel { background: none; border: none; box-shadow: none; }
#chat .placeholder-content { padding: 0 1rem; }
#chat .placeholder-content h2 { font-size: 1.1rem; }
#chat .examples { gap: 0.75rem; padding: 1rem; }
#chat .example-image-container, #chat .example-image { width: 72px; height: 72px; }
#chat .example { border: 1px solid var(--border-color-primary); border-radius: 8px; }
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
#seen .grid-wrap { height: auto; max-height: none; min-height: 0; }
@media (max-width: 640px) {
  #head { padding-left: 1.75rem; }
  #chat { min-height: 50dvh; }
  #chat .example { flex-direction: row; }
  #chat .example-image-container, #chat .example-image { width: 48px; height: 48px; }
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
        # Gradio's own are too pale to read.
        body_text_color_subdued="*neutral_500", input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="*neutral_400", block_label_text_color="*primary_700", slider_color="*primary_600",
        button_primary_background_fill="*primary_700", button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover="*primary_800", button_primary_background_fill_hover_dark="*primary_800",
        checkbox_label_background_fill_selected="*primary_700", link_text_color="*primary_700",
        checkbox_label_background_fill_selected_dark="*primary_700", link_text_color_dark="*primary_400",
    )  # fmt: skip
