"""One module per group of figures; each has ``measure(bench)``, which notes what it found on the bench."""
