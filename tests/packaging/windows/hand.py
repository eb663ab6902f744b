"""Runs under Wine: presses buttons one after the other, each as soon as a window shows it and it can be pressed.

Prints a line for each: the window's title, its texts, and between brackets all buttons that could have been pressed.
"""

import sys
import time

import win32con  # type: ignore[import-not-found,import-untyped,unused-ignore]
import win32gui  # type: ignore[import-not-found,import-untyped,unused-ignore]

WITHIN_S = 90
LOOK_EVERY_S = 0.05
DIALOG = "#32770"


def shown(parent: int | None = None) -> list[int]:
    """The windows that are to be seen, or what is in one of them."""
    found: list[int] = []

    def add(window: int, _: object) -> None:
        found.append(window)

    if parent is None:
        win32gui.EnumWindows(add, None)
    else:
        win32gui.EnumChildWindows(parent, add, None)
    return [each for each in found if win32gui.IsWindowVisible(each)]


def text(window: int) -> str:
    return str(win32gui.GetWindowText(window)).replace("&", "")


def buttons(dialog: int) -> dict[str, int]:
    return {
        text(each): each
        for each in shown(dialog)
        if win32gui.GetClassName(each) == "Button" and win32gui.IsWindowEnabled(each)
    }


def press(wanted: str, pressed: set[tuple[int, str]]) -> None:
    until = time.monotonic() + WITHIN_S
    while time.monotonic() < until:
        for dialog in shown():
            there = buttons(dialog) if win32gui.GetClassName(dialog) == DIALOG else {}
            if (
                wanted not in there or (there[wanted], wanted) in pressed
            ):  # a button that was pressed may stay for a moment
                continue
            texts = [text(each) for each in shown(dialog) if win32gui.GetClassName(each) == "Static"]
            said = " ".join([text(dialog), *(each for each in texts if each.isprintable()), f"[{', '.join(there)}]"])
            print(said.encode("ascii", "replace").decode(), flush=True)
            win32gui.PostMessage(there[wanted], win32con.BM_CLICK, 0, 0)
            pressed.add((there[wanted], wanted))
            return
        time.sleep(LOOK_EVERY_S)
    raise SystemExit(f"nothing shows {wanted}")


seen: set[tuple[int, str]] = set()
for each in sys.argv[1:]:
    press(each, seen)
