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
  cellHorizontalPadding: 8,
  wrapperBorderRadius: 4,
  borderRadius: 3,
});

// Every chip keeps its place whatever is decided: those of a fixed order are there even where they stand for none.
const GROUPS = [
  ["action", "Decision", ["undecided", "revoke", "restore", "unrevoke", "leave"]],
  ["kind", "Kind", null],
  ["confidence", "Confidence", ["high", "medium", "low"]],
];
const FLAGS = [
  ["infrastructure", "infrastructure"],
  ["replace_first", "replace first"],
  ["suggestion", "with a suggestion"],
];
const TONES = { revoke: "bad", restore: "good", unrevoke: "good", leave: "plain", undecided: "quiet" };
const CONFIDENCE = { high: "good", medium: "warning", low: "bad" };
const MANY = 2000;
// Below this width of the table (pixels) a cell has two lines, and the columns that matter come first.
const NARROW = 720;
const SELECTION = 40;
const SCROLLBAR = 11;
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

/** What many at once never take: each is decided about by itself. Python's `careful` says the same. */
const careful = (row) => row.infrastructure || row.confidence === "low";

/** The action as a badge, its reason beside or below it; a suggestion in brackets. */
function decision({ data }) {
  if (!data) return "";
  if (data.action === "undecided") {
    return node("span", { class: "ccg-quiet ccg-lines", text: data.suggestion ? `(${data.suggestion}?)` : "undecided" });
  }
  const [action, reason] = data.decision.split(", ");
  const cell = node("span", { class: "ccg-two" }, pill(action, TONES[data.action] ?? "plain"));
  if (reason) cell.append(node("span", { class: "ccg-cut", text: reason }));
  return cell;
}

/** The common name where there is one; all of it stands in the tip and in the details. */
const short = (value) => /(?:^|,\s*)CN=((?:\\.|[^,\\])+)/i.exec(value ?? "")?.[1] ?? value ?? "";

/** Who it was issued to; infrastructure is a word, not a colour alone. */
function subject({ data }) {
  if (!data) return "";
  const cell = node("span", { class: "ccg-two" }, node("bdi", { class: "ccg-cut", text: short(data.subject) || "–" }));
  if (data.infrastructure) cell.append(pill("infrastructure", "warning"));
  return cell;
}

/** Both ends of a serial number, which tell one from another; all of it is in the tip, in the details, and copied. */
const ends = ({ value }) => (value?.length > 16 ? `${value.slice(0, 4)}…${value.slice(-6)}` : (value ?? ""));

/** The subject gets what the columns that matter leave of the width: those up to the template, in a narrow table fewer. */
function columns(width) {
  const narrow = width < NARROW;
  const defs = definitions(narrow);
  const others = defs.slice(0, narrow ? 4 : 6).reduce((sum, { width: one }) => sum + (one ?? 0), SELECTION + SCROLLBAR + 2);
  const [least, most] = narrow ? [120, 360] : [180, 420];
  defs[1].width = Math.min(Math.max(width - others, least), most);
  return defs;
}

