"""One module a command, named as it is: `add_arguments(parser)` says what it takes, `run(arguments)` does it."""
