"""The support bundle: one zip with what support needs to understand a till, without personal data and without a key.

Each part is chosen field by field, made within a time limit, and harms no other: one that cannot be made says so in its
place. What is left is scrubbed once more, the keys and tokens of this till by their values.
"""

import io
import os
import time
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from agent import __version__, plainfile, tracebacks
from agent.doctor import bundle_parts as parts
from agent.doctor.bounded import within
from agent.doctor.case import Case
from agent.doctor.findings import Finding
from agent.errors import AgentError
from agent.fields import FLASH_KEY
from agent.scrub import scrubbed
from agent.storage.durable import write_new

_LIMIT_S = 12.0


class Entry(NamedTuple):
    """A file in the bundle."""

    name: str
    what: str
    size: int


@dataclass(frozen=True, slots=True)
class Part:
    """How one is made."""

    name: str
    what: str
    make: Callable[[], str]


def write(case: Case, findings: Iterable[Finding], settings: str, output: Path | None) -> tuple[Path, list[Entry]]:
    """Write the bundle (0600); returns where it is and what is in it.

    `settings` is the effective configuration as text. `output` is a file that does not exist, or a directory; None: the
    current one. Raises AgentError where it cannot be written.
    """
    made = [(part, _made(part)) for part in _parts(case, list(findings), settings)]
    secrets = _secrets(case)
    files = [(part, _clean(text, secrets).encode()) for part, text in made]
    entries = [Entry(part.name, part.what, len(content)) for part, content in files]
    target = _target(output)
    content = _zipped([("README.txt", _readme(entries).encode()), *((part.name, text) for part, text in files)])
    try:
        write_new(target, content)
    except FileExistsError:
        raise AgentError(f"There is a file {target} already. Name another with --output.") from None
    except OSError as error:
        raise AgentError(f"{target} cannot be written: {error.strerror}. Name another place with --output.") from None
    return target, entries


def _parts(case: Case, findings: list[Finding], settings: str) -> list[Part]:
    return [
        Part("doctor.json", "what flash-agent doctor found", lambda: parts.findings_json(findings)),
        Part("status.json", "how the running agent is", lambda: parts.asked(case, "/v1/status")),
        Part("diagnostics.json", "what it tried at Flash", lambda: parts.asked(case, parts.DIAGNOSTICS)),
        Part("metrics.txt", "its figures", lambda: parts.metrics(case)),
        Part("settings.txt", "the effective settings, without keys", lambda: settings),
        Part("versions.json", "program, Python, SQLite, OpenSSL, system", parts.versions),
        Part("files.json", "the data directory: names, sizes, modes, times", lambda: parts.files(case.data_dir)),
        Part("database.json", "schema and numbers of operations", lambda: parts.database(case)),
        Part("upgrade.json", "how the last upgrade went", lambda: parts.upgrade(case.data_dir)),
        Part("failed.json", "the last failed operations: kinds, codes, times", lambda: parts.failed(case)),
        Part("log.txt", "the end of the service's log, redacted", lambda: parts.log(case.data_dir)),
    ]


def _made(part: Part) -> str:
    try:
        return within(_LIMIT_S, part.make, part.name)
    except TimeoutError:
        return "It did not come to an end in time.\n"
    except Exception as error:  # noqa: BLE001 - the rest is still worth sending
        return f"It could not be made:\n{tracebacks.spell(error)}\n"


def _clean(text: str, secrets: list[str]) -> str:
    """Scrubbed, and without the name of whoever runs this, which the path of a home directory holds."""
    home = str(Path.home())
    if len(home) > len(os.sep):
        text = text.replace(home, "~")
    return scrubbed(text, secrets)


def _secrets(case: Case) -> list[str]:
    """This till's own keys and tokens, as far as they can be read here."""
    found = []
    if case.settings is not None:
        flash = case.settings.flash
        found += [key.get_secret_value() for key in (flash.write_key, flash.read_key, flash.proxy) if key]
    ours = [(path, False) for path in case.data_dir.glob("*.token")]
    for path, follow in (*ours, *((path, True) for path in _named_files(case))):
        try:
            found.append(plainfile.read(path, follow=follow).decode("utf-8").strip())
        except (OSError, UnicodeDecodeError):
            continue
    return [secret for secret in found if FLASH_KEY.fullmatch(secret)]


def _named_files(case: Case) -> list[Path]:
    flash = case.settings.flash if case.settings else None
    return [path for path in (flash.write_key_file, flash.read_key_file) if path] if flash else []


def _target(output: Path | None) -> Path:
    named = time.strftime("flash-agent-support-%Y%m%dT%H%M%SZ.zip", time.gmtime())
    if output is None:
        return Path.cwd() / named
    return output / named if output.is_dir() else output


def _readme(entries: list[Entry]) -> str:
    width = max(len(entry.name) for entry in entries)
    listed = "\n".join(f"{entry.name.ljust(width)}  {entry.what}" for entry in entries)
    return (
        f"Support bundle of a Flash POS Agent, program version {__version__}.\n\n{listed}\n\n"
        "No customer's data and no key is in it: each part was chosen field by field. It is plain text; look through "
        "it before you send it.\n"
    )


def _zipped(files: list[tuple[str, bytes]]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return made.getvalue()
