// Numbered lines of a run. Each change has the last of them with the number of its first: what is new is added, what
// is too old is dropped, and whoever scrolled up to read something stays there.
function render({ model, el }) {
  const frame = document.createElement("div");
  frame.className = "cc cc-follow";
  const log = document.createElement("pre");
  log.tabIndex = 0;
  log.setAttribute("role", "log");
  log.setAttribute("aria-live", "off");
  log.setAttribute("aria-label", "output of the scripts");
  // The keys that JupyterLab takes in command mode would work on the cell.
  log.setAttribute("data-lm-suppress-shortcuts", "true");
  log.addEventListener("keydown", (event) => event.stopPropagation());
  frame.append(log);
  el.append(frame);
  let shown = 0;
  let source = null;
  const draw = () => {
    const lines = model.get("lines");
    const first = model.get("first");
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
    const last = first + lines.length - 1;
    if (source !== model.get("source") || last < shown || first > shown + 1) {
      log.replaceChildren();
      source = model.get("source");
      shown = first - 1;
    }
    const added = document.createDocumentFragment();
    for (let number = shown + 1; number <= last; number++) {
      const line = document.createElement("div");
      line.dataset.number = String(number);
      line.textContent = lines[number - first];
      added.append(line);
    }
    log.append(added);
    shown = last;
    while (log.firstChild && Number(log.firstChild.dataset.number) < first) log.firstChild.remove();
    log.dataset.last = String(last);
    if (atEnd) log.scrollTop = log.scrollHeight;
  };
  model.on("change:lines", draw);
  model.on("change:source", draw);
  draw();
  requestAnimationFrame(() => { log.scrollTop = log.scrollHeight; });
  return () => { model.off("change:lines", draw); model.off("change:source", draw); };
}

export default { render };
