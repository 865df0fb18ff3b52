"""How well text can be read: the least contrast of all text in a page."""

from __future__ import annotations

from playwright.sync_api import Page

__all__ = ["least_contrast"]

_MEASURE = """selector => {
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
      layers.push(rgba(shape ? style.fill : style.backgroundColor));
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
    const own = [...node.childNodes].some((one) => one.nodeType === 3 && one.textContent.trim());
    if (!own || !node.getClientRects().length) continue;
    const under = ground(node);
    const { color, fill } = getComputedStyle(node);
    const drawn = rgba(node.matches("text") ? fill : color);
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


def least_contrast(page: Page, selector: str) -> tuple[float, str]:
    """Return the least contrast of all text inside the first element that matches, and where."""
    ratio, where = page.evaluate(_MEASURE, selector)
    return float(ratio), str(where)
