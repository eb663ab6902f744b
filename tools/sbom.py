"""The bill of materials of what is shipped: CycloneDX 1.6 as JSON, from the lock file, the same bytes every time.

Run by `make sbom`; writes dist/flash-pos-agent-VERSION.cdx.json. Components, versions, hashes (of every file that the
lock file allows) and who needs whom come from requirements/run.txt, licences from the installed packages' own metadata.
There is no time in it, unless SOURCE_DATE_EPOCH gives one.
"""

import json
import os
import re
import sys
import tomllib
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from tools.lockfile import LOCKED, ROOT, Pinned, read

# Not installed everywhere, so that their metadata cannot be asked everywhere; from their own licence files.
_ONE_PLATFORM = {
    "colorama": "BSD-3-Clause",
    "pywin32": "PSF-2.0",
    "uvloop": "MIT OR Apache-2.0",
    "winloop": "MIT OR Apache-2.0",
}
_UNSAID = {"pyrage": "MIT"}  # their metadata do not say it; their licence file and README do
_SPDX = {"Apache 2.0": "Apache-2.0", "MIT License": "MIT", "PSFL": "PSF-2.0"}  # how some say it
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:flash-pos-agent:sbom")


def bill(pinned: list[Pinned]) -> str:
    """The document; raises LookupError where a licence is not known."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    root = _component(project["name"], project["version"], project["license"], ComponentType.APPLICATION)
    bom = Bom()
    bom.metadata.component = root
    components = {each.name: _of(each) for each in pinned}
    for component in components.values():
        bom.components.add(component)
    bom.register_dependency(root, [components[each.name] for each in pinned if project["name"] in each.via])
    for name, component in components.items():
        bom.register_dependency(component, [components[each.name] for each in pinned if name in each.via])
    return steady(json.loads(JsonV1Dot6(bom).output_as_string()))


def _of(pinned: Pinned) -> Component:
    component = _component(pinned.name, pinned.version, _licence(pinned.name), ComponentType.LIBRARY)
    component.hashes = (HashType(alg=HashAlgorithm.SHA_256, content=content) for content in pinned.hashes)
    if pinned.marker:
        component.properties.add(Property(name="flash-pos-agent:needed-where", value=pinned.marker))
    return component


def _component(name: str, version: str, licence: str, kind: ComponentType) -> Component:
    purl = PackageURL("pypi", name=re.sub(r"[-_.]+", "-", name).lower(), version=version)
    licences = [LicenseFactory().make_from_string(licence)]
    return Component(name=name, version=version, type=kind, bom_ref=str(purl), purl=purl, licenses=licences)


def _licence(name: str) -> str:
    if name in _ONE_PLATFORM:
        return _ONE_PLATFORM[name]
    if name in _UNSAID:
        return _UNSAID[name]
    about: Any = metadata.metadata(name)
    for said in (about.get("License-Expression"), about.get("License"), *_classified(about)):
        if said and len(said) < 80 and "\n" not in said:
            return _SPDX.get(str(said), str(said))
    raise LookupError(f"{name} does not say its licence; add it to tools/sbom.py")


def _classified(about: Any) -> Iterator[str]:
    for classifier in about.get_all("Classifier") or ():
        if classifier.startswith("License :: OSI Approved :: "):
            yield classifier.rpartition(" :: ")[2].removesuffix(" License")


def steady(document: dict[str, Any]) -> str:
    """Without the time and the number that the library draws."""
    document["metadata"].pop("timestamp", None)
    document.pop("serialNumber", None)
    if epoch := os.environ.get("SOURCE_DATE_EPOCH"):
        document["metadata"]["timestamp"] = datetime.fromtimestamp(int(epoch), UTC).isoformat()
    document["serialNumber"] = f"urn:uuid:{uuid.uuid5(_NAMESPACE, json.dumps(document, sort_keys=True))}"
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def main() -> int:
    pinned = read(LOCKED / "run.txt")
    text = bill(pinned)
    if (fault := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)) is not None:
        print(f"The bill of materials is not valid CycloneDX 1.6: {fault}", file=sys.stderr)
        return 1
    if bill(read(LOCKED / "run.txt")) != text:
        print("Two bills of materials of the same lock file differ.", file=sys.stderr)
        return 1
    version = json.loads(text)["metadata"]["component"]["version"]
    target = ROOT / "dist" / f"flash-pos-agent-{version}.cdx.json"
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(text.encode())
    print(f"{target.relative_to(ROOT)}: {len(pinned)} components")
    return 0


if __name__ == "__main__":
    sys.exit(main())
