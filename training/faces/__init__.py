"""Face crops for training: from a folder of pictures to tensors on the device.

``index`` reads a folder, ``landmarks`` finds 68 points, ``pack`` writes shards and
``bank`` loads them.
"""
