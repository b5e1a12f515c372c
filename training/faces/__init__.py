"""Face crops for training: from folders of pictures to tensors on the device.

This package reads folders of crops (``index``), finds 68 landmarks and hulls (``landmarks``),
compares fakes with their real crops (``difference``), writes shards (``pack``, ``shards``) and
loads them as face banks (``bank``). ``synthetic`` makes banks without data. Anything that changes
the pixels of a crop belongs to ``training.augment``.
"""
