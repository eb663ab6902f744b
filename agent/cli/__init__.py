"""The command line: `main.py` hands over to the command's module in `commands/`; what those are made of lies here.

Commands about a running agent talk to it through its local API (`client.py`).

    main, options, commands                       the command line
    client, announced, listeners                  the way to the running agent, and to nobody else
    text, terminal, progress_bar, stderr          what people see, and are asked
    passphrases, private_file                     secrets
    process, service_host                         a process that runs until it is told to stop
    import_sending, import_tally, import_summary  `import`
    flash_feed, bookings, reconciled              `reconcile`
    rescue_export, rescue_import                  `rescue`
    receipts                                      `config receipts`
    story, till                                   `demo`
"""
