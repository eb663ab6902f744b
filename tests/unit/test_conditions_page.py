"""docs/conditions.md is what a store's IT reads before anything is wrong: it says what the agent will say."""

from pathlib import Path

from agent.health import CONDITIONS, Severity

PAGE = Path(__file__).parents[2] / "docs" / "conditions.md"
HEAD = """# Conditions

What `flash-agent status`, `GET /v1/status`, the events and the metrics may show, the gravest first, and what to do.
Sales go on being accepted under each of them but where it says otherwise.
"""


def page() -> str:
    lines = [HEAD]
    for severity in reversed(Severity):
        lines += [f"## {severity.capitalize()}\n", "| condition | what it means | what to do |", "| --- | --- | --- |"]
        lines += [f"| `{each.code}` | {each.text} | {each.mend} |" for each in declared(severity)]
        lines.append("")
    return "\n".join(lines).rstrip("\n") + "\n"


def declared(severity: Severity) -> list:
    return sorted((each for each in CONDITIONS.values() if each.severity is severity), key=lambda each: each.code)


def test_the_page_lists_every_condition_as_the_agent_words_it() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "write it anew: python -m tests.unit.test_conditions_page"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
