"""The localhost API: guard → route table → thin handlers. What a register sees is fixed; see docs/integrating.md."""

from agent.api import lean_aiohttp

lean_aiohttp.begin()
