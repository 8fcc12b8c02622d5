"""Token files into batches.

In: token files of named sources, with weights. Out: blocks of them in an order that a resume finds again. It never
draws at random where a run would have to remember it.

bijection     a shuffle that is computed by index
block_order   which block comes when
block_loader  one rank's batches of that order
coverage      how often a run will see each new token
mix           the LightningDataModule: a weighted mix
"""
