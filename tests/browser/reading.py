"""What stands in the way of reading and working a panel: axe-core's word, faint text, and what stands out of it."""

from __future__ import annotations

from typing import Final

from tests.browser.lab import Panel
from tests.report.test_access import AXE

# How far anything of a panel stands out beyond the notebook, or a control beyond its panel, in pixels.
_BEYOND: Final = """e => {
  const right = x => x.getBoundingClientRect().right;
  const out = [right(e) - right(e.closest('.jp-Notebook, body'))];
  for (const control of e.querySelectorAll('button, input, select, textarea'))
    if (control.checkVisibility() && !control.closest('.cc-scroll, .ag-root')) out.push(right(control) - right(e));
  return Math.max(...out);
}"""
# A browser's boxes end between pixels.
_ROUNDING: Final = 0.5
# Text that stands out too little from what is behind it (WCAG 2.2, 1.4.3). axe-core passes over what JupyterLab's
# windowed notebook holds, so this is worked out here: each text over the grounds behind it, from the page's own style.
_FAINT: Final = """e => {
  const paint = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgba = colour => {
    paint.clearRect(0, 0, 1, 1); paint.fillStyle = colour; paint.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = paint.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, ground) => [0, 1, 2].map(i => top[i] * top[3] + ground[i] * (1 - top[3])).concat(1);
  const ground = x => {
    const layers = [];
    for (let at = x; at; at = at.parentElement) {
      layers.push(rgba(getComputedStyle(at).backgroundColor));
      if (layers.at(-1)[3] === 1) break;
    }
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 1]);
  };
  const light = c => {
    const [r, g, b] = c.map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = new Map();
  let seen = 0;
  const judge = (x, colour, words) => {
    const below = ground(x), [a, b] = [light(over(rgba(colour), below)), light(below)].sort((m, n) => n - m);
    const ratio = (a + 0.05) / (b + 0.05), style = getComputedStyle(x), size = parseFloat(style.fontSize);
    seen += 1;
    const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    if (ratio < (large ? 3 : 4.5)) found.set(`${x.tagName}.${x.className} ${ratio.toFixed(2)}`, words.slice(0, 40));
  };
  const shown = x => x.checkVisibility({opacityProperty: true}) && !x.closest(':disabled, svg, style, script, option');
  const texts = document.createTreeWalker(e, NodeFilter.SHOW_TEXT);
  for (let at = texts.nextNode(); at; at = texts.nextNode())
    if (at.data.trim() && shown(at.parentElement))
      judge(at.parentElement, getComputedStyle(at.parentElement).color, at.data.trim());
  for (const x of e.querySelectorAll('input[placeholder], textarea[placeholder]'))
    if (x.placeholder && shown(x)) judge(x, getComputedStyle(x, '::placeholder').color, x.placeholder);
  return [seen, [...found].map(([what, words]) => `${what}: ${words}`)];
}"""


def complaints(panel: Panel) -> list[str]:
    """All that there is against a panel as it is shown, a line each."""
    beyond, (seen, faint) = panel.at.evaluate(_BEYOND), panel.at.evaluate(_FAINT)
    assert seen, "there is text to be judged"
    found = [f"stands out by {beyond:.0f} px"] if beyond > _ROUNDING else []
    found += [f"too faint: {told}" for told in faint]
    if not AXE.is_file():
        return found
    page = panel.tab.page
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(AXE.read_text(encoding="utf-8"))
    violations = panel.at.evaluate("e => axe.run(e, {resultTypes: ['violations']})")["violations"]
    return found + [
        f"{one['id']}: {node['target']} {node['failureSummary']}" for one in violations for node in one["nodes"]
    ]
