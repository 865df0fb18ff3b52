"""Pictures for pages that draw nothing themselves, as code-hosting pages do: PNG, beside tables.

Such pages take scripts, styles and drawings out of HTML. So a plotly figure gets a picture, and a
saved timeline or graph becomes a picture with its table below; the documentation, which draws,
finds the whole in the output's metadata.
"""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat

__all__ = ["DRAWN", "PLOTLY", "add_pictures", "split"]

PLOTLY = "application/vnd.plotly.v1+json"
DRAWN = "ipydurable_html"
"""Where the metadata of a picture keep the HTML that it shows."""

_WIDTH_PX = 900
_DRAW = """async ([figure, width]) => {
    const {data, layout} = figure;
    const size = {width, height: layout.height || 420};
    const light = {...layout, ...size, paper_bgcolor: "white"};
    return await Plotly.toImage({data, layout: light}, {format: "png", scale: 1.5, ...size});
}"""
_TABLE = re.compile(r"<details[^>]*>.*</details>", re.DOTALL)
_COLOURS = 128


def add_pictures(notebook: nbformat.NotebookNode, executable: str) -> None:
    """Give plotly figures, timelines and graphs pictures.

    Args:
        notebook: It was just executed.
        executable: A Chromium.
    """
    figures = [one.data for one in _outputs(notebook) if PLOTLY in one.data]
    drawings = [one for one in _outputs(notebook) if is_drawing(one)]
    if not figures and not drawings:
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        page = browser.new_page(
            viewport={"width": _WIDTH_PX, "height": 600}, device_scale_factor=1.5
        )
        for data in figures:
            _add_figure(page, data)
        taken = {id(one): _take(page, one.data["text/html"]) for one in drawings}
        browser.close()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [
                part
                for one in cell.outputs
                for part in (split(one, taken[id(one)]) if id(one) in taken else [one])
            ]


def is_drawing(output: nbformat.NotebookNode) -> bool:
    """Tell whether an output is a saved timeline or graph."""
    return PLOTLY not in output.data and "<svg" in str(output.data.get("text/html"))


def split(output: nbformat.NotebookNode, picture: str) -> list[nbformat.NotebookNode]:
    """Return a drawing's picture and, where it has one, its table, as two outputs.

    Args:
        output: Shows HTML with a drawing.
        picture: A PNG of it, in base64.
    """
    html = output.data.pop("text/html")
    output.data["image/png"] = picture
    output.metadata[DRAWN] = html
    table = _TABLE.search(html)
    if table is None:
        return [output]
    shown = {"text/html": table[0], "text/plain": "the same as a table"}
    return [output, nbformat.v4.new_output("display_data", shown)]


def _outputs(notebook: nbformat.NotebookNode) -> Iterator[nbformat.NotebookNode]:
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            if "data" in output:
                yield output


def _add_figure(page: Any, data: dict[str, Any]) -> None:
    import plotly

    script = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
    page.set_content("<body></body>")
    page.add_script_tag(path=script)
    url = page.evaluate(_DRAW, [json.loads(json.dumps(data[PLOTLY])), _WIDTH_PX])
    data["image/png"] = _small(base64.b64decode(url.partition(",")[2]))
    # The HTML form of a figure loads or contains plotly itself: megabytes.
    data.pop("text/html", None)
    title = data[PLOTLY]["layout"].get("title", {}).get("text", "")
    data["text/plain"] = f"Figure: {title.partition('<br>')[0]}"


def _take(page: Any, html: str) -> str:
    """Return a PNG of HTML without its table, in base64."""
    page.set_content(f'<body style="background:white">{_TABLE.sub("", html)}</body>')
    return _small(page.locator("body > div").screenshot())


def _small(png: bytes) -> str:
    """Return a picture of few colours, as drawings are, in base64."""
    from PIL import Image

    small = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").quantize(_COLOURS).save(small, "PNG", optimize=True)
    return base64.b64encode(small.getvalue()).decode()
