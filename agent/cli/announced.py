"""The process that wrote agent.json, and whether it lives: on Windows it alone is sent a token.

While it lives the agent has 127.0.0.1 and its port to itself: it binds that very address with SO_EXCLUSIVEADDRUSE
(agent.api.loopback), announces itself when it listens, and withdraws that before it stops listening. Its account is not
asked for: Windows may refuse that of a service even to administrators, while it tells everybody which processes there
are and since when.
"""

from dataclasses import dataclass
from pathlib import Path

from agent import jsons, plainfile
from agent.errors import AgentError


@dataclass(frozen=True, slots=True)
class Announced:
    """An announcement. `at_s`: when it was written, in seconds since 1970 by the clock of this machine."""

    pid: int
    port: int
    at_s: float

    def lives(self) -> bool:
        """Whether the process that wrote it does; raises AgentError where the system does not tell.

        A process that was given a dead agent's number began after that one's announcement.
        """
        import psutil

        try:
            return bool(psutil.Process(self.pid).create_time() <= self.at_s)
        except psutil.NoSuchProcess:
            return False
        except (psutil.Error, OSError) as error:
            raise AgentError(
                f"Windows does not tell whether the agent's process {self.pid} runs ({type(error).__name__}), so "
                "nothing was sent to its port. Run this as administrator."
            ) from None


def announced(data_dir: Path) -> Announced | None:
    """What is announced in a data directory; None where nothing is that can be read."""
    about = data_dir / "agent.json"
    try:
        content = jsons.loads(plainfile.read(about).decode("ascii"))
        return Announced(int(content["pid"]), int(content["port"]), about.stat().st_mtime)
    except (OSError, ValueError, KeyError, TypeError):
        return None
