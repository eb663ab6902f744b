"""Flash POS Agent: the daemon on a till through which register software reaches the Flash loyalty platform.

Where to look, from the outside in; each package says more in its own first lines:

    cli, setup, doctor             what a person starts: commands, set-up, what is wrong with this till
    app                            how a running agent is opened, put together, started and stopped
    api, service, events, tokens   what registers and operators may ask of it, and are told
    intake, model, fields, cards   what a document must be to become a draft, and then an operation
    outbox, delivery               durable: accepting, what goes next, sending, settling, the line
    flash, flashkeys               the calls to Flash and what its answers mean; its keys
    members, redemption, coupons   the counter: look-ups, coupons burned while a register waits
    adapters, importing, spool     other systems' documents
    masterdata                     what a chain tells Flash of itself: stores, catalogs, members
    reconcile, receipt             what was sent against what Flash has; lines to print
    rescue, datakeys               a dead till's queue; data keys changed, and recovered
    storage, rooms                 the one SQLite file, its directory, sealing; who keeps something in it
    config, settingwords           settings, and what is wrong with them in words
    health, errors                 fault conditions; what crosses a border as an exception
    logs, scrub, tracebacks        the log; words of others, and faults of ours, without what is nobody's business
    servicemanager, browserpolicy  the system that starts it; what its browsers are told
    sandbox                        a stand-in for Flash
    clock, tasks, jsons            time, tasks, JSON
    plainfile, agefile             files that may be something else, and sealed ones
"""

__version__ = "0.1.0"
