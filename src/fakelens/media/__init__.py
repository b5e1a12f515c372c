"""Video and picture input and output: decode, convert, find shot changes, transcode.

Also holds the helpers that pipeline stages share: prefetching in a thread and timing. Code that
knows about faces, models or reports belongs in the packages above.
"""
