"""Flash POS Agent: the daemon on a till through which register software reaches the Flash loyalty platform.

Where to look, from the outside in; each package says more in its own first lines:

    cli, setup, doctor                        what a person starts: commands, set-up, what is wrong with this till
    app                                       how a running agent is opened, put together, started and stopped
    api, service, events                      what registers and operators may ask of it, and are told
    intake, model, fields                     what a document must be to become a draft, and then an operation
    outbox                                    durable: accepting, what goes next, sending, settling, the line
    flash, flashkeys                          the calls to Flash and what its answers mean; its keys
    members, redemption, coupons              the counter: look-ups, coupons burned while a register waits
    adapters, importing, spool                other systems' documents
    masterdata                                what a chain tells Flash of itself: stores, catalogs, members
    reconcile, receipt                        what was sent against what Flash has; lines to print
    rescue, datakeys                          a dead till's queue; data keys changed, and recovered
    storage                                   the one SQLite file, its directory, sealing
    config, health, logs                      settings; fault conditions; the log
    servicemanager                            the system that starts it
    sandbox                                   a stand-in for Flash
"""

__version__ = "0.1.0"
