"""`flash-agent setup`: from a machine with the program on it to a till that sells, asked or told by a file.

    answers.py     what must be known, from a file; every fault at once
    numbers.py     whether order numbers repeat, and the templates that this comes to
    example.py     a commented file of answers
    questions.py   the same, asked
    terminal.py    how a person is spoken with
    place.py       where configuration and data lie, and whether we may write there
    ports.py       a port for the registers, and who holds a taken one
    examine.py     the keys and the store, held against Flash
    reach.py       why there is no way to Flash
    findings.py    all of that for one set of answers
    configfile.py  agent.toml: changed with its comments kept, compared, replaced whole
    agents.py      the running agent: service, readiness, keys handed over
    telling.py     what is said at the end
    flow.py        the steps in their order

Nothing is stored before everything was checked; each step looks first whether it is done, so that running it again
goes on where it was. Keys go to the running agent alone, never into a file of setup's own, an argument or the output.
"""
