"""The yardstick: a fixed set of faces on which recipes and models are compared.

``python -m training.yardstick.build`` builds the set once; ``python -m training.yardstick``
measures models on it. The set has genuine faces of many origins and forgeries of known kinds, all
scored with one threshold. This package holds the sources of the set, its own forgeries and codecs,
its file format and its figures. It does not use ``training.augment``, so that figures stay
comparable when the augmentation changes.
"""
