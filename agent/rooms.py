"""The rooms that keep something in the database, and where the migrations of each lie."""

from agent import members, outbox

ROOMS = {"outbox": outbox.MIGRATIONS, "members": members.MIGRATIONS}
