// A box for a password. What is typed goes to Python by messages and is no part of the widget's state, so nothing
// that saves states can save it.
function render({ model, el }) {
  const row = document.createElement("label");
  row.className = "cc-password";
  const name = document.createElement("span");
  name.textContent = model.get("label");
  const box = document.createElement("input");
  box.type = "password";
  box.autocomplete = "off";
  box.spellcheck = false;
  box.setAttribute("aria-label", model.get("label"));
  row.append(name, box);
  el.append(row);
  const heard = (message) => { if (message.kind === "clear") box.value = ""; };
  box.addEventListener("input", () => model.send({ kind: "typed", text: box.value }));
  model.on("msg:custom", heard);
  return () => model.off("msg:custom", heard);
}

export default { render };
