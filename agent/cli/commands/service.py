"""`service`: the agent as a service of this machine; `service host` is how Windows starts it.

Each action is done when it says so: after `start` the agent listens, after `stop` its files are free.
"""

import argparse
import sys
from pathlib import Path

from agent.cli import options

_ACTIONS = {
    "install": "register the service, to start with the machine; done again, it runs this program from then on",
    "uninstall": "stop the service and take its registration away; data and configuration stay",
    "start": "start the service and wait until it listens",
    "stop": "stop the service and wait until it has stopped",
    "restart": "stop the service and start it anew",
    "state": "print running, stopped, starting, absent or unknown",
}
_DONE = {
    "install": "The service is installed.",
    "uninstall": "The service is no longer installed; data and configuration are still there.",
    "start": "The service runs and listens.",
    "stop": "The service has stopped.",
    "restart": "The service runs and listens.",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The actions and their options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, text in _ACTIONS.items():
        action = actions.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        if name == "install":
            action.add_argument("--executable", type=Path, metavar="EXE", help="Windows: the program that it runs")
    if sys.platform == "win32":
        host = actions.add_parser("host", description="What Windows' service control manager starts.")
        options.add_config(host)
        options.add_place(host)


def run(arguments: argparse.Namespace) -> int:
    """Do it; raises AgentError with the mend."""
    if arguments.action == "host":
        from agent.cli import service_host

        return service_host.run(arguments)
    from agent import servicemanager

    match arguments.action:
        case "state":
            print(servicemanager.state())
            return 0
        case "install":
            servicemanager.install(arguments.executable)
        case other:
            getattr(servicemanager, other)()
    print(_DONE[arguments.action])
    return 0
