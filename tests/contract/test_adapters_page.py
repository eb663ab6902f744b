"""docs/adapters/README.md and the README's table say which systems the agent understands: what the registry says.

Write both anew with `python -m tests.contract.test_adapters_page`. In the README the table stands between two marks.
"""

from pathlib import Path

from agent.adapters import registry
from agent.adapters.base import Adapter

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "adapters" / "README.md"
README = ROOT / "README.md"
BEGIN, END = "<!-- adapters: begin -->\n", "<!-- adapters: end -->\n"
WITHOUT_A_PAGE = {"canonical"}  # its definition is docs/integrating.md
HEAD = """# Systems whose documents the agent understands

A document of another system becomes the operations that a register would have posted: same keys, same order, same
promises. Whatever is in it ends as an operation or is skipped with a reason; the same document twice counts once.

```sh
flash-agent import FILE --adapter NAME --dry-run     # what would be sent; without --dry-run it is
curl -s "http://127.0.0.1:8455/v1/documents/NAME?dryRun=true" -H "Authorization: Bearer $TOKEN" \\
  -H "Content-Type: …" --data-binary @FILE
```

or a [folder](../spool.md) into which the other system writes. `GET /v1/adapters` lists the adapters with this site's
options, the content types that each takes (`media`), and in `lacking` the setting without which one takes nothing.
[integrating.md](../integrating.md) tells of the answer, [importing.md](../importing.md) of the command.

Settings (`[documents]`, `[adapters.NAME]`, `[spool]`) are read when the agent starts: start it anew after a change,
then try again. An amount in another currency than the till's is `foreign-currency`, unless `[documents] currencies`
has it.

**Encodings.** XML is read in UTF-8, UTF-16, and what its first line names: the encodings of one byte (`windows-1252`,
`iso-8859-15`, …), Shift_JIS, EUC-JP, GB2312, GBK, GB18030, Big5 and EUC-KR. What a byte order mark says counts more
than the first line, and a file that says UTF-16 and is none is UTF-8. JSON is read in UTF-8, or in UTF-16 with its
mark; JSON Lines in UTF-8; of a CSV the mapping says it. What is compressed must be unpacked first.

**Stores.** A document that names the store of a sale, as most tills' do, is believed, and never read as the till's own:

```toml
[documents.stores]      # the other system's code = Flash's id of the store; each store that is in the files, yours too
"12" = "st_12"
"13" = "st_13"
```

A sale in a store that is not there is `unknown-store`, a fault: nothing is sent, the reason names the code, and an
import's summary says how many sales of which stores were left out. Add the line, start the agent anew, import the file
again. Where every code that is not there is the till's own store (a till that reads its own receipts alone), say so
instead: `[documents] unknown_stores = "own"`. A sale that names no store is the till's own. A refund goes to its sale.

"""
FOOT = """
"Validated against" says how far: *public samples* are documents that somebody else published, each with its result
under `tests/adapters/golden`; *documentation* is the vendor's; *hand-made* are documents made for the tests. None of it
is a document of your store's: begin with a dry run over a day of yours.
"""


def cell(text: str) -> str:
    return text.replace("|", "\\|") or "-"


def title(adapter: Adapter, folder: str) -> str:
    return adapter.title if adapter.name in WITHOUT_A_PAGE else f"[{adapter.title}]({folder}{adapter.name}.md)"


def table(folder: str) -> str:
    """The table; `folder` leads to the adapters' own pages."""
    lines = [
        "| system | adapter | orders | returns | customers | products | stores | validated against |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for adapter in sorted(map(registry.adapter, registry.MODULES), key=lambda each: each.title.casefold()):
        covers = adapter.covers
        taken = (covers.orders, covers.returns, covers.customers, covers.products, covers.stores, adapter.validated)
        lines.append(f"| {title(adapter, folder)} | `{adapter.name}` | {' | '.join(map(cell, taken))} |")
    return "\n".join(lines) + "\n"


def page() -> str:
    return HEAD + table("") + FOOT


def readme(text: str) -> str:
    """The README with the table of today between its marks."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    return f"{before}{begin}{table('docs/adapters/')}{end}{after}" if end else text


def test_the_page_lists_every_adapter_as_the_registry_has_it() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "write it anew: python -m tests.contract.test_adapters_page"


def test_the_readme_has_the_same_table() -> None:
    text = README.read_text(encoding="utf-8")
    assert text == readme(text), "write it anew: python -m tests.contract.test_adapters_page"


def test_every_adapter_has_a_page_of_its_own_and_no_page_is_left_over() -> None:
    pages = {found.stem for found in PAGE.parent.glob("*.md")} - {"README"}
    assert pages == registry.MODULES.keys() - WITHOUT_A_PAGE


def test_every_adapter_says_what_it_takes_and_how_far_that_is_validated() -> None:
    for adapter in map(registry.adapter, registry.MODULES):
        covers = adapter.covers
        assert any((covers.orders, covers.returns, covers.customers, covers.products, covers.stores)), adapter.name
        assert adapter.validated.strip(), adapter.name


def test_every_option_of_an_adapter_stands_in_its_page() -> None:
    for adapter in map(registry.adapter, registry.MODULES.keys() - WITHOUT_A_PAGE):
        text = (PAGE.parent / f"{adapter.name}.md").read_text(encoding="utf-8")
        assert [name for name in adapter.options.model_fields if name not in text] == [], adapter.name


def test_the_table_is_put_between_the_readmes_marks() -> None:
    assert readme(f"a\n{BEGIN}old\n{END}b\n") == f"a\n{BEGIN}{table('docs/adapters/')}{END}b\n"
    assert readme("no marks\n") == "no marks\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    README.write_text(readme(README.read_text(encoding="utf-8")), encoding="utf-8")
