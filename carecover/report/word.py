"""The report as a Word document: styles, repeated header rows and alternative texts, for people who go on writing."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Sequence
from typing import Any, Final

import docx
import vl_convert
from docx.enum.section import WD_ORIENT
from docx.enum.style import WD_STYLE_TYPE
from docx.enum.text import WD_ALIGN_PARAGRAPH
from docx.opc.constants import RELATIONSHIP_TYPE as RT
from docx.opc.packuri import PackURI
from docx.opc.part import Part
from docx.oxml import OxmlElement, parse_xml
from docx.oxml.ns import nsmap, qn
from docx.shared import Mm, Pt, RGBColor

from carecover.report.document import (
    Block,
    Document,
    Items,
    Kind,
    OpenField,
    Paragraph,
    Picture,
    Table,
    Terms,
    Tiles,
    Tone,
)
from carecover.report.layout import arranged, numbers
from carecover.report.sheets import zipped
from carecover.report.texts import Words
from carecover.report.timeline import svg

_WIDTH: Final = 180.0
"""Millimetres between the margins of an A4 page."""
_TONES: Final[dict[Tone, str]] = {"good": "1E6B3C", "warning": "7A5200", "bad": "A3290F"}
_SHADES: Final[dict[Tone, str]] = {"good": "E9F5ED", "warning": "FDF5E1", "bad": "FCECE7"}
_QUIET: Final = RGBColor(0x58, 0x65, 0x6F)
_MONO: Final = ("serial", "digest")
_PIXELS_SCALE: Final = 2.5
# Fonts that every system has, or has one of the same widths for: the columns are measured for them.
_FONT: Final = "Arial"
_MONO_ID: Final = "CarecoverMono"
_MONO_FONT: Final = "Courier New"
_SVG: Final = "http://schemas.microsoft.com/office/drawing/2016/SVG/main"


def render_docx(document: Document) -> bytes:
    """The Word file; equal documents give equal bytes where the same fonts draw the picture.

    The picture is an SVG, as Word keeps one: with a PNG beside it for programs that read none. Its description is the
    alternative text.
    """
    out = docx.Document()
    _prepare(out, document)
    out.add_paragraph(document.title, "Carecover Kind")
    out.add_heading(document.ca_name, 0)
    out.add_paragraph(document.subtitle, "Subtitle")
    _paragraph(out, document.status)
    for number, section in enumerate(document.sections):
        out.add_heading(section.title, 1)
        for block in section.blocks:
            _block(out, block, document)
        if number == 0:
            # The summary is a page by itself.
            out.add_heading(document.interface["about"], 1).paragraph_format.page_break_before = True
            _terms(out, document.head)
    out.add_paragraph(document.footer, "Carecover Quiet")
    return _settled(out)


def _prepare(out: Any, document: Document) -> None:  # noqa: ANN401 - python-docx has no types
    """Page, styles and properties; nothing of this machine or of python-docx's template stays."""
    page = out.sections[0]
    page.orientation = WD_ORIENT.PORTRAIT
    page.page_width, page.page_height = Mm(210), Mm(297)
    page.left_margin = page.right_margin = Mm(15)
    page.top_margin, page.bottom_margin = Mm(17), Mm(18)
    styles = out.styles
    normal = styles["Normal"]
    normal.font.name, normal.font.size = _FONT, Pt(10)
    normal.element.get_or_add_rPr().append(_element("w:lang", val=document.language))
    for name, size in (("Title", 22), ("Heading 1", 15), ("Heading 2", 12), ("Heading 3", 10.5), ("Subtitle", 11)):
        style = styles[name]
        style.font.name, style.font.size, style.font.color.rgb = _FONT, Pt(size), RGBColor(0x1D, 0x27, 0x30)
        fonts = style.element.get_or_add_rPr().find(qn("w:rFonts"))
        for theme in ("asciiTheme", "hAnsiTheme", "eastAsiaTheme", "cstheme"):
            fonts.attrib.pop(qn(f"w:{theme}"), None)
    styles["Subtitle"].font.italic = False
    for name, pt, colour, bold in (
        ("Carecover Quiet", 9, _QUIET, False),
        ("Carecover Kind", 9, _QUIET, True),
        ("Carecover Cell", 7.5, None, False),
        ("Carecover Detail", 7, _QUIET, False),
        ("Carecover Note", 10, None, True),
    ):
        style = styles.add_style(name, WD_STYLE_TYPE.PARAGRAPH)
        style.base_style, style.font.size, style.font.bold = normal, Pt(pt), bold
        if colour is not None:
            style.font.color.rgb = colour
    for name in ("Carecover Cell", "Carecover Detail"):
        styles[name].paragraph_format.space_after = Pt(1)
    mono = styles.add_style("Carecover Mono", WD_STYLE_TYPE.CHARACTER)
    mono.font.name, mono.font.size = _MONO_FONT, Pt(6)
    styles["Caption"].font.color.rgb, styles["Caption"].font.size = RGBColor(0x1D, 0x27, 0x30), Pt(10)
    styles["Caption"].paragraph_format.keep_with_next = True
    about = out.core_properties
    made = document.made_at.replace(tzinfo=None, microsecond=0)
    about.author, about.last_modified_by, about.comments, about.keywords = (
        "carecover",
        "carecover",
        "",
        document.anchors,
    )
    about.title, about.subject, about.category = document.title, document.ca_name, ""
    about.created = about.modified = made
    about.revision, about.language = 1, document.language
    foot = page.footer.paragraphs[0]
    foot.style = styles["Carecover Quiet"]
    foot.add_run(f"{document.title} · {document.ca_name} · {document.interface['page']} ")
    _field(foot, "PAGE")
    foot.add_run(f" {document.interface['of']} ")
    _field(foot, "NUMPAGES")


