"""The running agent as the API sees it.

    service.py    what can be asked of it
    parts.py      what it is made of
    keys.py       Flash keys and the data key, as operators see them
    drill.py      the outage drill
    diagnosis.py  whether Flash takes its keys, and what they may do
    summary.py    a day in numbers
    metrics.py    the status as Prometheus text

What is rarely asked for is loaded when it is.
"""
