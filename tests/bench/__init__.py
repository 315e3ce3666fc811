"""Speed of the pools and the proxies, measured beside their peers: see `__main__.py`."""
