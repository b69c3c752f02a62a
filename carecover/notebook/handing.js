// A button that has Python make a file, and gives it to the browser to keep. Nothing is made before the click.
function render({ model, el }) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "jupyter-button widget-button lm-Widget";
  const told = document.createElement("span");
  told.className = "cc-told";
  told.setAttribute("role", "status");
  const row = document.createElement("div");
  row.className = "cc-hand-out";
  row.append(button, told);
  el.append(row);
  const show = () => {
    button.textContent = model.get("label");
    row.hidden = !model.get("label");
  };
  const heard = (message, buffers) => {
    if (message.kind !== "file") { told.textContent = message.said; return; }
    const address = URL.createObjectURL(new Blob([buffers[0]], { type: "application/octet-stream" }));
    const link = document.createElement("a");
    link.href = address;
    link.download = message.name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 60_000);
    told.textContent = `SHA-256 ${message.sha256}`;
    row.dataset.sha256 = message.sha256;
  };
  button.addEventListener("click", () => { told.textContent = "…"; model.send({ kind: "fetch" }); });
  model.on("change:label", show);
  model.on("msg:custom", heard);
  show();
  return () => { model.off("change:label", show); model.off("msg:custom", heard); };
}

export default { render };
