"""Token files into batches.

In: token files of named sources, with weights. Out: blocks of them in an order that a resume finds again. It never
draws at random where a run would have to remember it.

block_order  which block comes when
mix          the LightningDataModule: a weighted mix
"""
