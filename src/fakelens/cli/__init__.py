"""The command line: parses options, calls the library, prints.

One module per command. A command imports the library when it runs, so that ``--help`` is fast.
"""
