// A place to drop files on. Names are only ever set as text; what counts is what Python says it has received. What is
// said between the two, and why it is answered, stands in dropping.py.
async function filesOf(entries, most) {
  // A folder is walked; who drops more than there is room for is told so by Python.
  const found = [];
  const waiting = [...entries];
  while (waiting.length && found.length <= most) {
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

  // What Python has, and what is yet to be sent from here; Python alone says what counts.
  let sending = 0;
  let silent = false;
  let trouble = "";
  const show = () => {
    const got = model.get("received");
    const count = (n) => `${n} file${n === 1 ? "" : "s"}`;
    const megabytes = got.bytes / 1e6;
    const size = megabytes < 0.1 ? "less than 0.1 MB" : `${megabytes.toFixed(1)} MB`;
    const more = got.files > got.names.length ? ", …" : "";
    const left = Math.max(sending, got.waiting, got.ahead);
    told.textContent = trouble || model.get("refused") || (left && silent
      ? `${count(left)} on the way: the kernel is busy and has not answered yet …`
      : left ? `${count(got.files)} here, ${left} still on the way …`
      : got.files ? `${count(got.files)} ready (${size}): ${got.names.join(", ")}${more}`
      : "or drop files and folders here");
    forget.hidden = !got.files && !left && !trouble && !model.get("refused");
    zone.dataset.ready = String(got.files > 0 && !left);
  };

  const view = `${Date.now()}-${Math.random()}`;
  let turn = 0;
  let number = 0;
  let generation = 0;
  let answered = () => {};
  const hear = (message) => { if (message?.view === view && message.turn === turn) answered(message.kind); };
  const nextAnswer = (milliseconds) => new Promise((done) => {
    const timer = setTimeout(() => done("nothing"), milliseconds);
    answered = (kind) => { clearTimeout(timer); done(kind); };
  });
  // One message, until Python has it: one that is not answered was lost on its way, or the kernel is at work.
  const deliver = async (parts, buffers, whole, mine) => {
    turn += 1;
    let patience = 2000;
    const ahead = sending - whole;
    const say = () => model.send({ kind: "parts", view, turn, ahead, parts }, undefined, buffers);
    say();
    for (;;) {
      const answer = await nextAnswer(patience);
      if (answer === "heard" || mine !== generation) break;
      if (answer === "lost") { say(); continue; }
      silent = true;
      show();
      patience = Math.min(patience * 2, 30000);
      model.send({ kind: "look", view, turn });
    }
    if (mine === generation) silent = false;
  };
  const sendAll = async (files, mine) => {
    const limits = model.get("limits");
    let parts = [], buffers = [], bytes = 0, whole = 0;
    const flush = async () => {
      if (parts.length) await deliver(parts, buffers, whole, mine);
      if (mine !== generation) return;
      sending -= whole;
      parts = []; buffers = []; bytes = 0; whole = 0;
      show();
    };
    for (const file of files) {
      const id = number++;
      let offset = 0;
      do {
        if (bytes >= limits.bytes || parts.length >= limits.parts) await flush();
        if (mine !== generation) return;
        const data = await file.slice(offset, offset + limits.bytes - bytes).arrayBuffer();
        if (!data.byteLength && offset < file.size) throw new Error("a file that ends early");
        parts.push({ id, name: file.name, size: file.size, offset });
        buffers.push(data);
        bytes += data.byteLength;
        offset += data.byteLength;
      } while (offset < file.size);
      whole += 1;
    }
    await flush();
  };
  let queue = Promise.resolve();
  const stop = (why) => {
    generation += 1;
    sending = 0;
    silent = false;
    trouble = why;
    model.send({ kind: "clear" });
    show();
  };
  const failed = () => stop("The browser could not read that: name the paths below instead.");
  const send = (files) => {
    if (model.get("refused")) return;
    const mine = generation;
    trouble = "";
    sending += files.length;
    model.send({ kind: "ahead", view, ahead: sending });
    show();
    queue = queue.then(() => (mine === generation ? sendAll(files, mine) : undefined))
      .catch(() => { if (mine === generation) failed(); });
  };
  choose.addEventListener("click", () => input.click());
  forget.addEventListener("click", () => stop(""));
  input.addEventListener("change", () => {
    send([...input.files]);
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
    (entries.length ? filesOf(entries, model.get("limits").files) : Promise.resolve(files)).then(send).catch(failed);
  });
  const refused = () => {
    if (model.get("refused")) { generation += 1; sending = 0; silent = false; }
    show();
  };
  model.on("change:received", show);
  model.on("change:refused", refused);
  model.on("msg:custom", hear);
  show();
  return () => {
    generation += 1;
    model.off("change:received", show);
    model.off("change:refused", refused);
    model.off("msg:custom", hear);
  };
}

export default { render };