def _block(out: Any, block: Block, document: Document) -> None:  # noqa: ANN401
    match block:
        case Paragraph():
            _paragraph(out, block)
        case Items(texts, title):
            if title:
                out.add_heading(title, 3)
            for text in texts:
                out.add_paragraph(text, "List Bullet")
        case Terms():
            _terms(out, block)
        case Tiles(figures):
            for number, text, _ in figures:
                line = out.add_paragraph(style="List Bullet")
                line.add_run(number).bold = True
                line.add_run(f" {text}")
        case Picture(timeline, caption):
            drawing = svg(timeline)
            png = vl_convert.svg_to_png(drawing, scale=_PIXELS_SCALE)
            line = out.add_paragraph()
            line.paragraph_format.keep_with_next = True
            shape = line.add_run().add_picture(io.BytesIO(png), width=Mm(_WIDTH))
            _as_vector(out, shape, drawing)
            told = shape._inline.docPr
            told.set("descr", timeline.description)
            told.set("name", document.interface["picture"])
            out.add_paragraph(caption, "Carecover Quiet")
        case OpenField(title, prompt, texts):
            out.add_heading(title, 3)
            for text in texts:
                out.add_paragraph(text)
            if not texts:
                out.add_paragraph(f"[{document.interface['open_field']}: {prompt}]", "Carecover Quiet")
        case Table():
            _table(out, block, document)


def _as_vector(out: Any, shape: Any, drawing: str) -> None:  # noqa: ANN401
    """Put the drawing itself beside its PNG; MS-ODRAWXML 2.3.1.2 (svgBlip) says how, Word 2016 and later show it."""
    part = Part(PackURI("/word/media/figure1.svg"), "image/svg+xml", drawing.encode("utf-8"), out.part.package)
    blip = shape._inline.graphic.graphicData.pic.blipFill.blip
    blip.append(
        parse_xml(
            f'<a:extLst xmlns:a="{nsmap["a"]}"><a:ext uri="{{96DAC541-7B7A-43D3-8B79-37D633B846F1}}">'
            f'<asvg:svgBlip xmlns:asvg="{_SVG}" xmlns:r="{nsmap["r"]}" r:embed="{out.part.relate_to(part, RT.IMAGE)}"/>'
            "</a:ext></a:extLst>"
        )
    )


def _paragraph(out: Any, block: Paragraph) -> None:  # noqa: ANN401
    if block.tone == "plain":
        out.add_paragraph(block.text)
    elif block.tone == "quiet":
        out.add_paragraph(block.text, "Carecover Quiet")
    else:
        line = out.add_paragraph(style="Carecover Note")
        line.add_run(block.text).font.color.rgb = RGBColor.from_string(_TONES[block.tone])
        line.paragraph_format.element.get_or_add_pPr().append(
            _element("w:shd", val="clear", color="auto", fill=_SHADES[block.tone])
        )


def _terms(out: Any, terms: Terms) -> None:  # noqa: ANN401
    sheet = out.add_table(len(terms.rows), 2)
    _fit(sheet, (0.28 * _WIDTH, 0.72 * _WIDTH))
    for row, (name, value, kind) in zip(sheet.rows, terms.rows, strict=True):
        _write(row.cells[0], name, "text", "Carecover Detail")
        _write(row.cells[1], value, kind, "Carecover Cell")
    out.add_paragraph("", "Carecover Detail")


