// JupyterLab's command-mode keys work while a panel has the focus: typing "d d" in a list would
// delete the cell. Lumino passes over an element that carries this attribute itself; on a parent
// it does not count. Run once a page; running it again changes nothing.
(() => {
  if (document.carecoverGuard) return;
  document.carecoverGuard = true;
  const panelOf = (event) => event.target instanceof Element && event.target.closest(".carecover");
  const guarded = new WeakSet();
  document.addEventListener("focusin", (event) => {
    const panel = panelOf(event);
    if (!panel) return;
    event.target.setAttribute("data-lm-suppress-shortcuts", "true");
    if (guarded.has(panel)) return;
    guarded.add(panel);
    panel.addEventListener("keydown", (key) => key.stopPropagation());
  }, true);
  document.addEventListener("pointerup", (event) => {
    const panel = panelOf(event);
    if (!panel) return;
    // A click beside the controls gives the focus to the cell: take it back into the panel.
    setTimeout(() => {
      if (panel.contains(document.activeElement)) return;
      panel.tabIndex = -1;
      panel.focus({ preventScroll: true });
    });
  }, true);
  // The heads of what is folded are no buttons by themselves: without a pointer nobody could unfold it.
  const FOLDED = ".carecover .jupyter-widget-Collapse-header";
  const reachable = () => {
    for (const head of document.querySelectorAll(`${FOLDED}:not([tabindex])`)) {
      head.tabIndex = 0;
      head.setAttribute("role", "button");
    }
  };
  let looking = false;
  new MutationObserver(() => {
    if (looking) return;
    looking = true;
    setTimeout(() => {
      looking = false;
      reachable();
    }, 300);
  }).observe(document.body, { childList: true, subtree: true });
  reachable();
  document.addEventListener("keydown", (event) => {
    if (!["Enter", " "].includes(event.key) || !(event.target instanceof Element) || !event.target.matches(FOLDED)) return;
    event.preventDefault();
    event.target.click();
  }, true);
})();
