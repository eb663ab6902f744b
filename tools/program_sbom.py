"""The bill of materials of the packaged program, and the checksums of what is passed on with it, into dist/.

Run by `make deb` with the interpreter that the program was built from: `python -m tools.program_sbom PYTHON`. To what
the lock file says (tools/sbom.py), without what is another system's, come the interpreter, SQLite, PyInstaller's
bootloader, and every library of the machine that was taken along, by the hash of its file as it is shipped.
"""

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.markers import Marker

from tools import sbom
from tools.lockfile import LOCKED, ROOT, read

DIST = ROOT / "dist"
PROGRAM = DIST / "flash-agent"
_ASK = """
import ctypes, json, platform, pyexpat, ssl, sys, zlib
from importlib.metadata import version
sqlite = ctypes.CDLL(sys.argv[1])
sqlite.sqlite3_libversion.restype = ctypes.c_char_p
print(json.dumps({
    "libpython": platform.python_version(), "libssl": ssl.OPENSSL_VERSION.split()[1],
    "libcrypto": ssl.OPENSSL_VERSION.split()[1], "libz": zlib.ZLIB_RUNTIME_VERSION,
    "libexpat": pyexpat.EXPAT_VERSION.removeprefix("expat_"), "libsqlite3": sqlite.sqlite3_libversion().decode(),
    "flash-agent": version("pyinstaller"),
}))
"""
_NAMES = {  # of the file, what it is and its licence
    "libpython": ("cpython", "PSF-2.0"),
    "libssl": ("openssl", "Apache-2.0"),
    "libcrypto": ("openssl-libcrypto", "Apache-2.0"),
    "libsqlite3": ("sqlite", "blessing"),
    "libz": ("zlib", "Zlib"),
    "libexpat": ("expat", "MIT"),  # where the interpreter has none of its own, as Debian's
    "libbz2": ("bzip2", "bzip2-1.0.6"),
    "libffi": ("libffi", "MIT"),
    "liblzma": ("xz-utils", "0BSD"),
    "libuuid": ("util-linux-libuuid", "BSD-3-Clause"),
    "libstdc++": ("gcc-libstdc++", "GPL-3.0-or-later WITH GCC-exception-3.1"),
    "libgcc_s": ("gcc-libgcc", "GPL-3.0-or-later WITH GCC-exception-3.1"),
    "flash-agent": ("pyinstaller-bootloader", "GPL-2.0-or-later WITH Bootloader-exception"),
}


def bill(python: Path) -> str:
    """The document; raises LookupError where a library's licence is not known."""
    document: dict[str, Any] = json.loads(
        sbom.bill([each for each in read(LOCKED / "run.txt") if _is_here(each.marker)])
    )
    versions = _versions(python)
    files = [PROGRAM / "flash-agent", *sorted(PROGRAM.glob("_internal/lib*.so*"))]
    natives = [_native(each, versions) for each in files]
    document["components"] += natives
    root = document["metadata"]["component"]["bom-ref"]
    for dependency in document["dependencies"]:
        if dependency["ref"] == root:
            dependency["dependsOn"] += [each["bom-ref"] for each in natives]
    document["dependencies"] += [{"ref": each["bom-ref"]} for each in natives]
    return sbom.steady(document)


def _is_here(marker: str) -> bool:
    return not marker or Marker(marker).evaluate()


def _versions(python: Path) -> dict[str, str]:
    command = [str(python), "-c", _ASK, str(PROGRAM / "_internal" / "libsqlite3.so.0")]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - our own arguments
    found: dict[str, str] = json.loads(done.stdout)
    return found


def _native(file: Path, versions: dict[str, str]) -> dict[str, Any]:
    stem, _, soname = file.name.partition(".so.")
    key = "libpython" if stem.startswith("libpython") else stem
    if key not in _NAMES:
        raise LookupError(f"{file.name} is taken along, and its licence is not known; add it to tools/program_sbom.py")
    name, licence = _NAMES[key]
    version = versions.get(key, soname)
    spelled = {"expression": licence} if " WITH " in licence else {"license": {"id": licence}}
    return {
        "type": "library",
        "bom-ref": f"pkg:generic/{name}@{version}",
        "name": name,
        "version": version,
        "purl": f"pkg:generic/{name}@{version}",
        "hashes": [{"alg": "SHA-256", "content": _sha256(file)}],
        "licenses": [spelled],
        "properties": [{"name": "flash-pos-agent:file", "value": str(file.relative_to(PROGRAM))}],
    }


def checksums(files: list[Path]) -> str:
    """What `sha256sum --check` reads in dist/."""
    return "".join(f"{_sha256(each)}  {each.relative_to(DIST).as_posix()}\n" for each in sorted(files))


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def main() -> int:
    text = bill(Path(sys.argv[1]))
    if (fault := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)) is not None:
        print(f"The bill of materials is not valid CycloneDX 1.6: {fault}", file=sys.stderr)
        return 1
    version = json.loads(text)["metadata"]["component"]["version"]
    target = DIST / f"flash-pos-agent-{version}-linux.cdx.json"
    target.write_bytes(text.encode())
    program = [each for each in PROGRAM.rglob("*") if each.is_file()]
    sums = DIST / "SHA256SUMS.linux"
    sums.write_text(checksums([*program, target, *DIST.glob(f"flash-pos-agent_{version}-*_amd64.deb")]), "utf-8")
    print(f"{target.relative_to(ROOT)}: {len(json.loads(text)['components'])} components; {sums.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