const definitions = (narrow) => [
  { field: "decision", headerName: "Decision", width: narrow ? 146 : 236, cellRenderer: decision,
    tooltipValueGetter: ({ data }) => data?.decision || data?.suggestion || null,
    comparator: (a, b, x, y) => (x.data.decision || `~${x.data.suggestion ?? ""}`)
      .localeCompare(y.data.decision || `~${y.data.suggestion ?? ""}`) },
  { field: "subject", headerName: "Subject", cellClass: "ccg-text",
    tooltipField: "subject", cellRenderer: subject },
  { field: "serial", headerName: "Serial", width: 100, cellClass: "ccg-code", tooltipField: "serial",
    valueFormatter: ends },
  { field: "confidence", headerName: "Confidence", width: 98,
    cellRenderer: ({ value }) => (value ? pill(value, CONFIDENCE[value] ?? "plain") : "") },
  { field: "kind", headerName: "Kind", width: 121, valueFormatter: ({ value }) => spaced(value) },
  { field: "template", headerName: "Template", width: 122, cellClass: "ccg-text", tooltipField: "template" },
  { field: "issued", headerName: "Issued (UTC)", width: 138, cellClass: "ccg-figure" },
  { field: "ends", headerName: "Valid until", width: 138, cellClass: "ccg-figure" },
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
  const shown = { set: null, rev: 0, rows: [], chips: new Map(), busy: false, detail: null, width: 0, anchor: null };
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
  const clear = node("button", { type: "button", class: "ccg-link ccg-clear", text: "Clear filters", onclick: () => {
    shown.chips.clear();
    search.value = "";
    grid.setGridOption("quickFilterText", "");
    drawChips();
    grid.onFilterChanged();
  } });
  const bar = node("div", { class: "ccg-bar", role: "search" }, search, clear, chips);

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
    const groups = GROUPS.map(([group, label, order]) => {
      const counts = new Map((group === "action" ? order : []).map((value) => [value, 0]));
      for (const row of shown.rows) counts.set(row[group], (counts.get(row[group]) ?? 0) + 1);
      for (const value of chosen(group)) if (!counts.has(value)) counts.set(value, 0);
      const values = [...counts].filter(([value]) => value)
        .sort((a, b) => (order ? order.indexOf(a[0]) - order.indexOf(b[0]) : b[1] - a[1] || (a[0] < b[0] ? -1 : 1)));
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
    drawClear();
  }

  /** Its place is kept: what is below must not move under the mouse. */
  function drawClear() {
    clear.classList.toggle("ccg-away", !active() && !search.value);
  }

  // ------------------------------------------------------------------ the grid and what is known about one row
  const table = node("div", { class: "ccg-table" });
  const aside = node("aside", { class: "ccg-aside", "aria-label": "What is known about the chosen finding", tabindex: "0" });
  const looked = node("style");
  const looksAtNothing = () => {
    shown.detail = null;
    looked.textContent = "";
    aside.replaceChildren(node("p", { class: "ccg-quiet",
      text: "Click a row to look at it: why it is here, what a revocation would hit, and the evidence are shown here." }));
  };
  looksAtNothing();

  const grid = createGrid(table, {
    theme: THEME,
    columnDefs: columns(NARROW),
    defaultColDef: { sortable: true, resizable: true, suppressHeaderMenuButton: true },
    rowData: [],
    getRowId: ({ data }) => String(data.id),
    selectionColumnDef: { width: SELECTION, pinned: "left" },
    scrollbarWidth: SCROLLBAR,
    cacheQuickFilter: true,
    getRowClass: ({ data }) => (data?.infrastructure ? "ccg-infrastructure" : undefined),
    isExternalFilterPresent: active,
    doesExternalFilterPass: ({ data }) => passes(data),
    onFilterChanged: keepInSight,
    onSelectionChanged: drawState,
    onCellClicked: clicked,
    onCellFocused: ({ rowIndex }) => {
      const row = rowIndex === null ? null : grid.getDisplayedRowAtIndex(rowIndex);
      if (row?.data) ask(row.data.id);
    },
    onGridSizeChanged: ({ clientWidth }) => {
      if (!clientWidth || clientWidth === shown.width) return;
      shown.width = clientWidth;
      const narrow = clientWidth < NARROW;
      root.classList.toggle("ccg-narrow", narrow);
      grid.updateGridOptions({ columnDefs: columns(clientWidth), rowHeight: narrow ? 46 : 30 });
    },
    overlayNoRowsTemplate: '<span class="ccg-quiet">Nothing matches.</span>',
    tooltipShowDelay: 600,
    suppressDragLeaveHidesColumns: true,
    animateRows: false,
  }, { modules: MODULES });

  /** Nobody decides about, or reads of, what is not in sight: a row that the filter hides is given up. */
  function keepInSight() {
    const hidden = grid.getSelectedNodes().filter((row) => !row.displayed);
    if (hidden.length) grid.setNodesSelected({ nodes: hidden, newValue: false });
    if (shown.detail !== null && !grid.getRowNode(String(shown.detail))?.displayed) {
      grid.clearFocusedCell();
      looksAtNothing();
    }
    drawState();
  }

  /** A click only looks. With Ctrl it selects, with Shift it selects up to there, beside the box as the box itself. */
  function clicked({ node: row, column, event }) {
    if (shown.browse || event.target.closest?.("input")) return;
    const far = event.shiftKey && shown.anchor !== null ? grid.getRowNode(String(shown.anchor)) : null;
    if (far?.displayed) {
      const [from, to] = [far.rowIndex, row.rowIndex].sort((a, b) => a - b);
      const nodes = [];
      for (let at = from; at <= to; at += 1) nodes.push(grid.getDisplayedRowAtIndex(at));
      grid.setNodesSelected({ nodes, newValue: true });
    } else if (event.shiftKey || event.ctrlKey || event.metaKey || column.getColId() === "ag-Grid-SelectionColumn") {
      row.setSelected(!row.isSelected());
      shown.anchor = row.data.id;
    }
  }

  // Where a range begins: the row whose box was clicked or that the space bar selected. (An event for each row that is
  // selected would be a hundred thousand of them.)
  const begins = ({ target }) => {
    const row = target.closest?.(".ag-row[row-id]");
    if (row) shown.anchor = Number(row.getAttribute("row-id"));
  };
  table.addEventListener("click", (event) => event.target.matches?.("input") && !event.shiftKey && begins(event), true);
  table.addEventListener("keydown", (event) => event.key === " " && begins(event), true);

  /** Copied from a cell is the whole value, also where only its ends are shown. */
  root.addEventListener("copy", (event) => {
    const cell = grid.getFocusedCell();
    if (!cell || !table.contains(document.activeElement) || String(document.getSelection())) return;
    const value = grid.getDisplayedRowAtIndex(cell.rowIndex)?.data?.[cell.column.getColId()];
    if (typeof value !== "string") return;
    event.clipboardData.setData("text/plain", value);
    event.preventDefault();
    event.stopPropagation();
  });

  let asking;
  function ask(id, again = false) {
    if (shown.detail === id && !again) return;
    shown.detail = id;
    looked.textContent = `.ccg-table [row-id="${Number(id)}"] { --ccg-looked: var(--ccg-accent); }`;
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
    node("div", { class: "ccg-fields" }, field("Action", action), reasonField, field("Note", note), field("Your name", by)),
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
    reason.disabled = !revoking;
    if (reason.options.length) reason.options[0].text = revoking ? "choose …" : "only of a revocation";
    const option = revoking && reason.value !== "" ? reason.selectedOptions[0] : action.selectedOptions[0];
    meaning.textContent = option?.dataset.meaning ?? "";
    meaning.classList.toggle("warning", Boolean(revoking && option?.dataset.final));
    drawState();
  }

  function drawState() {
    const nodes = grid.getSelectedNodes();
    const n = nodes.length;
    // One by itself may be anything; many at once never take what is to be looked at one by one.
    const left = n > 1 ? nodes.reduce((sum, { data }) => sum + (careful(data) ? 1 : 0), 0) : 0;
    const marked = left ? nodes.reduce((sum, { data }) => sum + (data.infrastructure ? 1 : 0), 0) : 0;
    const what = [marked && `${number.format(marked)} infrastructure`,
      left > marked && `${number.format(left - marked)} of low confidence`].filter(Boolean).join(", ");
    const inSight = grid.getDisplayedRowCount();
    const open = shown.rows.reduce((sum, row) => sum + (row.action === "undecided"), 0);
    selected.textContent = `${number.format(n)} selected`;
    decide.textContent = n ? `Decide about ${number.format(n - left)}${left ? ` (${what}: one by one)` : ""}` : "Decide";
    decide.disabled = shown.busy || n === left || !action.value || (action.value === "revoke" && reason.value === "");
    suggest.disabled = shown.busy || n === left;
    undo.disabled = shown.busy || !shown.undo;
    every.disabled = !inSight;
    none.disabled = !n;
    drawClear();
    status.textContent = [
      shown.browse ? count(shown.rows.length, "finding", "findings") : `${count(shown.rows.length, "finding", "findings")} to decide about`,
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
    root.classList.toggle("ccg-browse", on);
    root.setAttribute("aria-label", on ? "The findings" : "Review of the findings");
    grid.setGridOption("rowSelection", on
      ? { mode: "singleRow", checkboxes: false, enableClickSelection: true }
      : { mode: "multiRow", selectAll: "filtered", enableClickSelection: false, headerCheckbox: true });
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
        shown.anchor = null;
        looksAtNothing();
      }
      // A few rows need no table of the full height; it is that of the set, so that a filter moves nothing.
      root.style.setProperty("--ccg-rows", String(Math.min(Math.max(rows.length, 6), 14)));
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
      if (ids.includes(shown.detail)) ask(shown.detail, true);
    },
    said(message) {
      say(message.text, message.tone);
    },
    done(message) {
      shown.busy = false;
      if (message.ok) {
        // What is done is chosen anew for the next: a loaded choice is soon pressed once too often.
        note.value = "";
        action.value = "";
        reason.value = "";
        drawForm();
        grid.deselectAll();
      }
    },
    detail(message) {
      if (message.set !== shown.set || message.id !== shown.detail) return;
      // Made and escaped by Python, from its own markup only: why and what it hits, the evidence, then every field.
      const [why, evidence, fields] = ["why", "evidence", "facts"].map((part) => node("div", { class: `ccg-${part}` }));
      why.innerHTML = message.html;
      fields.innerHTML = message.fields;
      if (message.places.length) {
        const choice = node("select", { onchange: () => model.send(
          { type: "detail", set: shown.set, id: message.id, piece: Number(choice.value) }) });
        message.places.forEach((place, at) => choice.append(node("option", { value: String(at), text: place })));
        choice.value = String(message.piece);
        const stands = node("div");
        stands.innerHTML = message.evidence;
        evidence.append(field("Evidence", choice), stands);
      }
      const top = message.piece ? aside.scrollTop : 0;
      aside.replaceChildren(why, evidence, fields);
      aside.scrollTop = top;
    },
  };

  function hear(message, buffers) {
    heard[message.type]?.(message, buffers ?? []);
    if (message.type === "detail" || message.type === "said") return;
    if (message.rev !== undefined) shown.rev = message.rev;
    drawChips();
    drawForm();
    keepInSight();
    root.dataset.rev = String(shown.rev);
    root.dataset.ready = "1";
  }

  root.append(looked, bar, node("div", { class: "ccg-body" }, table, aside), status, form, said);
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
