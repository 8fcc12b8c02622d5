"""Text chosen for its new tokens.

In: the token files of a source. Out: pieces of its training part in an order of their own, so that rare new tokens are
seen more often, or some short contexts of each. It never draws anew: the same files and settings give the same pieces.

needs     which new tokens are to be seen more often: what a measurement said
rates     the rule of the bias, in fractions
bias      how often each passage is read, in whole numbers
contexts  short contexts of each new token, for stages that distill
passages  the passages of a source, and the new tokens in them
pieces    parts of a source in an order of their own, read as blocks
"""
