"""Token files into batches.

In: token files of named sources, with weights. Out: blocks of them in an order that a resume finds again. It never
draws at random where a run would have to remember it.

bijection     a shuffle that is computed by index
block_order   which block comes when
block_loader  one rank's batches of that order
pieces        parts of a source in an order of their own, read as one text
passages      the passages of a source, and the new tokens in them
rates         the rule of the bias, in fractions
bias          how often each passage is read, in whole numbers
contexts      short contexts of each new token, for stages that distill
coverage      how often a run will see each new token
mix           the LightningDataModule: a weighted mix
"""
