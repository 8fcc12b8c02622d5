"""Documents into batches.

In: named sources with weights, a tokenizer. Out: token files, and blocks of them in an order that a resume finds again.
It never draws at random where a run would have to remember it.

encoding     documents → token ids, and measures of them
splitting    which documents are held out
token_files  documents → token files
block_order  which block comes when
mix          the LightningDataModule: a weighted mix
"""
