// A place to drop files on. Names are only ever set as text; what counts is what Python says it has received.
const MAX_FILES = 2000;

async function filesOf(entries) {
  // A folder is walked; who drops more than there is room for is told so by Python.
  const found = [];
  const waiting = [...entries];
  while (waiting.length && found.length <= MAX_FILES) {
    const entry = waiting.shift();
    if (entry.isFile) found.push(await new Promise((done, fail) => entry.file(done, fail)));
    else if (entry.isDirectory) {
      const reader = entry.createReader();
      for (;;) {
        const part = await new Promise((done, fail) => reader.readEntries(done, fail));
        if (!part.length) break;
        waiting.push(...part);
      }
    }
  }
  return found;
}

function render({ model, el }) {
  const zone = document.createElement("div");
  zone.className = "cc-drop";
  const input = document.createElement("input");
  input.type = "file";
  input.multiple = true;
  input.hidden = true;
  const choose = document.createElement("button");
  choose.type = "button";
  choose.className = "jupyter-button widget-button lm-Widget";
  choose.textContent = "Choose files …";
  const told = document.createElement("span");
  told.setAttribute("role", "status");
  const forget = document.createElement("button");
  forget.type = "button";
  forget.className = "cc-forget";
  forget.textContent = "Forget them";
  zone.append(choose, told, forget, input);
  el.append(zone);

  const show = () => {
    const files = model.get("received");
    const waiting = files.filter((file) => file.here < file.size).length;
    const megabytes = files.reduce((sum, file) => sum + file.size, 0) / 1e6;
    const names = files.slice(0, 3).map((file) => file.name).join(", ") + (files.length > 3 ? ", …" : "");
    const size = megabytes < 0.1 ? "less than 0.1 MB" : `${megabytes.toFixed(1)} MB`;
    const number = `${files.length} file${files.length === 1 ? "" : "s"}`;
    told.textContent = model.get("refused") || (!files.length ? "or drop files and folders here"
      : waiting ? `${number}: ${waiting} still on the way …` : `${number} ready (${size}): ${names}`);
    forget.hidden = !files.length && !model.get("refused");
    zone.dataset.ready = String(files.length > 0 && !waiting);
  };
  let number = Date.now();
  const send = async (files) => {
    const piece = model.get("piece");
    for (const file of files) {
      const id = number++;
      model.send({ kind: "begin", id, name: file.name, size: file.size });
      for (let offset = 0; offset < file.size; offset += piece) {
        const data = await file.slice(offset, offset + piece).arrayBuffer();
        model.send({ kind: "piece", id, offset }, undefined, [data]);
      }
    }
  };
  const failed = () => { told.textContent = "The browser could not read that: name the paths below instead."; };
  choose.addEventListener("click", () => input.click());
  forget.addEventListener("click", () => model.send({ kind: "clear" }));
  input.addEventListener("change", () => {
    send([...input.files]).catch(failed);
    input.value = "";
  });
  zone.addEventListener("dragover", (event) => { event.preventDefault(); zone.classList.add("over"); });
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    event.stopPropagation();
    zone.classList.remove("over");
    // Entries must be asked for before the event ends.
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    const files = [...event.dataTransfer.files];
    (entries.length ? filesOf(entries) : Promise.resolve(files)).then(send).catch(failed);
  });
  model.on("change:received", show);
  model.on("change:refused", show);
  show();
  return () => { model.off("change:received", show); model.off("change:refused", show); };
}

export default { render };
