// The review grid. Python holds the truth: this shows what it is sent, and sends {ids, patch} back; a row changes only
// when Python's answer says so. Nothing is kept in the widget's state, so nothing gets into the saved notebook.
import {
  CellStyleModule,
  ClientSideRowModelApiModule,
  ClientSideRowModelModule,
  ExternalFilterModule,
  LocaleModule,
  QuickFilterModule,
  RowApiModule,
  RowSelectionModule,
  RowStyleModule,
  ScrollApiModule,
  TooltipModule,
  createGrid,
  themeQuartz,
} from "ag-grid-community";

const MODULES = [
  CellStyleModule, ClientSideRowModelApiModule, ClientSideRowModelModule, ExternalFilterModule, LocaleModule,
  QuickFilterModule, RowApiModule, RowSelectionModule, RowStyleModule, ScrollApiModule, TooltipModule,
];

// JupyterLab's own colours: so light and dark both fit, and a change of theme needs nothing from here.
const THEME = themeQuartz.withParams({
  accentColor: "var(--jp-brand-color1, #1f6fb2)",
  backgroundColor: "var(--jp-layout-color0, Canvas)",
  foregroundColor: "var(--jp-ui-font-color1, CanvasText)",
  borderColor: "var(--jp-border-color2, #8886)",
  headerBackgroundColor: "var(--jp-layout-color1, #8881)",
  headerTextColor: "var(--jp-ui-font-color2, CanvasText)",
  oddRowBackgroundColor: "transparent",
  rowHoverColor: "color-mix(in srgb, var(--jp-brand-color1, #1f6fb2) 8%, transparent)",
  selectedRowBackgroundColor: "color-mix(in srgb, var(--jp-brand-color1, #1f6fb2) 15%, transparent)",
  browserColorScheme: "inherit",
  fontFamily: "inherit",
  fontSize: 13,
  headerFontSize: 12,
  headerFontWeight: 600,
  spacing: 5,
  rowHeight: 30,
  headerHeight: 32,
  wrapperBorderRadius: 4,
  borderRadius: 3,
});

const GROUPS = [
  ["action", "Decision"],
  ["kind", "Kind"],
  ["confidence", "Confidence"],
];
const FLAGS = [
  ["infrastructure", "infrastructure"],
  ["replace_first", "replace first"],
  ["suggestion", "with a suggestion"],
];
const TONES = { revoke: "bad", restore: "good", unrevoke: "good", leave: "plain", undecided: "quiet" };
const CONFIDENCE = { high: "good", medium: "warning", low: "bad" };
const MANY = 2000;
const number = new Intl.NumberFormat("en");
const count = (n, one, many) => `${number.format(n)} ${n === 1 ? one : many}`;

let made = 0;

