"""A commented answers file, which `flash-agent setup --example` prints."""

EXAMPLE = """\
# Answers for flash-agent setup --from answers.toml. Whoever can read the keys in here can sell in the chain's name:
# keep the file as closed as they are, and delete it when setup is done.

# ---- Flash ----
# base_url = "https://flash.socialhub.ai/api/v2"
write_key_file = "write.key"       # or write_key = "fl_live_…", or the variable FLASH_AGENT_FLASH__WRITE_KEY
# read_key_file = "read.key"       # or read_key, or FLASH_AGENT_FLASH__READ_KEY: look-ups then never use the write key
# proxy = "http://proxy.example.com:3128"
# ca_file = "/etc/ssl/store-ca.pem"    # where the store's network inspects TLS and the system does not know its CA

# ---- this till; {hostname} is the machine's name, {env:LANE} the environment's variable LANE ----
till_id = "{hostname}"
store_id = "st_…"                  # Flash's own id of the store, or instead of it the chain's:
# store_external_id = "0018"
# register_store = true            # register the store at Flash where it does not know the external id yet
# store_name = "Main Street"
# store_city = "Springfield"
currency = "USD"
# language = "en"                  # of receipts: en, de, fr, es, zh or ja, with a region where that matters ("de-AT")

# ---- do order numbers repeat? There is no default: two sales with one number would count as one. ----
# "unique"                  a number comes once in the whole chain, whatever store, till or day
# "repeat-by-day"           a store's tills share their numbers, which begin anew each day
# "repeat-by-till"          each till counts for itself, and never begins anew
# "repeat-by-till-and-day"  each till counts for itself, and begins anew each day
# or a template, such as "{store_id}-{external_order_id}"
order_numbers = "repeat-by-till-and-day"
# refund_numbers = "unique"        # where refunds are counted in another way

# ---- registers ----
# port = 8455                      # or "auto": the next free one where it is taken
# allowed_origins = ["https://pos.example.com"]    # registers in a browser
# coupons_offline = "decline"      # or "limited": honor a few without Flash's word
# recovery = "age1…"               # who can open a dead till's disk: flash-agent rescue keygen makes the pair

# ---- setup itself ----
# check = true                     # false: do not ask Flash whether keys and store are right
"""
