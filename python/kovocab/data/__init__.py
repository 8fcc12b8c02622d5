"""Documents into batches.

In: named sources with weights, a tokenizer. Out: token files, and blocks of them in an order that a resume finds again.
It never draws at random where a run would have to remember it.

encoding     documents → token ids, and measures of them
splitting    which documents are held out
memo         what files were found to hold, so that they are read once
packed       token files as they are read, and whether they are what was written
token_files  documents → token files
bijection    a shuffle that is computed by index
block_order  which block comes when
mix          the LightningDataModule: a weighted mix
"""