function node(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") element.textContent = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

function field(label, control, className = "") {
  const id = `ccg-${(made += 1)}`;
  control.id = id;
  return node("div", { class: `ccg-field ${className}` }, node("label", { for: id, text: label }), control);
}

const pill = (text, tone) => node("span", { class: `ccg-pill ${tone}`, text });
/** A name of the tables as people write it; Python's `spaced` says the same. */
const spaced = (name) => (name ?? "").replaceAll("_", " ").replace(/\b(?:ca|crl|csv|id|ocsp)\b/g, (word) => word.toUpperCase());

function decision({ data }) {
  if (!data) return "";
  if (data.action !== "undecided") return pill(data.decision, TONES[data.action] ?? "plain");
  const cell = node("span", { class: "ccg-quiet" });
  cell.textContent = data.suggestion ? `(${data.suggestion}?)` : "undecided";
  return cell;
}

/** The common name where there is one; all of it stands in the tip and beside the table. */
const short = ({ value }) => /(?:^|,\s*)CN=((?:\\.|[^,\\])+)/i.exec(value ?? "")?.[1] ?? value ?? "";

const COLUMNS = [
  { field: "decision", headerName: "Decision", width: 200, cellRenderer: decision,
    tooltipValueGetter: ({ data }) => data?.decision || data?.suggestion || null,
    comparator: (a, b, x, y) => (x.data.decision || `~${x.data.suggestion ?? ""}`)
      .localeCompare(y.data.decision || `~${y.data.suggestion ?? ""}`) },
  { field: "kind", headerName: "Kind", width: 130, valueFormatter: ({ value }) => spaced(value) },
  { field: "subject", headerName: "Subject", flex: 2, minWidth: 170, cellClass: "ccg-text", tooltipField: "subject",
    valueFormatter: short },
  { field: "serial", headerName: "Serial number", flex: 1, minWidth: 150, cellClass: "ccg-code", tooltipField: "serial" },
  { field: "template", headerName: "Template", width: 140, cellClass: "ccg-text", tooltipField: "template" },
  { field: "confidence", headerName: "Confidence", width: 110,
    cellRenderer: ({ value }) => (value ? pill(value, CONFIDENCE[value] ?? "plain") : "") },
  { field: "issued", headerName: "Issued (UTC)", width: 140, cellClass: "ccg-figure" },
  { field: "ends", headerName: "Valid until", width: 140, cellClass: "ccg-figure" },
  { field: "requester", headerName: "Requester", width: 150, cellClass: "ccg-text", tooltipField: "requester" },
  { field: "note", headerName: "Note", width: 170, cellClass: "ccg-text", tooltipField: "note" },
  { field: "by", headerName: "Decided by", width: 130, cellClass: "ccg-text" },
];

function read(buffer) {
  const view = buffer instanceof DataView ? buffer : new DataView(buffer.buffer ?? buffer);
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  return JSON.parse(new TextDecoder().decode(bytes));
}

/** Keys of JupyterLab's command mode delete and cut the cell that the grid stands in: none of them may get out. */
function guard(root) {
  root.tabIndex = -1;
  const mark = (event) => event.target.setAttribute?.("data-lm-suppress-shortcuts", "true");
  root.addEventListener("focusin", mark);
  root.addEventListener("keydown", (event) => event.stopPropagation());
  root.addEventListener("contextmenu", (event) => event.stopPropagation());
  root.addEventListener("pointerup", () => setTimeout(() => {
    if (!root.contains(document.activeElement)) root.focus({ preventScroll: true });
  }));
}

function render({ model, el }) {
  const shown = { set: null, rev: 0, rows: [], byId: new Map(), chips: new Map(), busy: false, detail: null, first: true };
  const root = node("div", { class: "ccg", role: "group", "aria-label": "Review of the findings" });
  guard(root);

  // ------------------------------------------------------------------ filters
  const search = node("input", { type: "search", placeholder: "serial, subject, requester, template …",
    "aria-label": "Search in the findings" });
  let typing;
  search.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => grid.setGridOption("quickFilterText", search.value.trim()), 150);
  });
  const chips = node("div", { class: "ccg-chips" });
  const clear = node("button", { type: "button", class: "ccg-link", text: "Clear filters", onclick: () => {
    shown.chips.clear();
    search.value = "";
    grid.setGridOption("quickFilterText", "");
    drawChips();
    grid.onFilterChanged();
  } });
  const bar = node("div", { class: "ccg-bar", role: "search" }, search, chips, clear);

  const chosen = (group) => shown.chips.get(group) ?? new Set();
  const active = () => [...shown.chips.values()].some((set) => set.size);

  function passes(data) {
    for (const [group] of GROUPS) {
      const wanted = chosen(group);
      if (wanted.size && !wanted.has(data[group])) return false;
    }
    for (const flag of chosen("flags")) if (!data[flag]) return false;
    return true;
  }

  function chip(group, value, label, n) {
    const on = chosen(group).has(value);
    return node("button", { type: "button", class: "ccg-chip", "aria-pressed": String(on), "data-chip": `${group}:${value}`,
      onclick: () => {
        const set = chosen(group);
        if (!set.delete(value)) set.add(value);
        shown.chips.set(group, set);
        drawChips();
        grid.onFilterChanged();
        chips.querySelector(`[data-chip="${CSS.escape(`${group}:${value}`)}"]`)?.focus();
      } }, label, node("b", { text: number.format(n) }));
  }

  function drawChips() {
    const groups = GROUPS.map(([group, label]) => {
      const counts = new Map();
      for (const row of shown.rows) counts.set(row[group], (counts.get(row[group]) ?? 0) + 1);
      for (const value of chosen(group)) if (!counts.has(value)) counts.set(value, 0);
      const values = [...counts].filter(([value]) => value).sort((a, b) => b[1] - a[1]);
      return node("div", { class: "ccg-group", role: "group", "aria-label": label }, node("span", { text: label }),
        ...values.map(([value, n]) => chip(group, value, spaced(value), n)));
    });
    const flags = FLAGS.map(([flag, label]) => [flag, label, shown.rows.reduce((n, row) => n + Boolean(row[flag]), 0)])
      .filter(([flag, , n]) => n || chosen("flags").has(flag));
    if (flags.length) {
      groups.push(node("div", { class: "ccg-group", role: "group", "aria-label": "Marks" }, node("span", { text: "Marks" }),
        ...flags.map(([flag, label, n]) => chip("flags", flag, label, n))));
    }
    chips.replaceChildren(...groups);
    clear.hidden = !active() && !search.value;
  }

  // ------------------------------------------------------------------ the grid and what is known about one row
  const table = node("div", { class: "ccg-table" });
  const aside = node("aside", { class: "ccg-aside", "aria-label": "What is known about the chosen finding", tabindex: "0" });
  const hint = "Choose a row: what a revocation would hit, and the evidence, are shown here.";
  aside.append(node("p", { class: "ccg-quiet", text: hint }));

  const grid = createGrid(table, {
    theme: THEME,
    columnDefs: COLUMNS,
    defaultColDef: { sortable: true, resizable: true, suppressHeaderMenuButton: true },
    rowData: [],
    getRowId: ({ data }) => String(data.id),
    selectionColumnDef: { width: 44, pinned: "left" },
    cacheQuickFilter: true,
    getRowClass: ({ data }) => (data?.infrastructure ? "ccg-infrastructure" : undefined),
    isExternalFilterPresent: active,
    doesExternalFilterPass: ({ data }) => passes(data),
    onFilterChanged: hideNothingSelected,
    onSelectionChanged: drawState,
    onCellFocused: ({ rowIndex }) => {
      const row = rowIndex === null ? null : grid.getDisplayedRowAtIndex(rowIndex);
      if (row?.data) ask(row.data.id);
    },
    overlayNoRowsTemplate: '<span class="ccg-quiet">Nothing matches.</span>',
    tooltipShowDelay: 600,
    suppressDragLeaveHidesColumns: true,
    animateRows: false,
  }, { modules: MODULES });

  /** Nobody decides about what is not in sight: a row that the filter hides is not selected any more. */
  function hideNothingSelected() {
    const hidden = grid.getSelectedNodes().filter((row) => !row.displayed);
    if (hidden.length) grid.setNodesSelected({ nodes: hidden, newValue: false });
    drawState();
  }

  let asking;
  function ask(id) {
    if (shown.detail === id) return;
    shown.detail = id;
    clearTimeout(asking);
    asking = setTimeout(() => model.send({ type: "detail", set: shown.set, id }), 60);
  }

  // ------------------------------------------------------------------ the act
  const action = node("select", { onchange: drawForm });
  const reason = node("select", { onchange: drawForm });
  const meaning = node("p", { class: "ccg-meaning", role: "note" });
  const note = node("input", { type: "text", maxlength: "1000", placeholder: "why, in a sentence" });
  const by = node("input", { type: "text", maxlength: "100", placeholder: "stands under the decision", autocomplete: "off" });
  const decide = node("button", { type: "button", class: "ccg-main", onclick: () => act(action.value) });
  const suggest = node("button", { type: "button", text: "Take the suggestions", onclick: () => act("suggested"),
    title: "Decide each of the selected rows as it is suggested in brackets" });
  const undo = node("button", { type: "button", text: "Undo", onclick: () => send({ type: "undo", by: by.value }),
    title: "Take the last decision back: each row gets what stood there before" });
  const every = node("button", { type: "button", class: "ccg-link", text: "Select all shown",
    onclick: () => grid.selectAll("filtered") });
  const none = node("button", { type: "button", class: "ccg-link", text: "Select none", onclick: () => grid.deselectAll() });
  const selected = node("b", { class: "ccg-selected" });
  const reasonField = field("Reason", reason, "ccg-reason");
  const form = node("div", { class: "ccg-form", role: "group", "aria-label": "Decide about what is selected" },
    node("div", { class: "ccg-choice" }, selected, every, none),
    node("div", { class: "ccg-fields" }, field("Action", action, "ccg-wide"), reasonField, field("Note", note, "ccg-grow"),
      field("Your name", by)),
    meaning,
    node("div", { class: "ccg-buttons" }, decide, suggest, undo));
  const status = node("div", { class: "ccg-status", role: "status" });
  const said = node("div", { class: "ccg-said", "aria-live": "polite" });

  function act(what) {
    const ids = grid.getSelectedNodes().map((row) => row.data.id);
    if (!ids.length) return say("Nothing is selected: select rows in the table first.", "bad");
    const patch = { action: what, note: note.value };
    if (what === "revoke" && reason.value !== "") patch.reason = Number(reason.value);
    return send({ type: "act", ids, patch, by: by.value });
  }

  function send(message) {
    if (shown.busy) return;
    shown.busy = true;
    say("Working …", "plain");
    drawState();
    model.send({ ...message, set: shown.set });
  }

  function say(text, tone) {
    said.className = `ccg-said ${tone}`;
    said.setAttribute("role", tone === "bad" ? "alert" : "status");
    said.replaceChildren(...text.split("\n").filter(Boolean).map((line) => node("div", { text: line })));
  }

  function drawForm() {
    const revoking = action.value === "revoke";
    reasonField.hidden = !revoking;
    const option = revoking ? reason.selectedOptions[0] : action.selectedOptions[0];
    meaning.textContent = option?.dataset.meaning ?? "";
    meaning.classList.toggle("warning", Boolean(revoking && option?.dataset.final));
    drawState();
  }

  function drawState() {
    const n = grid.getSelectedNodes().length;
    const inSight = grid.getDisplayedRowCount();
    const open = shown.rows.reduce((sum, row) => sum + (row.action === "undecided"), 0);
    selected.textContent = `${number.format(n)} selected`;
    decide.textContent = n ? `Decide about ${number.format(n)}` : "Decide";
    decide.disabled = shown.busy || !n || !action.value || (action.value === "revoke" && reason.value === "");
    suggest.disabled = shown.busy || !n;
    undo.disabled = shown.busy || !shown.undo;
    every.disabled = !inSight;
    none.disabled = !n;
    clear.hidden = !active() && !search.value;
    status.textContent = [
      shown.browse ? count(shown.rows.length, "finding", "findings") : count(shown.rows.length, "certificate", "certificates"),
      ...(inSight === shown.rows.length ? [] : [`${number.format(inSight)} shown`]),
      ...(shown.browse ? [] : [`${number.format(open)} not decided yet`, `${number.format(n)} selected`]),
    ].join("  ·  ");
    root.dataset.selected = String(n);
    root.dataset.shown = String(inSight);
    root.dataset.busy = String(shown.busy);
  }

  /** Where there is nothing to decide there is nothing to tick, and no form. */
  function browse(on) {
    if (shown.browse === on) return;
    shown.browse = on;
    form.hidden = on;
    root.setAttribute("aria-label", on ? "The findings" : "Review of the findings");
    grid.setGridOption("rowSelection", on
      ? { mode: "singleRow", checkboxes: false, enableClickSelection: true }
      : { mode: "multiRow", selectAll: "filtered", enableClickSelection: true, headerCheckbox: true });
  }

  function options(select, first, items) {
    const kept = select.value;
    select.replaceChildren(node("option", { value: "", text: first }), ...items.map(([value, text, told, final]) =>
      node("option", { value, text, "data-meaning": told ?? "", "data-final": final ? "1" : null })));
    if (items.some(([value]) => String(value) === kept)) select.value = kept;
  }

  // ------------------------------------------------------------------ what Python says
  const heard = {
    rows(message, [buffer]) {
      const columns = read(buffer);
      const names = Object.keys(columns);
      const rows = new Array(message.count);
      for (let id = 0; id < message.count; id += 1) {
        const row = { id };
        for (const name of names) row[name] = columns[name][id];
        rows[id] = row;
      }
      const same = shown.set === message.set;
      const kept = same ? grid.getSelectedNodes().map((row) => row.data.id) : [];
      Object.assign(shown, { set: message.set, rows, undo: message.undo });
      if (!same) {
        shown.detail = null;
        aside.replaceChildren(node("p", { class: "ccg-quiet", text: hint }));
      }
      browse(message.browse);
      options(action, "choose …", message.actions);
      options(reason, "choose …", message.reasons);
      grid.setGridOption("rowData", rows);
      if (kept.length) {
        const nodes = kept.map((id) => grid.getRowNode(String(id))).filter(Boolean);
        grid.setNodesSelected({ nodes, newValue: true });
      }
    },
    changed(message, [buffer]) {
      if (message.set !== shown.set) return;
      const { ids, ...columns } = read(buffer);
      const changed = ids.map((id, at) => {
        const row = { ...shown.rows[id] };
        for (const name of Object.keys(columns)) row[name] = columns[name][at];
        shown.rows[id] = row;
        return row;
      });
      shown.undo = message.undo;
      // Many rows are taken over sooner all at once.
      if (changed.length > MANY) grid.setGridOption("rowData", [...shown.rows]);
      else grid.applyTransaction({ update: changed });
    },
    said(message) {
      say(message.text, message.tone);
    },
    done(message) {
      shown.busy = false;
      if (message.ok) {
        note.value = "";
        grid.deselectAll();
      }
    },
    detail(message) {
      if (message.set !== shown.set || message.id !== shown.detail) return;
      const parts = [node("div")];
      // Made and escaped by Python, from its own markup only.
      parts[0].innerHTML = message.html;
      if (message.places.length) {
        const choice = node("select", { onchange: () => model.send(
          { type: "detail", set: shown.set, id: message.id, piece: Number(choice.value) }) });
        message.places.forEach((place, at) => choice.append(node("option", { value: String(at), text: place })));
        choice.value = String(message.piece);
        parts.push(field("Evidence", choice), node("div"));
        parts[2].innerHTML = message.evidence;
      }
      const top = message.piece ? aside.scrollTop : 0;
      aside.replaceChildren(...parts);
      aside.scrollTop = top;
    },
  };

  function hear(message, buffers) {
    heard[message.type]?.(message, buffers ?? []);
    if (message.type === "detail" || message.type === "said") return;
    if (message.rev !== undefined) shown.rev = message.rev;
    drawChips();
    drawForm();
    root.dataset.rev = String(shown.rev);
    root.dataset.ready = "1";
  }

  root.append(bar, node("div", { class: "ccg-body" }, table, aside), status, form, said);
  el.append(root);
  const listen = (message, buffers) => hear(message, buffers);
  model.on("msg:custom", listen);
  model.send({ type: "ready" });
  return () => {
    model.off("msg:custom", listen);
    grid.destroy();
  };
}

export default { render };
