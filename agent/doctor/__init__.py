"""What is wrong with this till, found from outside the agent: `flash-agent doctor` and `flash-agent support-bundle`.

Each check looks at one thing, within a time limit of its own, and says what it found as findings of the catalogue. None
changes anything at Flash; on the disk a few small files are made in the data directory and removed again. Nothing here
is imported by a running agent, which answers for what it alone can know through `GET /v1/diagnostics`.

    case, running, bounded                                   what checks are given, and how they run
    findings, catalogue                                      every kind of finding
    catalogue_of_till, catalogue_of_disk, catalogue_of_line  their words
    configuration, program, package                          the settings, the service, how it was installed
    permissions, access_lists, account, service_account      who may read what, and whether the agent itself may
    disk, database, scanners                                 where things are kept
    network, dialling, tls, certificates, keys               the way to Flash, and what Flash says to the keys
    bundle, bundle_parts, log_lines, log_sources             the support bundle
"""
