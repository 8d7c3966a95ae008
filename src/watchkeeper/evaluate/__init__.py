"""How good detection is on a system that is broken on purpose, by a list.

Steps plan a run, match pages to scenarios, count and draw; stages run the commands and ask the
server, as a client of its API.
"""
