"""Put a table into a page, between two comments."""

from __future__ import annotations

from pathlib import Path

BEGIN, END = "<!-- table -->\n", "<!-- end of table -->"


def put(page: Path, table: str) -> None:
    """Replace what stands between the comments."""
    before, _, rest = page.read_text("utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}{table}\n{END}{after}", "utf-8")
