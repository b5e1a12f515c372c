"""The set on which training recipes are compared: many origins under one threshold.

``python -m training.yardstick.build`` makes the set once, ``python -m training.yardstick`` measures
models on it. The forgeries come from code of this package, so the measure does not move with the
augmentation of the training.
"""
