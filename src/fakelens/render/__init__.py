"""Drawing on frames: what to show of each person, and how to paint it.

Works on pixels in memory. Reading and writing files belongs in ``media`` and ``report``.
"""