def _table(out: Any, table: Table, document: Document) -> None:  # noqa: ANN401
    source = f", {document.interface['table']} {table.source}" if table.source else ""
    caption = out.add_paragraph(table.caption, "Caption")
    caption.add_run(f" ({Words(document.language).number(table.total)}{source})").bold = False
    shown = arranged(table, document.interface["notes"])
    sheet = out.add_table(1 + len(shown.rows) + sum(bool(row.below) for row in shown.rows), len(shown.columns))
    sheet.style = "Table Grid"
    _borders(sheet)
    _fit(sheet, [share * _WIDTH for share in shown.shares])
    rows = iter(sheet.rows)
    head = next(rows)
    head._tr.get_or_add_trPr().append(_element("w:tblHeader"))
    for cell, column in zip(head.cells, shown.columns, strict=True):
        _write(cell, column.title, "text", "Carecover Cell", bold=True, right=column.kind == "number")
    for told in shown.rows:
        row = next(rows)
        row._tr.get_or_add_trPr().append(_element("w:cantSplit"))
        cells = (*told.cells, numbers(told)) if shown.notes else told.cells
        for cell, column, text in zip(row.cells, shown.columns, cells, strict=True):
            _write(cell, text, column.kind, "Carecover Cell", right=column.kind == "number")
            if told.below:
                cell.paragraphs[0].paragraph_format.keep_with_next = True
        if told.below:
            row = next(rows)
            row._tr.get_or_add_trPr().append(_element("w:cantSplit"))
            cell = row.cells[0].merge(row.cells[-1]) if len(shown.columns) > 1 else row.cells[0]
            line = cell.paragraphs[0]
            _styled(line, "Carecover Detail")
            for place, (column, text) in enumerate(told.below):
                line.add_run(("   " if place else "") + f"{column.title} ").bold = True
                line.add_run(text)
    for place, (column, text) in enumerate(shown.notes, start=1):
        line = out.add_paragraph(f"{place}  ", "Carecover Detail")
        line.add_run(f"{column.title} ").bold = True
        line.add_run(text)
    if table.note:
        out.add_paragraph(table.note, "Carecover Quiet")
    else:
        # Something must stand between two tables, or Word makes one of them.
        out.add_paragraph("", "Carecover Detail")


def _fit(sheet: Any, widths: Sequence[float]) -> None:  # noqa: ANN401
    sheet.autofit = False
    for column, width in zip(sheet.columns, widths, strict=True):
        column.width = Mm(width)
        for cell in column.cells:
            cell.width = Mm(width)


def _borders(sheet: Any) -> None:  # noqa: ANN401
    """Hair lines between rows only, as on the page, and no more room in the cells than there."""
    lines = OxmlElement("w:tblBorders")
    for side in ("top", "bottom", "insideH"):
        lines.append(_element(f"w:{side}", val="single", sz="4", space="0", color="D9DFE4"))
    for side in ("left", "right", "insideV"):
        lines.append(_element(f"w:{side}", val="nil"))
    sheet._tbl.tblPr.append(lines)
    room = OxmlElement("w:tblCellMar")
    for side, twips in (("left", "0"), ("right", "70")):
        room.append(_element(f"w:{side}", w=twips, type="dxa"))
    sheet._tbl.tblPr.append(room)


def _write(cell: Any, text: str, kind: Kind, style: str, *, bold: bool = False, right: bool = False) -> None:  # noqa: ANN401
    line = cell.paragraphs[0]
    _styled(line, style)
    run = line.add_run(text)
    if kind in _MONO:
        run._r.style = _MONO_ID
    if bold:
        run.bold = True
    if right:
        line.alignment = WD_ALIGN_PARAGRAPH.RIGHT
        line.paragraph_format.right_indent = Mm(2)


def _styled(line: Any, style: str) -> None:  # noqa: ANN401
    """Give a paragraph one of our styles by its identifier: looking it up by name reads all styles, for each cell."""
    line._p.style = style.replace(" ", "")


def _element(tag: str, **attributes: str) -> Any:  # noqa: ANN401
    made = OxmlElement(tag)
    for name, value in attributes.items():
        made.set(qn(f"w:{name}"), value)
    return made


def _field(line: Any, code: str) -> None:  # noqa: ANN401
    """A field that Word fills in by itself: the page's number, or how many there are."""
    for kind in ("begin", None, "end"):
        run = line.add_run()._r
        if kind is None:
            told = OxmlElement("w:instrText")
            told.text = code
            run.append(told)
        else:
            run.append(_element("w:fldChar", fldCharType=kind))


def _settled(out: Any) -> bytes:  # noqa: ANN401
    """The file with the parts in one order and without times of this machine; the template's thumbnail is left out."""
    target = io.BytesIO()
    out.save(target)
    with zipfile.ZipFile(target) as archive:
        files = {name: archive.read(name) for name in sorted(archive.namelist())}
    thumbnail = files.pop("docProps/thumbnail.jpeg", None)
    if thumbnail is not None:
        relations = files["_rels/.rels"].decode("utf-8")
        files["_rels/.rels"] = re.sub(r"<Relationship [^>]*thumbnail[^>]*/>", "", relations).encode("utf-8")
    first = {name: files.pop(name) for name in ("[Content_Types].xml", "_rels/.rels")}
    return zipped({**first, **files})
