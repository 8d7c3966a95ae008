"""The parts of the whole, each built from a configuration; `app.py` says which, and in what order.

What a part needs of another comes over the bus, the store, or `lake/remote.py`. In one process the
same objects are handed over instead.
"""
