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

_SAME_S = 0.1  # no agent starts, announces itself and makes room for another in that time


@dataclass(frozen=True, slots=True)
class Announced:
    """An announcement. In seconds since 1970, by the clock of this machine as it was then: `began_s`, when its process
    began; `at_s`, when it was written. The first is None elsewhere than on Windows.
    """

    pid: int
    port: int
    began_s: float | None
    at_s: float

    def lives(self) -> bool:
        """Whether the process that wrote it does; raises AgentError where the system does not tell.

        A process that was given a dead agent's number began at another time. Windows notes that of each, once: a clock
        that is set back later makes an announcement older than its process, and changes nothing of what is compared.
        """
        import psutil

        try:
            began_s = psutil.Process(self.pid).create_time()
            if self.began_s is None:
                return bool(began_s <= self.at_s)
            return abs(began_s - self.began_s) < _SAME_S
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
        began = content.get("began")
        began_s = None if began is None else float(began)
        return Announced(int(content["pid"]), int(content["port"]), began_s, about.stat().st_mtime)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
