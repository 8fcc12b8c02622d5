"""A command line as people write it.

In: arguments, and what the parser says of them. Out: arguments as the parser takes them, and plain English. It never
loads torch, and knows no verb.

config_file  files of settings
lists        lists and switches as people write them
messages     what the parser says of a setting that it cannot take
"""
