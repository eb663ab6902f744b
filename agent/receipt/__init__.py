"""Lines that a register may print below the totals: short, localised, and true at the moment they are printed.

`templates.py` knows the lines and reads them (a language's own in `languages/*.toml`, a store's in a file of the same
form), `negotiation.py` finds the language, `numbers.py` formats, `wording.py` puts values in and gives lines out. It is
pure but for the reading of those files. No line ever holds personal data, for there is no placeholder for any.
"""

from pathlib import Path

LANGUAGES = ("en", "de", "fr", "es", "zh", "ja")
TEMPLATES = Path(__file__).parent / "languages"
