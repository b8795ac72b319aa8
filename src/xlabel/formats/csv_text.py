"""The text of a CSV table: rows, cells and quotes. RFC 4180, with any of three line ends."""

from collections.abc import Iterator

LONGEST = 1 << 24
"""Characters of a row, in which a mask of many megapixels has room."""
MOST = 10_000
"""Cells of a row; what follows them stays in the last one."""

Row = tuple[int, str, list[str] | None, int]
"""Line, text, cells as they are quoted, and where the text ends.

Cells are None where a quote is astray, where the text is longer than `LONGEST`, and where there are more than
`MOST` in quotes.
"""


def rows(text: str, at: int, end: str, delimiter: str) -> Iterator[Row]:
    """The rows from the offset `at` on. Blank lines belong to the text of the row that follows them."""
    line, start, size = 1, at, len(text)
    while at < size:
        stop = text.find(end, at)
        stop = size if stop < 0 else stop
        bare = text[at : min(stop, at + LONGEST + 1)].rstrip("\r")
        lines = 1
        if bare:
            cells: list[str] | None
            if '"' in bare:
                cells, stop = _quoted(text, at, stop, end, delimiter)
                lines += text.count(end, at, stop)
            else:
                cells = bare.split(delimiter, MOST)
            if stop - at > LONGEST:
                cells = None
            yield line, text[start:stop], cells, stop
            start = stop + len(end)
        line += lines
        at = stop + len(end)


def _quoted(text: str, at: int, stop: int, end: str, delimiter: str) -> tuple[list[str] | None, int]:
    """The cells of the row at `at`, whose line ends at `stop`, and where the row ends."""
    cells: list[str] = []
    line = stop
    while len(cells) <= MOST:
        if text.startswith('"', at):
            close = text.find('"', at + 1)
            while close >= 0 and text.startswith('"', close + 1):
                close = text.find('"', close + 2)
            if close < 0:
                return None, line
            cut = close + 1
            if cut > stop:
                stop = text.find(end, cut)
                stop = len(text) if stop < 0 else stop
            if not text.startswith(delimiter, cut) and text[cut:stop].strip("\r"):
                return None, line
        else:
            cut = text.find(delimiter, at, stop)
            cut = stop if cut < 0 else cut
        if cut >= stop or not text.startswith(delimiter, cut):
            cells.append(text[at:cut].rstrip("\r"))
            return cells, stop
        cells.append(text[at:cut])
        at = cut + 1
    return None, line


def split(raw: str, delimiter: str) -> list[str]:
    """The cells of one row's text as they are quoted; none where a quote is astray."""
    bare = raw.strip("\r\n")
    if '"' not in bare:
        return bare.split(delimiter)
    row = next(rows(bare, 0, "\n" if "\n" in bare else "\r", delimiter))
    return row[2] if row[2] is not None and row[3] == len(bare) else []


def plain(cell: str) -> str:
    """What a cell says, without its quotes."""
    return cell[1:-1].replace('""', '"') if cell.startswith('"') else cell


def quoted(text: str, delimiter: str, old: str = "") -> str:
    """A cell that says `text`, in quotes where it needs them or where `old`, which it replaces, had them."""
    if old.startswith('"') or delimiter in text or '"' in text or "\n" in text or "\r" in text:
        return '"' + text.replace('"', '""') + '"'
    return text


def join(texts: list[str], delimiter: str) -> str:
    """A row of these texts."""
    row = delimiter.join(texts)
    if '"' in row or "\n" in row or "\r" in row or row.count(delimiter) >= len(texts):
        return delimiter.join([quoted(text, delimiter) for text in texts])
    return row


def line_end(text: str) -> str:
    """What ends the lines of a text; a plain line feed where it has several ends."""
    feeds = text.count("\n")
    if not feeds:
        return "\r" if "\r" in text else "\n"
    return "\r\n" if text.count("\r\n") == feeds else "\n"
