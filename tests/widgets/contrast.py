"""How well text can be read: the least contrast of all text in a page."""

from __future__ import annotations

from playwright.sync_api import Page

__all__ = ["least_contrast"]

_MEASURE = """([selector, wanted]) => {
  const written = new RegExp(wanted, "u");
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = ([r, g, b, a], under) => [r, g, b].map((one, n) => one * a + under[n] * (1 - a));
  const ground = (node) => {
    const layers = [];
    for (let at = node; at; at = at.parentElement) {
      const inDrawing = at.matches("svg *");
      const shape = inDrawing && at.querySelector(":scope > :is(rect, .ipd-outline)");
      const style = getComputedStyle(shape || at);
      const layer = rgba(shape ? style.fill : style.backgroundColor);
      if (shape) layer[3] *= Number(style.fillOpacity);
      layers.push(layer);
    }
    return layers.reverse().reduce((under, layer) => over(layer, under), [255, 255, 255]);
  };
  const light = (rgb) => {
    const [r, g, b] = rgb.map((one) => {
      const part = one / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  let least = 21, where = "";
  for (const node of document.querySelector(selector).querySelectorAll("*")) {
    const texts = [...node.childNodes].filter((one) => one.nodeType === 3);
    const own = texts.some((one) => written.test(one.textContent));
    if (!own || !node.getClientRects().length) continue;
    const under = ground(node);
    const { color, fill, fillOpacity } = getComputedStyle(node);
    const isDrawn = node.matches("text, tspan"), drawn = rgba(isDrawn ? fill : color);
    if (isDrawn) drawn[3] *= Number(fillOpacity);
    for (let at = node; at; at = at.parentElement) drawn[3] *= Number(getComputedStyle(at).opacity);
    const ink = light(over(drawn, under)), paper = light(under);
    const ratio = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
    if (ratio < least) {
      least = ratio;
      where = `${node.getAttribute("class")}: ${node.textContent}`;
    }
  }
  return [least, where];
}"""


def least_contrast(page: Page, selector: str, *, words_only: bool = False) -> tuple[float, str]:
    """Return the least contrast of all text inside the first element that matches, and where.

    Args:
        page: Where it is.
        selector: What it is.
        words_only: Leave out signs that are drawn as text; drawings need less contrast than words.
    """
    ratio, where = page.evaluate(_MEASURE, [selector, r"[\p{L}\p{N}]" if words_only else r"\S"])
    return float(ratio), str(where)
