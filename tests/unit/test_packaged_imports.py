"""What the packaged program leaves out nobody needs: every module of the agent loads without it.

A module that only some tills load (a spool folder's, an import's) would end the agent of those tills at its start.
"""

import ast
import subprocess
import sys
from pathlib import Path

SPEC = Path(__file__).parents[2] / "installer" / "flash-agent.spec"
LOADING = """
import importlib, pkgutil, sys

UNUSED = set(sys.argv[1].split())

class Without:
    def find_spec(self, name, path=None, target=None):
        if any(name == each or name.startswith(each + ".") for each in UNUSED):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Without())
for name in [name for name in sys.modules if name.partition(".")[0] in UNUSED]:
    del sys.modules[name]
import agent
failed = []
for module in pkgutil.walk_packages(agent.__path__, "agent."):
    if module.name in {"agent.__main__", *sys.argv[2].split()}:
        continue
    try:
        importlib.import_module(module.name)
    except ModuleNotFoundError as error:
        failed.append(f"{module.name}: {error}")
print("\\n".join(failed))
"""
WINDOWS = "agent.servicemanager.windows agent.servicemanager.hosted agent.storage.windows agent.cli.service_host"


def unused():
    """The names in the spec's list."""
    for node in ast.parse(SPEC.read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "UNUSED":
            return ast.literal_eval(node.value)
    raise AssertionError


def test_every_module_loads_without_what_the_program_leaves_out():
    left_out = unused()
    assert "multiprocessing" in left_out
    windows = "" if sys.platform == "win32" else WINDOWS
    command = [sys.executable, "-c", LOADING, " ".join(left_out), windows]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split("\n") == ["", ""]
