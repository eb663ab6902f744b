"""`browsers`: let web registers reach the agent without the browser asking whoever sits at the till."""

import argparse

from agent.cli import options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The actions and their options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    text = "list origins in Chrome's and Edge's policies for this machine"
    allow = actions.add_parser("allow", help=text, description=f"{text[0].upper()}{text[1:]}.")
    allow.add_argument(
        "origins", nargs="*", metavar="ORIGIN", help="such as https://pos.example.com (default: [api] allowed_origins)"
    )
    options.add_config(allow)
    text = "take out of those policies what was listed by this command"
    actions.add_parser("remove", help=text, description=f"{text[0].upper()}{text[1:]}.")


def run(arguments: argparse.Namespace) -> int:
    """Write the policies; raises AgentError with the mend."""
    from agent import browserpolicy, config
    from agent.errors import ConfigError

    if arguments.action == "remove":
        removed = browserpolicy.remove()
        print(f"Taken out: {', '.join(removed)}." if removed else "There was nothing of ours.")
        return 0
    settings = config.load(arguments.config)
    origins = arguments.origins or list(settings.api.allowed_origins)
    if not origins:
        raise ConfigError("No origin is named, and [api] allowed_origins is empty. Name the page's, or set it.")
    browserpolicy.allow(origins)
    print(f"Chrome and Edge let {', '.join(origins)} reach this machine without asking, from their next start on.")
    foreign = [origin for origin in origins if origin not in settings.api.allowed_origins]
    if foreign:
        print(f"The agent itself lets in [api] allowed_origins alone: add {', '.join(foreign)} there.")
    return 0
